"""Searches on two worker processes of Ray, through joblib; run by test_ray.py.

Writes results as numpy arrays into a folder.
"""

import os
import sys
from pathlib import Path

import joblib
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sktl import PretrainedEmbedding

LABELS = np.arange(24) % 2
GRID = {"pretrainedembedding__layers": ["last", 6]}


def searches(paths, found, prefix):
    pipe = make_pipeline(PretrainedEmbedding(n_jobs=2), LogisticRegression())
    search = GridSearchCV(pipe, GRID, cv=2, n_jobs=2).fit(paths, LABELS)
    found[f"{prefix}_search"] = search.cv_results_["mean_test_score"]
    found[f"{prefix}_proba"] = search.predict_proba(paths)


def work_in(embedding, paths):
    torch.set_num_threads(1)
    return os.getpid(), embedding.transform(paths)


def main(folder):
    import ray
    from corpus import write_files
    from ray.util.joblib import register_ray

    paths, found = write_files(folder), {}
    embedding = PretrainedEmbedding().fit(paths)
    found["alone"] = embedding.transform(paths)
    with joblib.parallel_config(backend="sequential"):
        searches(paths, found, "alone")
    ray.init(
        num_cpus=2,
        object_store_memory=80 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
        _temp_dir=sys.argv[2],
    )
    register_ray()
    try:
        with joblib.parallel_config(backend="ray"):
            searches(paths, found, "ray")
            parts = [paths[start : start + 6] for start in range(0, 24, 6)]
            done = joblib.Parallel(n_jobs=2)(
                joblib.delayed(work_in)(embedding, part) for part in parts
            )
    finally:
        ray.shutdown()
    found["workers"] = np.array([number for number, _ in done])
    found["here"] = np.array(os.getpid())
    found["ray"] = np.concatenate([rows for _, rows in done])
    np.savez(Path(folder, "found.npz"), **found)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1])
