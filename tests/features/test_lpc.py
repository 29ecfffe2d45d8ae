"""Linear prediction is Burg's method, as in librosa."""

import librosa
import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from sktl.features import LPC, lpc

pytestmark = pytest.mark.filterwarnings("ignore:.*slated for removal:DeprecationWarning")


def random_waveform(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) - 0.5


def frames_of(y, frame_length, hop_length, center):
    padded = np.pad(y, frame_length // 2) if center else y
    return librosa.util.frame(padded, frame_length=frame_length, hop_length=hop_length)


@pytest.mark.parametrize(
    "options",
    [
        {"order": 8, "frame_length": 200, "hop_length": 80, "center": True},
        {"order": 12, "frame_length": 200, "hop_length": 80, "center": False},
        {"order": 16, "frame_length": 401, "hop_length": 160, "center": True},
    ],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-6)])
def test_ragged_speech_equals_librosa(speech, options, dtype, tolerance, device):
    transformer = LPC(sr=8000, pooling=None, dtype=dtype, device=device, **options)
    order = options["order"]
    cut = {name: value for name, value in options.items() if name != "order"}
    for y, actual in zip(speech, transformer.fit_transform(speech), strict=True):
        assert actual.dtype == dtype
        expected = librosa.lpc(frames_of(y.astype(np.float64), **cut), order=order, axis=0)
        np.testing.assert_allclose(actual, expected[1:], rtol=tolerance, atol=tolerance)


def test_resampled_speech_equals_extended_precision(speech_paths, exact_burg):
    """Speech resampled upwards is predicted almost exactly; librosa's own error is 1e-3 there."""
    transformer = LPC(pooling=None, dtype="float64")
    for path, actual in zip(speech_paths, transformer.fit_transform(speech_paths), strict=True):
        y = librosa.load(path, sr=16000)[0].astype(np.float64)
        expected = exact_burg(frames_of(y, 400, 160, True).T, 16).T
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


def test_coefficients_of_an_autoregressive_process_are_found():
    truth = np.array([-1.5, 0.9, -0.2])
    y = lfilter([1.0], [1.0, *truth], np.random.default_rng(0).normal(size=50000))
    actual = lpc(torch.from_numpy(y), order=3, frame_length=50000, center=False)
    np.testing.assert_allclose(actual[:, 0], truth, atol=0.02)


def test_silence_gives_zeros_as_librosa_does():
    assert not lpc(torch.zeros(2, 1000)).any()
    np.testing.assert_array_equal(librosa.lpc(np.zeros(400), order=4), [1, 0, 0, 0, 0])


@pytest.mark.parametrize(
    "y",
    [
        np.ones(1000),
        np.sin(np.arange(1000) / 7),
        0.5 ** np.arange(1000.0),
        1e-200 * np.arange(1000.0),
        np.eye(1, 1000, 500)[0],
        np.ones(1),
    ],
    ids=["constant", "sine", "decay", "underflow", "click", "one sample"],
)
def test_signals_predicted_exactly_stay_finite_and_stable(y):
    coefficients = lpc(torch.from_numpy(y))
    assert torch.isfinite(coefficients).all()
    assert (coefficients[-1].abs() <= 1 + 1e-9).all()


def test_as_many_frames_as_cepstral_coefficients(clips):
    from sktl.features import mfcc

    for clip in clips:
        y = torch.from_numpy(clip)
        assert lpc(y).shape[-1] == mfcc(y).shape[-1]


def test_leading_dimensions_are_kept():
    y = random_waveform(2, 3, 1000)
    actual = lpc(y, order=4)
    assert actual.shape == (2, 3, 4, 7)
    assert torch.equal(actual[1, 2], lpc(y[1, 2], order=4))


def test_names_count_from_one():
    names = LPC(order=2).fit(np.zeros((1, 9))).get_feature_names_out()
    assert list(names) == ["lpc_01_mean", "lpc_02_mean", "lpc_01_std", "lpc_02_std"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"order": 400}, "order=400 needs frames of at least 401 samples.*frame_length=400"),
        ({"order": 0}, "'order' parameter of LPC"),
        ({"sr": 16}, "did you mean sr=16000"),
    ],
)
def test_impossible_parameters_are_refused(parameters, message):
    transformer = LPC(**parameters)
    for method in (transformer.fit, transformer.transform):
        with pytest.raises(ValueError, match=message):
            method(np.zeros((2, 1000)))
