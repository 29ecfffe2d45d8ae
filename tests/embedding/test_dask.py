"""Embeddings on two worker processes of dask: the same numbers, the network loaded once each."""

import importlib.util

import numpy as np
import pytest

PACKAGES = ("dask", "distributed", "dask_ml", "pandas")
MISSING = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(MISSING != [], reason=f"not installed: {', '.join(MISSING)}"),
]


@pytest.fixture(scope="module")
def found(run_script, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dask")
    run_script("on_dask.py", folder)
    return np.load(folder / "found.npz")


@pytest.mark.parametrize("way", ["array", "bag", "frame", "post_fit"])
def test_partitions_of_paths_give_the_same_rows(found, way):
    np.testing.assert_array_equal(found[way], found["alone"])


def test_an_array_of_clips_goes_through_parallel_post_fit(found):
    np.testing.assert_array_equal(found["clips"], found["clips_alone"])


def test_tasks_carry_no_weights_and_each_worker_loads_them_once(found):
    assert found["pickled"] < 3000
    expected = found["alone"]
    for by_one in found["submitted"].reshape(2, *expected.shape):
        np.testing.assert_array_equal(by_one, expected)
    assert len(found["workers"]) == 2
    assert sorted(found["loaded_by"]) == sorted(found["workers"])


@pytest.mark.parametrize("what", ["scores", "search", "proba"])
def test_searches_by_joblib_give_the_same(found, what):
    np.testing.assert_array_equal(found[f"dask_{what}"], found[f"alone_{what}"])


def test_a_worker_reads_files_with_threads_of_its_own_only(found):
    assert found["threads"].tolist() == [1, 1, 1, 1]
