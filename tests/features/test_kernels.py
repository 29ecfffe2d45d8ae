"""Compiled loops equal numpy, for every dtype and at every edge."""

import itertools

import numpy as np
import pytest
import torch

from sktl.features._frames import Framing
from sktl.features._kernels import (
    compiled,
    finite_kernel,
    frame_loader,
    power_kernel,
    scale_kernel,
)

DTYPES = [("float32", "float32"), ("float32", "float64"), ("float64", "float64")]


@pytest.mark.parametrize(("clip_dtype", "dtype"), DTYPES)
@pytest.mark.parametrize(
    ("frame_length", "hop_length", "center"),
    list(itertools.product((1, 2, 7, 30), (1, 3, 40), (False, True))),
)
def test_frames_are_cut_padded_and_windowed(clip_dtype, dtype, frame_length, hop_length, center):
    framing = Framing(frame_length, hop_length, center)
    rng = np.random.default_rng(0)
    window = rng.normal(size=frame_length).astype(dtype)
    for n_samples in (1, 5, 30, 101):
        clip = rng.normal(size=n_samples).astype(clip_dtype)
        clip.flags.writeable = False
        n_frames = framing.n_frames(n_samples) + 2
        expected = framing.cut(torch.tensor(clip)[None], n_frames)[0].numpy() * window
        actual = np.full((n_frames, frame_length), np.nan, dtype=dtype)
        load = frame_loader(clip_dtype, dtype)
        load(clip, window, -framing.margin, hop_length, actual)
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(("frame_dtype", "dtype"), [*DTYPES[::2], ("float64", "float32")])
def test_power_is_the_squared_magnitude(frame_dtype, dtype):
    frames = np.random.default_rng(0).normal(size=(5, 2, 9)).astype(frame_dtype)
    spectrum = frames[:, 0] + 1j * frames[:, 1]
    power = np.empty(spectrum.shape, dtype=dtype)
    power_kernel(frame_dtype, dtype)(spectrum, power)
    np.testing.assert_allclose(power, np.abs(spectrum) ** 2, rtol=1e-6 if "32" in dtype else 1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_are_raised_to_the_floor_of_their_clip_and_scaled(dtype):
    values = np.random.default_rng(0).normal(size=(3, 5, 7)).astype(dtype)
    values[1, 2, 3] = -np.inf
    floors = np.array([-1.0, 0.0, 0.5], dtype=dtype)
    out = np.empty_like(values)
    scale_kernel(dtype)(values, floors, 10.0, out)
    np.testing.assert_array_equal(out, np.maximum(values, floors[:, None, None]) * 10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_samples", [1, 2, 31, 1000])
def test_nan_and_infinity_are_found_wherever_they_are(dtype, n_samples):
    is_finite = finite_kernel(dtype)
    clip = np.full(n_samples, np.finfo(dtype).max, dtype=dtype)
    assert is_finite(clip)
    assert is_finite(-clip)
    for index, value in itertools.product(range(0, n_samples, 7), (np.nan, np.inf, -np.inf)):
        broken = clip.copy()
        broken[index] = value
        assert not is_finite(broken)


def test_kernels_work_where_no_cache_can_be_written(monkeypatch):
    import numba

    njit = numba.njit

    def without_cache(*args, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*args, **options)

    def double(x):
        x *= 2.0

    monkeypatch.setattr(numba, "njit", without_cache)
    values = np.ones(3)
    compiled(double, "void(float64[::1])")(values)
    assert (values == 2.0).all()
