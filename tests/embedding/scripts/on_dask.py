"""Embeds on two worker processes of dask; run by test_dask.py.

Writes results as numpy arrays into a folder.
"""

import os
import pickle
import sys
from pathlib import Path

import joblib
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sktl import PretrainedEmbedding
from sktl._validation import count_threads

LABELS = np.arange(24) % 2
GRID = {"pretrainedembedding__layers": ["last", 6]}


def make_pipe():
    return make_pipeline(PretrainedEmbedding(n_jobs=2), LogisticRegression())


def partitions(paths, embedding, found):
    """Arrays, bags and frames of paths, cut into partitions."""
    import dask.array as da
    import dask.bag as db
    import dask.dataframe as dd
    import pandas as pd
    from dask_ml.wrappers import ParallelPostFit

    X = da.from_array(np.array(paths), chunks=6)
    width = embedding.transform(paths[:1]).shape[1]
    rows = X.map_blocks(
        embedding.transform, dtype="float32", new_axis=1, chunks=(X.chunks[0], (width,))
    )
    assert rows.shape == (24, width)
    found["array"] = rows.compute()
    parts = db.from_sequence(paths, npartitions=4)
    found["bag"] = np.concatenate(
        parts.map_partitions(lambda part: [embedding.transform(list(part))]).compute()
    )
    column = make_pipeline(FunctionTransformer(np.ravel), embedding)
    meta = np.empty((0, width), np.float32)
    wrapped = ParallelPostFit(column, transform_meta=meta)
    found["post_fit"] = wrapped.transform(X[:, None]).compute()
    clips = np.random.default_rng(0).normal(scale=0.1, size=(24, 5000))
    found["clips_alone"] = embedding.transform(list(clips))
    wrapped = ParallelPostFit(PretrainedEmbedding().fit(clips))
    found["clips"] = wrapped.transform(da.from_array(clips, chunks=(6, 5000))).compute()
    frame = dd.from_pandas(pd.DataFrame({"path": paths}), npartitions=4)
    named = PretrainedEmbedding().set_output(transform="pandas").fit(paths)
    rows = frame["path"].map_partitions(
        named.transform, meta={name: "float32" for name in named.get_feature_names_out()}
    )
    found["frame"] = rows.compute().to_numpy()


def searches(paths, found, prefix):
    found[f"{prefix}_scores"] = cross_val_score(make_pipe(), paths, LABELS, cv=3, n_jobs=2)
    search = GridSearchCV(make_pipe(), GRID, cv=2, n_jobs=2).fit(paths, LABELS)
    found[f"{prefix}_search"] = search.cv_results_["mean_test_score"]
    found[f"{prefix}_proba"] = search.predict_proba(paths)


def main(folder):
    from corpus import counted_network, write_files
    from distributed import Client, LocalCluster

    paths, found = write_files(folder), {}
    handle, log = counted_network(folder)
    embedding = PretrainedEmbedding(handle).fit(paths)
    found["alone"] = embedding.transform(paths)
    with joblib.parallel_config(backend="sequential"):
        searches(paths, found, "alone")
    options = {"threads_per_worker": 1, "dashboard_address": None, "memory_limit": 0}
    with (
        LocalCluster(n_workers=2, processes=True, **options) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(2)
        client.run(sys.path.insert, 0, os.path.dirname(__file__))
        found["pickled"] = np.array(len(pickle.dumps(embedding)))
        log.unlink()
        partitions(paths, embedding, found)
        tasks = [
            client.submit(
                embedding.transform, paths[start : start + 6], workers=[worker], pure=False
            )
            for worker in client.run(os.getpid)
            for start in range(0, 24, 6)
        ]
        found["submitted"] = np.stack(client.gather(tasks))
        found["loaded_by"] = np.array(log.read_text().split(), dtype=int)
        found["workers"] = np.array(list(client.run(os.getpid).values()))
        with joblib.parallel_config(backend="dask"):
            searches(paths, found, "dask")
            calls = joblib.Parallel(n_jobs=2)(joblib.delayed(count_threads)(None) for _ in range(4))
            found["threads"] = np.array(calls)
    np.savez(Path(folder, "found.npz"), **found)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1])
