"""Compiled loops equal numpy, for every dtype and at every edge."""

import itertools

import numpy as np
import pytest
import torch

from sktl.features._frames import Framing
from sktl.features._kernels import energy_kernel, frame_loader, located

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
        n_frames = framing.counts([n_samples])[0] + 2
        expected = framing.cut(torch.tensor(clip)[None], n_frames)[0].numpy() * window
        actual = np.full((n_frames, frame_length), np.nan, dtype=dtype)
        load = frame_loader(clip_dtype, dtype)
        load(clip, window, -framing.margin, hop_length, actual)
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_samples", [1, 2, 31, 1000])
def test_energy_is_the_sum_of_squares_and_finite_like_the_samples(dtype, n_samples):
    energy = energy_kernel(dtype)
    clip = np.random.default_rng(0).normal(size=n_samples).astype(dtype)
    clip.flags.writeable = False
    assert energy(clip) == pytest.approx(np.sum(clip.astype(np.float64) ** 2), rel=1e-5)
    for index, value in itertools.product(range(0, n_samples, 7), (np.nan, np.inf, -np.inf)):
        broken = clip.copy()
        broken[index] = value
        assert not np.isfinite(energy(broken))


def test_addresses_are_those_of_numpy_and_types_are_checked():
    clips = [np.zeros(n, dtype="float32") for n in (3, 1, 1000)]
    outs = [np.zeros((n, 5), dtype="float32") for n in (2, 7, 1)]
    clips[0].flags.writeable = False
    first, lengths, second, counts = located(clips, outs)
    assert first.tolist() == [clip.ctypes.data for clip in clips]
    assert second.tolist() == [out.ctypes.data for out in outs]
    assert (lengths.tolist(), counts.tolist()) == ([3, 1, 1000], [2, 7, 1])
    for wrong in (np.zeros(3), np.zeros(6, dtype="float32")[::2], np.zeros((2, 2), "float32")):
        with pytest.raises(TypeError, match="No matching definition"):
            located([wrong], outs[:1])
    with pytest.raises(TypeError, match="No matching definition"):
        located(clips[:1], [np.zeros((4, 5), dtype="float32").T])
