"""Lanes do to many numbers what numpy does."""

import numpy as np
import pytest
from numba import njit

from sktl.features import _lanes
from sktl.features._lanes import (
    finite_or,
    imag,
    load,
    maximum,
    pack,
    real,
    repeat,
    split,
    square_root,
    store,
    transpose_tile,
    where_larger,
    width,
)

each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def numbers(dtype, rows=1):
    count = _lanes.BYTES // np.dtype(dtype).itemsize
    return np.random.default_rng(0).normal(size=rows * count).astype(dtype)


@njit
def calculate(a, b, number, out):
    x, y, n = load(a, 0), load(b, 0), width(a)
    store(out, 0, x + y)
    store(out, n, x - y)
    store(out, 2 * n, x * y)
    store(out, 3 * n, x / y)
    store(out, 4 * n, x * number)
    store(out, 5 * n, maximum(x, y))
    store(out, 6 * n, repeat(a, number))
    store(out, 7 * n, square_root(x * x))
    store(out, 8 * n, where_larger(x, y, x * x, y))


@each_dtype
def test_real_arithmetic(dtype):
    a, b = numbers(dtype), numbers(dtype)[::-1].copy()
    number, out = a.dtype.type(3.5), numbers(dtype, 9)
    calculate(a, b, number, out)
    expected = [
        a + b,
        a - b,
        a * b,
        a / b,
        a * number,
        np.maximum(a, b),
        np.full_like(a, 3.5),
        abs(a),
        np.where(a > b, a * a, b),
    ]
    np.testing.assert_array_equal(out, np.concatenate(expected))


@njit
def calculate_complex(a, b, number, out):
    n = width(a)
    x, y = pack(load(a, 0), load(b, 0)), pack(load(b, 0), load(a, 0))
    for i, z in enumerate((x + y, x - y, x * number)):
        store(out, 2 * i * n, real(z))
        store(out, (2 * i + 1) * n, imag(z))


@each_dtype
def test_complex_arithmetic(dtype):
    a, b = numbers(dtype), numbers(dtype)[::-1].copy()
    number = np.result_type(dtype, np.complex64).type(0.5 - 2j)
    out = numbers(dtype, 6)
    calculate_complex(a, b, number, out)
    x, y = a + 1j * b, b + 1j * a
    parts = [part for z in (x + y, x - y, x * number) for part in (z.real, z.imag)]
    np.testing.assert_allclose(out, np.concatenate(parts), rtol=1e-6, atol=1e-6)


@njit
def split_all(a, out):
    for at in range(0, len(a), width(a)):
        mantissa, exponent = split(load(a, at))
        store(out, at, mantissa)
        store(out, len(a) + at, exponent)


@each_dtype
def test_split_gives_mantissa_and_exponent(dtype):
    info = np.finfo(dtype)
    exponents = np.random.default_rng(0).uniform(info.minexp, info.maxexp, 64 * 100)
    a = np.exp2(exponents).astype(dtype)
    out = np.empty(2 * len(a), dtype=dtype)
    split_all(a, out)
    mantissa, exponent = out[: len(a)], out[len(a) :]
    assert mantissa.min() >= 0.6666
    assert mantissa.max() <= 1.3334
    np.testing.assert_array_equal(np.ldexp(mantissa, exponent.astype(int)), a)


@each_dtype
def test_numbers_below_the_normal_ones_count_as_the_smallest(dtype):
    a = numbers(dtype)
    a[:] = [0.0, np.finfo(dtype).tiny / 4, -1.0, *[np.finfo(dtype).tiny] * (len(a) - 3)]
    out = np.empty(2 * len(a), dtype=dtype)
    split_all(a, out)
    assert (out[: len(a)] == 1.0).all()
    assert (out[len(a) :] == np.finfo(dtype).minexp).all()


@njit
def keep_special(a, b, out):
    store(out, 0, finite_or(load(a, 0), load(b, 0)))
    store(out, width(a), maximum(load(b, 0), load(a, 0)))


@each_dtype
def test_infinity_and_nan_are_kept_apart(dtype):
    a, b = numbers(dtype), numbers(dtype)[::-1].copy()
    a[1], a[3] = np.inf, np.nan
    out = numbers(dtype, 2)
    keep_special(a, b, out)
    np.testing.assert_array_equal(out[: len(a)], np.where(np.isfinite(a), b, a))
    np.testing.assert_array_equal(out[len(a) :], np.fmax(a, b))


@njit
def turn(a, at, step, out, to, jump):
    transpose_tile(a, at, step, out, to, jump)


@each_dtype
def test_tiles_are_transposed(dtype):
    n = _lanes.BYTES // np.dtype(dtype).itemsize
    a = np.arange(3 + 40 * n, dtype=dtype)
    out = np.zeros(2 + 30 * n, dtype=dtype)
    turn(a, 3, 40, out, 2, 30)
    tile = a[3:][np.arange(n)[:, None] * 40 + np.arange(n)]
    np.testing.assert_array_equal(out[2:][np.arange(n)[:, None] * 30 + np.arange(n)], tile.T)
    assert np.count_nonzero(out) == n * n
