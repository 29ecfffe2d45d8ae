"""Derivatives along time are librosa's."""

import librosa
import numpy as np
import pytest
import torch

from sktl.features import mfcc
from sktl.features._deltas import delta_names, delta_segments


def delta_alone(values, deltas, width=9):
    """One clip (n_coefficients, n_frames) by itself."""
    starts, stops = np.array([0]), np.array([values.shape[1]])
    return delta_segments(values.mT, starts, stops, deltas, width).mT


def librosa_stacked(values, deltas, **options):
    parts = [librosa.feature.delta(values, order=n, **options) for n in range(1, deltas + 1)]
    return np.concatenate([values, *parts], axis=-2)


@pytest.mark.parametrize("deltas", [0, 1, 2])
@pytest.mark.parametrize(("dtype", "atol"), [(np.float32, 2e-4), (np.float64, 1e-9)])
def test_deltas_equal_librosa_on_speech(speech, device, deltas, dtype, atol):
    for clip in speech[:5]:
        values = mfcc(torch.from_numpy(clip.astype(dtype)), sr=8000, n_fft=256, hop_length=80)
        actual = delta_alone(values.to(device), deltas)
        assert actual.dtype == values.dtype
        expected = librosa_stacked(values.numpy(), deltas)
        np.testing.assert_allclose(actual.cpu(), expected, rtol=1e-4, atol=atol)


@pytest.mark.parametrize("width", [3, 5, 9, 21])
@pytest.mark.parametrize("n_frames", [21, 22, 40, 41])
def test_any_width_equals_librosa(width, n_frames):
    values = np.random.default_rng(0).normal(size=(3, n_frames))
    actual = delta_alone(torch.from_numpy(values), 2, width)
    np.testing.assert_allclose(actual, librosa_stacked(values, 2, width=width), atol=1e-9)


@pytest.mark.parametrize("n_frames", range(1, 9))
def test_a_clip_shorter_than_the_filter_repeats_its_ends(n_frames):
    values = np.random.default_rng(0).normal(size=(4, n_frames))
    with pytest.raises(librosa.ParameterError, match="mode='interp'"):
        librosa_stacked(values, 1)
    actual = delta_alone(torch.from_numpy(values), 2)
    np.testing.assert_allclose(actual, librosa_stacked(values, 2, mode="nearest"), atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_line_has_its_slope_and_a_constant_has_none(dtype):
    t = torch.arange(30, dtype=dtype)
    values = delta_alone(torch.stack([3 * t, 0 * t - 37.123, t * t]), 2)
    torch.testing.assert_close(values[3], torch.full_like(t, 3.0))
    assert not values[[4, 7]].any()
    torch.testing.assert_close(values[8, 4:-4], torch.full_like(t, 2.0)[4:-4])


@pytest.mark.parametrize("deltas", [0, 1, 2])
@pytest.mark.parametrize("lengths", [[9, 30, 8, 1, 57], [3, 2], [40], [5, 4, 11]])
@pytest.mark.parametrize("gap", [0, 3])
def test_clips_in_a_row_are_computed_as_if_apart(lengths, gap, deltas, device):
    stops = np.cumsum(np.add(lengths, gap))
    starts = stops - lengths
    values = np.random.default_rng(0).normal(size=(stops[-1] + gap, 6)).astype(np.float32)
    values = torch.from_numpy(values).to(device)
    actual = delta_segments(values, starts, stops, deltas)
    assert actual.shape == (len(values), 6 * (1 + deltas))
    for start, stop in zip(starts, stops, strict=True):
        clip = values[start:stop].mT
        assert torch.equal(actual[start:stop].mT, delta_alone(clip, deltas))
        assert torch.equal(actual[start:stop].mT, delta_alone(clip.contiguous(), deltas))
        mode = "interp" if stop - start >= 9 else "nearest"
        expected = librosa_stacked(clip.cpu().numpy(), deltas, mode=mode)
        np.testing.assert_allclose(actual[start:stop].mT.cpu(), expected, atol=1e-5)


def test_deltas_can_be_differentiated():
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(30, 3))).requires_grad_()
    starts, stops = np.array([1, 7]), np.array([6, 30])
    assert torch.autograd.gradcheck(lambda v: delta_segments(v, starts, stops, 2), values)


def test_names_follow_the_coefficients():
    assert delta_names(["a", "b"], 0) == ["a", "b"]
    assert delta_names(["a", "b"], 2) == ["a", "b", "a_delta", "b_delta", "a_delta2", "b_delta2"]
