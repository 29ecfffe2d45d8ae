"""Files are read as librosa reads them, and what cannot be read is named."""

import librosa
import numpy as np
import pytest
import soundfile

from sktl.audio import load_audio
from sktl.exceptions import AudioReadError

# audioread, which librosa imports, imports modules that Python is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:.*slated for removal:DeprecationWarning")


def noise(n_samples, n_channels=1):
    return np.random.default_rng(0).uniform(-0.5, 0.5, size=(n_samples, n_channels))


@pytest.mark.parametrize("sr", [8000, 16000, 22050])
def test_real_speech_equals_librosa_load(fsdd_dir, sr):
    for path in sorted(fsdd_dir.glob("*_jackson_1*.wav"))[:5]:
        np.testing.assert_array_equal(load_audio(path, sr), librosa.load(path, sr=sr)[0])


@pytest.mark.parametrize(
    ("suffix", "subtype", "file_sr", "n_channels"),
    [
        ("wav", "PCM_16", 44100, 2),
        ("wav", "PCM_24", 48000, 1),
        ("wav", "FLOAT", 16000, 3),
        ("flac", "PCM_16", 22050, 2),
        ("ogg", "VORBIS", 44100, 1),
        ("mp3", None, 44100, 2),
    ],
)
def test_formats_equal_librosa_load(tmp_path, suffix, subtype, file_sr, n_channels):
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, noise(5003, n_channels), file_sr, subtype=subtype)
    expected = librosa.load(path, sr=16000)[0]
    actual = load_audio(str(path), 16000)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(AudioReadError, match=r"gone\.wav: no such file"):
        load_audio(tmp_path / "gone.wav", 16000)


def test_folder_is_not_a_file(tmp_path):
    with pytest.raises(AudioReadError, match="no such file"):
        load_audio(tmp_path, 16000)


def test_undecodable_file_is_named(tmp_path):
    path = tmp_path / "text.wav"
    path.write_text("not audio")
    with pytest.raises(AudioReadError, match=r"text\.wav: cannot be decoded"):
        load_audio(path, 16000)


def test_file_without_samples_is_named(tmp_path):
    path = tmp_path / "empty.wav"
    soundfile.write(path, np.zeros(0), 16000)
    with pytest.raises(AudioReadError, match=r"empty\.wav: holds no samples"):
        load_audio(path, 16000)


def test_file_with_nan_is_named(tmp_path):
    path = tmp_path / "nan.wav"
    soundfile.write(path, np.array([0.0, np.nan]), 16000, subtype="FLOAT")
    with pytest.raises(AudioReadError, match=r"nan\.wav: holds NaN or infinity"):
        load_audio(path, 16000)


@pytest.mark.parametrize("sr", [None, "16000", 0, -1, float("nan"), True])
def test_nonsensical_sample_rate_is_refused(tmp_path, sr):
    with pytest.raises(ValueError, match=r"in Hz, e\.g\. sr=16000"):
        load_audio(tmp_path / "clip.wav", sr)


def test_sample_rate_in_khz_is_refused(tmp_path):
    with pytest.raises(ValueError, match="did you mean sr=16000"):
        load_audio(tmp_path / "clip.wav", 16)
