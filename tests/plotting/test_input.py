"""One clip, one array of frames; levels are librosa's."""

from pathlib import Path

import librosa
import numpy as np
import pytest
import torch

from sktl.plotting._input import check_spectrogram, one_clip, to_db

POWER = np.random.default_rng(0).uniform(size=(5, 7)) ** 20


@pytest.mark.parametrize("clip", ["a.wav", Path("a.wav"), np.zeros(4), torch.zeros(4)])
def test_a_path_or_one_dimension_passes_as_it_is(clip):
    assert one_clip(clip) is clip


def test_a_list_of_numbers_is_a_clip():
    np.testing.assert_array_equal(one_clip([0, 0.5, np.float32(0.25)]), [0, 0.5, 0.25])


@pytest.mark.parametrize(
    ("clip", "match"),
    [
        (np.zeros((3, 100)), r"shape \(3, 100\): a batch; give one of its clips, clip\[0\], of"),
        (torch.zeros(1, 100), r"shape \(1, 100\): a batch"),
        (np.float64(0), r"shape \(\); give one clip, of shape \(n_samples,\), or a path"),
        ([np.zeros(3), np.zeros(4)], r"list of 2 clips; give one of them, clip\[0\]"),
        ([[0.0, 0.5], [0.5]], "list of 2 clips"),
        (("a.wav", "b.wav"), "tuple of 2 clips"),
        (np.array(["a.wav", "b.wav"]), "dtype <U5: several clips"),
        (np.array([np.zeros(2), np.zeros(3)], dtype=object), "dtype object: several clips"),
    ],
)
def test_anything_else_is_no_clip(clip, match):
    with pytest.raises(ValueError, match=f"clip .*{match}"):
        one_clip(clip)


@pytest.mark.parametrize(
    "S", [POWER, POWER.tolist(), torch.from_numpy(POWER).requires_grad_(), POWER.astype("f2")]
)
def test_arrays_lists_and_tensors_are_spectrograms(S):
    np.testing.assert_allclose(check_spectrogram(S), POWER, atol=1e-3)


def test_some_values_may_be_missing():
    assert check_spectrogram([[np.nan, 1.0], [-np.inf, 2.0]]).shape == (2, 2)


@pytest.mark.parametrize(
    ("S", "match"),
    [
        (np.zeros(64), r"shape \(64,\); give one of shape \(n_bands, n_frames\)"),
        (np.zeros((2, 64, 101)), r"shape \(2, 64, 101\): a batch; give one spectrogram, S\[0\],"),
        (np.zeros((64, 0)), r"shape \(64, 0\)"),
        (np.full((4, 5), np.nan), "NaN or infinity only"),
        (np.zeros((4, 5), dtype=complex), r"complex128; give np.abs\(S\) with unit='amplitude'"),
        (np.full((4, 5), "a"), "dtype <U1; give real numbers"),
    ],
)
def test_anything_else_is_no_spectrogram(S, match):
    with pytest.raises(ValueError, match=f"S h.*{match}"):
        check_spectrogram(S)


def test_power_becomes_librosas_level():
    np.testing.assert_allclose(to_db(POWER, "power"), librosa.power_to_db(POWER), atol=1e-9)


def test_amplitude_becomes_librosas_level():
    np.testing.assert_allclose(to_db(POWER, "amplitude"), librosa.amplitude_to_db(POWER), atol=1e-9)


def test_silence_has_a_level():
    np.testing.assert_allclose(to_db(np.zeros((2, 3)), "power"), -100.0)


def test_missing_values_stay_missing():
    level = to_db(np.array([[1.0, np.nan], [0.1, np.inf]]), "power")
    np.testing.assert_allclose(level, [[0.0, np.nan], [-10.0, np.inf]])


@pytest.mark.parametrize("unit", ["dB", None])
def test_other_values_stay_as_they_are(unit):
    assert to_db(POWER, unit) is POWER


@pytest.mark.parametrize("unit", ["power", "amplitude"])
def test_a_level_given_as_power_is_refused(unit):
    with pytest.raises(ValueError, match=f"S holds -30 but unit='{unit}' is never negative"):
        to_db(np.array([[-30.0, 0.0]]), unit)
