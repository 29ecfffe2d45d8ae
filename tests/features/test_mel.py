"""Log-mel spectrograms are librosa's, clip by clip."""

import librosa
import numpy as np
import pytest
import torch
from scipy.signal import get_window

from sktl.features import MelSpectrogram, _plan, mel_spectrogram

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*slated for removal:DeprecationWarning", "ignore:n_fft=.* is too large:UserWarning"
)

SPEECH = {"sr": 8000, "n_fft": 256, "hop_length": 80, "n_mels": 32}
OPTIONS = [
    {},
    {"sr": 16000, "n_fft": 512, "hop_length": 160, "n_mels": 64},
    {"n_fft": 400, "win_length": 200, "hop_length": 77},
    {"n_fft": 1024, "n_mels": 128},
    {"n_fft": 255, "n_mels": 20},
    {"center": False},
    {"window": "hamming"},
    {"window": ("kaiser", 4.0)},
    {"window": 4.0},
    {"window": np.blackman},
    {"window": get_window("hann", 256)},
    {"fmin": 125.0, "fmax": 3800.0},
    {"htk": True},
    {"norm": None},
    {"norm": np.inf},
    {"norm": 2.0},
    {"power": 1.0},
    {"power": 1.5},
    {"top_db": None},
    {"top_db": 30.0},
    {"ref": "max"},
    {"ref": 1e-3, "amin": 1e-6},
]
ids = [",".join(option) or "default" for option in OPTIONS]


def random_waveform(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) - 0.5


def librosa_level(y, *, ref=1.0, amin=1e-10, top_db=80.0, **options):
    power = librosa.feature.melspectrogram(y=y, **options)
    return librosa.power_to_db(power, ref=np.max if ref == "max" else ref, amin=amin, top_db=top_db)


@pytest.mark.parametrize("options", OPTIONS, ids=ids)
@pytest.mark.parametrize(("dtype", "atol"), [("float32", 2e-3), ("float64", 1e-6)])
def test_ragged_speech_equals_librosa(speech, options, dtype, atol, device):
    options = {**SPEECH, **options}
    spectrograms = MelSpectrogram(**options, dtype=dtype, device=device).fit_transform(speech)
    for y, actual in zip(speech, spectrograms, strict=True):
        assert actual.dtype == dtype
        expected = librosa_level(y.astype(dtype), **options)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


def test_files_equal_librosa_load(speech_paths, device):
    spectrograms = MelSpectrogram(n_jobs=2, device=device).fit_transform(speech_paths)
    options = {"sr": 16000, "n_fft": 512, "hop_length": 160, "n_mels": 64}
    for path, actual in zip(speech_paths, spectrograms, strict=True):
        expected = librosa_level(librosa.load(path, sr=16000)[0], **options)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-3)


def test_top_db_is_taken_per_clip_in_a_batch(speech, device):
    batch = np.stack([speech[0][:1200], 1e-3 * speech[1][:1200]])
    actual = MelSpectrogram(top_db=20.0, device=device, **SPEECH).fit_transform(batch)
    for y, spectrogram in zip(batch, actual, strict=True):
        expected = librosa_level(y, top_db=20.0, **SPEECH)
        np.testing.assert_allclose(spectrogram, expected, rtol=0, atol=2e-3)


def test_clip_of_several_blocks_equals_librosa(monkeypatch):
    monkeypatch.setattr(_plan, "BYTES_PER_BLOCK", 2**12)
    y = np.random.default_rng(0).normal(size=9000)
    options = {"sr": 8000, "n_fft": 16, "hop_length": 4, "n_mels": 2, "fmin": 500.0}
    actual = mel_spectrogram(torch.from_numpy(y), **options)
    np.testing.assert_allclose(actual, librosa_level(y, **options), rtol=0, atol=1e-6)


@pytest.mark.parametrize("n_samples", [1, 2, 160, 511])
def test_clips_shorter_than_a_frame_equal_librosa(n_samples):
    y = np.random.default_rng(0).uniform(-1, 1, size=n_samples)
    options = {"sr": 16000, "n_fft": 512, "hop_length": 160, "n_mels": 64}
    actual = mel_spectrogram(torch.from_numpy(y))
    np.testing.assert_allclose(actual, librosa_level(y, **options), rtol=0, atol=1e-6)


def test_silence_lies_at_amin():
    assert (mel_spectrogram(torch.zeros(3, 1000)) == -100.0).all()


def test_leading_dimensions_are_kept():
    y = random_waveform(2, 3, 1000)
    actual = mel_spectrogram(y)
    assert actual.shape == (2, 3, 64, 7)
    assert torch.equal(actual[1, 2], mel_spectrogram(y[1, 2]))


def test_gradients_reach_the_waveform():
    y = random_waveform(1000).requires_grad_()
    mel_spectrogram(y).sum().backward()
    assert torch.isfinite(y.grad).all()
    assert y.grad.any()


def test_defaults_of_function_and_estimator_agree(clips):
    expected = mel_spectrogram(torch.from_numpy(clips[0])).numpy()
    np.testing.assert_array_equal(MelSpectrogram(device="cpu").transform([clips[0]])[0], expected)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"win_length": 600}, "win_length=600 is longer than n_fft=512"),
        ({"window": np.ones(10)}, r"window has shape \(10,\) but frames are 512 samples"),
        ({"window": "hahn"}, "window='hahn' is not a window"),
        ({"fmax": 9000.0}, "fmax=9000.0 Hz but clips at sr=16000 Hz"),
        ({"sr": 8000, "fmin": 4000.0}, "fmin=4000.0 Hz is not below"),
        ({"norm": "area"}, "'norm' parameter of MelSpectrogram"),
        ({"ref": 0.0}, "'ref' parameter of MelSpectrogram"),
        ({"n_mels": 0}, "'n_mels' parameter of MelSpectrogram"),
        ({"top_db": -1.0}, "'top_db' parameter of MelSpectrogram"),
    ],
)
def test_impossible_parameters_are_refused(parameters, message):
    transformer = MelSpectrogram(**parameters)
    for method in (transformer.fit, transformer.transform):
        with pytest.raises(ValueError, match=message):
            method(np.zeros((2, 1000)))
