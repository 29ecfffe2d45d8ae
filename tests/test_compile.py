"""Compiling works with and without a cache on disk."""

import numpy as np
import pytest

from sktl._compile import compiled


@pytest.mark.parametrize("error", [RuntimeError("no locator"), OSError(28, "full"), EOFError()])
def test_kernels_work_where_no_cache_can_be_written_or_read(monkeypatch, error):
    import numba

    njit = numba.njit

    def without_cache(*args, cache=False, **options):
        if cache:
            raise error
        return njit(*args, **options)

    def double(x):
        x *= 2.0

    monkeypatch.setattr(numba, "njit", without_cache)
    values = np.ones(3)
    compiled(double, "void(float64[::1])")(values)
    assert (values == 2.0).all()
