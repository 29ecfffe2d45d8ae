"""Cepstral coefficients are librosa's, clip by clip."""

import librosa
import numpy as np
import pytest
import torch

from sktl.features import MFCC, mel_spectrogram, mfcc

pytestmark = pytest.mark.filterwarnings("ignore:.*slated for removal:DeprecationWarning")


def random_waveform(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) - 0.5


SPEECH = {"sr": 8000, "n_fft": 256, "hop_length": 80, "n_mels": 32}
OPTIONS = [
    {},
    {"n_mfcc": 13, "lifter": 22},
    {"dct_type": 3},
    {"dct_type": 1},
    {"mel_norm": None},
    {"mel_norm": 1.0, "htk": True},
    {"sr": 16000, "n_fft": 512, "hop_length": 160, "n_mels": 64, "fmin": 50.0},
    {"n_fft": 400, "win_length": 200, "window": "hamming", "center": False},
    {"power": 1.0},
]
ids = [",".join(option) or "default" for option in OPTIONS]


@pytest.mark.parametrize("options", OPTIONS, ids=ids)
@pytest.mark.parametrize(("dtype", "atol"), [("float32", 2e-3), ("float64", 1e-6)])
def test_ragged_speech_equals_librosa(speech, options, dtype, atol, device):
    options = {**SPEECH, **options}
    transformer = MFCC(**options, pooling=None, dtype=dtype, device=device)
    for y, actual in zip(speech, transformer.fit_transform(speech), strict=True):
        assert actual.dtype == dtype
        expected = librosa.feature.mfcc(y=y.astype(dtype), **options)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("dct_type", [1, 2, 3])
def test_transform_that_is_not_normalized_equals_librosa(speech, dct_type):
    options = {**SPEECH, "norm": None, "dct_type": dct_type}
    y = speech[0].astype(np.float64)
    actual = mfcc(torch.from_numpy(y), **options)
    np.testing.assert_allclose(actual, librosa.feature.mfcc(y=y, **options), rtol=0, atol=1e-6)


def test_files_equal_librosa_load(speech_paths, device):
    options = {"sr": 16000, "n_mfcc": 20, "n_fft": 512, "hop_length": 160, "n_mels": 64}
    rows = MFCC(device=device).fit_transform(speech_paths)
    for path, row in zip(speech_paths, rows, strict=True):
        frames = librosa.feature.mfcc(y=librosa.load(path, sr=16000)[0], **options)
        expected = np.concatenate([frames.mean(axis=1), frames.std(axis=1)])
        np.testing.assert_allclose(row, expected, rtol=0, atol=2e-3)


def test_all_coefficients_keep_the_energy_of_the_spectrum():
    y = random_waveform(1000).double()
    level = mel_spectrogram(y, n_mels=20)
    coefficients = mfcc(y, n_mfcc=20, n_mels=20)
    torch.testing.assert_close(coefficients.square().sum(-2), level.square().sum(-2))


def test_leading_dimensions_are_kept():
    y = random_waveform(2, 3, 1000)
    actual = mfcc(y)
    assert actual.shape == (2, 3, 20, 7)
    assert torch.equal(actual[1, 2], mfcc(y[1, 2]))


def test_names_count_from_zero_as_librosa_does():
    names = MFCC(n_mfcc=3).fit(np.zeros((1, 9))).get_feature_names_out()
    assert list(names[:4]) == ["mfcc_00_mean", "mfcc_01_mean", "mfcc_02_mean", "mfcc_00_std"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_mfcc": 65}, "n_mfcc=65 but n_mels=64 bands give only 64 coefficients"),
        ({"n_mfcc": 1, "n_mels": 1, "dct_type": 1}, "dct_type=1 needs n_mels >= 2"),
        ({"dct_type": 4}, "'dct_type' parameter of MFCC"),
        ({"lifter": -1}, "'lifter' parameter of MFCC"),
        ({"fmax": 9000.0}, "fmax=9000.0 Hz but clips at sr=16000 Hz"),
        ({"sr": None}, "'sr' parameter of MFCC"),
        ({"sr": 16}, "did you mean sr=16000"),
    ],
)
def test_impossible_parameters_are_refused(parameters, message):
    transformer = MFCC(**parameters)
    for method in (transformer.fit, transformer.transform):
        with pytest.raises(ValueError, match=message):
            method(np.zeros((2, 1000)))
