"""Features are librosa's for clips of any mix of lengths, at any rate, with any options."""

import librosa
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sktl.features import LPC, MFCC, MelSpectrogram

pytestmark = pytest.mark.filterwarnings("ignore:.*slated for removal:DeprecationWarning")

few = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.data_too_large, HealthCheck.too_slow],
)


@st.composite
def corpora(draw):
    """A rate, and clips of 1 to 10 s: coloured noise that swells and fades."""
    sr = draw(st.sampled_from([8000, 11025, 16000, 22050, 44100]))
    seconds = draw(st.lists(st.floats(1.0, 10.0), min_size=1, max_size=3))
    gain = 10.0 ** draw(st.floats(-3.0, 0.0))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    clips = []
    for duration in seconds:
        white = rng.normal(size=round(duration * sr))
        coloured = np.convolve(white, rng.normal(size=8), mode="same")
        swell = 0.55 - 0.45 * np.cos(np.linspace(0, 6 * np.pi, len(white)))
        clips.append(gain * swell * coloured / np.abs(coloured).max())
    return sr, clips


@st.composite
def framings(draw, sr):
    """Options of the short-time transform."""
    n_fft = draw(st.sampled_from([256, 400, 441, 512, 551, 882, 1000, 1024, 1103, 2048]))
    return {
        "sr": sr,
        "n_fft": n_fft,
        "win_length": draw(st.sampled_from([None, n_fft // 2, n_fft])),
        "hop_length": draw(st.integers(64, n_fft)),
        "window": draw(st.sampled_from(["hann", "hamming", "blackman", ("kaiser", 6.0)])),
        "center": draw(st.booleans()),
        "power": draw(st.sampled_from([1.0, 2.0])),
        "n_mels": draw(st.integers(4, 40)),
        "fmin": draw(st.floats(0.0, 300.0)),
        "fmax": draw(st.sampled_from([None, sr / 2, sr / 2.5])),
        "htk": draw(st.booleans()),
    }


@few
@pytest.mark.filterwarnings("ignore:.* bands hold no FFT bin", "ignore:Empty filters detected")
@given(data=st.data())
def test_log_mel_spectrogram(data):
    sr, clips = data.draw(corpora())
    options = data.draw(framings(sr))
    norm = data.draw(st.sampled_from(["slaney", None, 1.0]))
    top_db = data.draw(st.sampled_from([80.0, 40.0, None]))
    for dtype, atol in (("float32", 2e-3), ("float64", 1e-6)):
        transformer = MelSpectrogram(**options, norm=norm, top_db=top_db, dtype=dtype)
        for y, actual in zip(clips, transformer.fit_transform(clips), strict=True):
            power = librosa.feature.melspectrogram(y=y.astype(dtype), norm=norm, **options)
            expected = librosa.power_to_db(power, top_db=top_db)
            np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


@few
@pytest.mark.filterwarnings("ignore:.* bands hold no FFT bin", "ignore:Empty filters detected")
@given(data=st.data())
def test_cepstral_coefficients(data):
    sr, clips = data.draw(corpora())
    options = data.draw(framings(sr))
    options["n_mfcc"] = data.draw(st.integers(1, options["n_mels"]))
    options["lifter"] = data.draw(st.sampled_from([0, 22]))
    options["dct_type"] = data.draw(st.sampled_from([1, 2, 3]))
    deltas = data.draw(st.sampled_from([0, 1, 2]))
    for dtype, atol in (("float32", 2e-3), ("float64", 1e-6)):
        transformer = MFCC(**options, pooling=None, deltas=deltas, dtype=dtype)
        for y, actual in zip(clips, transformer.fit_transform(clips), strict=True):
            frames = librosa.feature.mfcc(y=y.astype(dtype), **options)
            mode = "interp" if frames.shape[1] >= 9 else "nearest"
            parts = [
                librosa.feature.delta(frames, order=order, mode=mode)
                for order in range(1, deltas + 1)
            ]
            scale = max(1.0, options["lifter"] / 2)
            expected = np.concatenate([frames, *parts])
            np.testing.assert_allclose(actual, expected, rtol=0, atol=atol * scale)


@few
@given(data=st.data())
def test_linear_prediction(data):
    sr, clips = data.draw(corpora())
    order = data.draw(st.integers(1, 20))
    frame_length = data.draw(st.integers(10 * order, 600))
    hop_length = data.draw(st.integers(80, 600))
    center = data.draw(st.booleans())
    transformer = LPC(
        order,
        sr=sr,
        frame_length=frame_length,
        hop_length=hop_length,
        center=center,
        pooling=None,
        dtype="float64",
    )
    for y, actual in zip(clips, transformer.fit_transform(clips), strict=True):
        padded = np.pad(y, frame_length // 2 if center else 0)
        frames = librosa.util.frame(padded, frame_length=frame_length, hop_length=hop_length)
        expected = librosa.lpc(frames, order=order, axis=0)[1:]
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-9)
