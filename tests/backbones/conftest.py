"""Networks are drawn from a generator of the test's own."""

import pytest

from sktl._random import torch_seed


@pytest.fixture(autouse=True)
def seeded():
    with torch_seed(0):
        yield
