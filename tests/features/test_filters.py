"""The mel filters are librosa's."""

import librosa
import numpy as np
import pytest

from sktl.features import mel_filters

pytestmark = pytest.mark.filterwarnings("ignore:.*slated for removal:DeprecationWarning")


@pytest.mark.parametrize("htk", [False, True])
@pytest.mark.parametrize("norm", ["slaney", None, 1, 2.0, np.inf])
@pytest.mark.parametrize(
    "band", [{}, {"fmin": 125.0, "fmax": 3800.0}, {"n_fft": 511, "n_mels": 13, "sr": 22050}]
)
def test_filters_equal_librosa(htk, norm, band):
    options = {"sr": 8000, "n_fft": 512, "n_mels": 40, "htk": htk, "norm": norm, **band}
    expected = librosa.filters.mel(**options)
    actual = mel_filters(**options)
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-9)


def test_empty_bands_are_counted_in_a_warning():
    with pytest.warns(UserWarning, match="of n_mels=128 bands hold no FFT bin"):
        filters = mel_filters(sr=16000, n_fft=256, n_mels=128)
    assert (filters.sum(axis=1) == 0).any()


def test_default_leaves_no_band_empty():
    assert (mel_filters().sum(axis=1) > 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fmax": 9000.0}, r"fmax=9000.0 Hz but clips at sr=16000 Hz hold nothing above 8000"),
        ({"fmin": 8000.0}, r"fmin=8000.0 Hz is not below the highest frequency, 8000.0 Hz"),
        ({"fmin": 500.0, "fmax": 400.0}, "fmin=500.0 Hz is not below"),
        ({"sr": None}, "sr=None is not a sample rate"),
        ({"sr": 16}, "did you mean sr=16000"),
    ],
)
def test_impossible_bands_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        mel_filters(**options)
