"""Normalized clips have zero mean and unit standard deviation."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import scale

from sktl.features import mel_spectrogram
from sktl.features._normalize import NORMALIZATIONS, normalize_segments


def standardized(values, how):
    """One clip, by scikit-learn."""
    if how == "band":
        return scale(values, axis=1)
    return scale(values.ravel()).reshape(values.shape)


def normalize_alone(values, how):
    """One clip (n_coefficients, n_frames) by itself."""
    return normalize_segments(values.mT, np.array([0]), np.array([values.shape[1]]), how).mT


def in_a_row(clips, gap):
    """Clips (n_coefficients, n_frames) behind each other, with other frames between them."""
    filling = torch.full((gap, clips[0].shape[0]), 1e3, dtype=clips[0].dtype)
    parts = [filling, *(part for clip in clips for part in (clip.mT, filling))]
    lengths = np.array([clip.shape[1] for clip in clips])
    stops = np.cumsum(lengths + gap)
    return torch.cat(parts), stops - lengths, stops


def log_mel(clip):
    return mel_spectrogram(torch.from_numpy(clip), sr=8000, n_fft=256, hop_length=80, n_mels=30)


@pytest.mark.parametrize("how", NORMALIZATIONS)
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 2e-5), (torch.float64, 1e-12)])
def test_speech_is_scaled_as_scikit_learn_scales_it(speech, how, dtype, atol, device):
    for clip in speech[:5]:
        values = log_mel(clip).to(dtype)
        actual = normalize_alone(values.to(device), how).cpu()
        assert actual.dtype == dtype
        np.testing.assert_allclose(actual, standardized(values.double().numpy(), how), atol=atol)


def test_nothing_is_done_unless_asked():
    values = torch.ones(3, 4)
    assert normalize_segments(values, np.array([0]), np.array([3]), None) is values


@pytest.mark.parametrize("how", NORMALIZATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("level", [0.0, -80.0, -37.123, 1e-30, 1e6])
def test_a_constant_gives_zeros_even_where_rounding_disturbs_it(how, dtype, level):
    values = torch.full((3, 50), level, dtype=dtype)
    assert not normalize_alone(values, how).any()
    values[..., ::3] *= 1 + torch.finfo(dtype).eps
    assert not normalize_alone(values, how).any()


@pytest.mark.parametrize("how", NORMALIZATIONS)
def test_a_constant_clip_or_a_single_frame_may_lie_between_others(how):
    rng = np.random.default_rng(0)
    single = rng.normal(size=(3, 1))
    clips = [rng.normal(size=(3, 20)), np.full((3, 9), -37.123), single, rng.normal(size=(3, 5))]
    frames, starts, stops = in_a_row([torch.from_numpy(clip) for clip in clips], gap=2)
    actual = normalize_segments(frames, starts, stops, how)
    for i in (0, 2, 3):
        expected = standardized(clips[i], how)
        np.testing.assert_allclose(actual[starts[i] : stops[i]].mT, expected, atol=1e-12)
    assert not actual[starts[1] : stops[1]].any()


@pytest.mark.parametrize("how", NORMALIZATIONS)
def test_a_small_change_is_no_rounding(how):
    values = torch.zeros(1, 4)
    values[..., ::2] = 1e-6
    expected = torch.tensor([1.0, -1.0, 1.0, -1.0])
    torch.testing.assert_close(normalize_alone(values, how)[0], expected)


@pytest.mark.parametrize("how", NORMALIZATIONS)
@pytest.mark.parametrize("gap", [0, 2])
def test_clips_in_a_row_do_not_depend_on_each_other(speech, how, gap, device):
    clips = [log_mel(clip) for clip in speech[:6]]
    frames, starts, stops = in_a_row(clips, gap)
    actual = normalize_segments(frames.to(device), starts, stops, how)
    for clip, start, stop in zip(clips, starts, stops, strict=True):
        alone = normalize_alone(clip.to(device), how)
        exact = {"rtol": 0, "atol": 0} if device == "cpu" else {}
        torch.testing.assert_close(actual[start:stop].mT, alone, **exact)
        assert device != "cpu" or torch.equal(normalize_alone(clip.mT.contiguous().mT, how), alone)
        expected = standardized(clip.double().numpy(), how)
        np.testing.assert_allclose(alone.cpu(), expected, atol=2e-5)


@pytest.mark.parametrize("how", NORMALIZATIONS)
def test_it_can_be_differentiated_and_a_constant_has_no_gradient(how):
    clips = np.random.default_rng(0).normal(size=(9, 3))
    values = torch.from_numpy(clips).requires_grad_()
    starts, stops = np.array([0, 4]), np.array([4, 9])
    assert torch.autograd.gradcheck(lambda v: normalize_segments(v, starts, stops, how), values)
    constant = torch.ones(9, 3, requires_grad=True)
    normalize_segments(constant, starts, stops, how).sum().backward()
    assert not constant.grad.any()
