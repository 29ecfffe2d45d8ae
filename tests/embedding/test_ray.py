"""Embeddings on two worker processes of Ray, through joblib: the same numbers."""

import importlib.util
import shutil
import tempfile

import numpy as np
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="not installed: ray"),
]


@pytest.fixture(scope="module")
def found(run_script, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ray")
    # Ray's sockets lie in its folder, and a socket's path has 107 letters at most.
    sockets = tempfile.mkdtemp(prefix="ray")
    try:
        run_script("on_ray.py", folder, sockets)
    finally:
        shutil.rmtree(sockets, ignore_errors=True)
    return np.load(folder / "found.npz")


@pytest.mark.parametrize("what", ["search", "proba"])
def test_searches_by_joblib_give_the_same(found, what):
    np.testing.assert_array_equal(found[f"ray_{what}"], found[f"alone_{what}"])


def test_a_fitted_embedding_goes_to_the_workers(found):
    np.testing.assert_array_equal(found["ray"], found["alone"])
    assert found["here"] not in found["workers"]
