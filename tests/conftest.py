"""Process-wide settings, the fixtures every folder shares, and the checks on every test."""

import os
import random

# scipy reads SCIPY_ARRAY_API once, at import; scikit-learn skips its array API checks without it.
os.environ["SCIPY_ARRAY_API"] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("OMP_NUM_THREADS", "1")
# On some processors MKL's last bits depend on how many rows go in together, unless told not to.
os.environ.setdefault("MKL_CBWR", "AUTO")

from pathlib import Path

import numpy as np
import pytest
import sklearn
import sklearn.pipeline  # imports rich where it is installed, which draws from `random`
import torch

torch.set_num_threads(1)

# scikit-learn's own check permutes rows with numpy's global generator.
DRAWS_ITSELF = "check_methods_sample_order_invariance"


def pytest_collection_modifyitems(items):
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="needs a CUDA device")
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def global_state_untouched(request):
    """Fail a test that draws from a global generator or leaves scikit-learn configured."""
    node = request.node
    if node.get_closest_marker("global_state") or DRAWS_ITSELF in node.name:
        yield
        return
    before = _global_state()
    yield
    after = _global_state()
    changed = [name for name in before if before[name] != after[name]]
    if changed:
        pytest.fail(f"the test changed global state: {', '.join(changed)}", pytrace=False)


def _global_state():
    _, keys, position, *_ = np.random.get_state()  # noqa: NPY002 (read, not drawn from)
    return {
        "random": random.getstate(),
        "numpy.random": (keys.tobytes(), position),
        "torch's CPU generator": torch.get_rng_state().numpy().tobytes(),
        "scikit-learn's configuration": sklearn.get_config(),
    }


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    """Each device that the test runs on."""
    return request.param


@pytest.fixture(scope="session")
def sktl_home():
    """Folder named by SKTL_HOME, with `data/` and `weights/` inside."""
    home = os.environ.get("SKTL_HOME")
    if not home:
        pytest.skip("SKTL_HOME is not set: no data sets or weights to test on")
    return Path(home)


@pytest.fixture(scope="session")
def fsdd_dir(sktl_home):
    """Folder of the Free Spoken Digit Dataset's WAV files."""
    folder = sktl_home / "data" / "fsdd"
    if not folder.is_dir():
        pytest.skip(f"no Free Spoken Digit Dataset in {folder}")
    return folder
