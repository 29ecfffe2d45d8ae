"""Every format is decoded, mixed and resampled as librosa does it."""

import os
import struct

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


LOW, HIGH = (8000, 11025, 16000, 22050, 44100, 48000), (88_200, 96_000, 192_000)
RATES = {
    ("wav", "PCM_U8"): LOW + HIGH,
    ("wav", "PCM_16"): LOW + HIGH,
    ("wav", "PCM_24"): LOW + HIGH,
    ("wav", "PCM_32"): LOW + HIGH,
    ("wav", "FLOAT"): LOW + HIGH,
    ("wav", "DOUBLE"): LOW + HIGH,
    ("wav", "ULAW"): LOW,
    ("wav", "MS_ADPCM"): LOW,
    ("flac", "PCM_S8"): LOW + HIGH,
    ("flac", "PCM_16"): LOW + HIGH,
    ("flac", "PCM_24"): LOW + HIGH,
    ("ogg", "VORBIS"): LOW + HIGH,
    ("ogg", "OPUS"): (8000, 16000, 24000, 48000),
    ("mp3", None): LOW,
}


@pytest.mark.parametrize("n_channels", [1, 2, 5])
@pytest.mark.parametrize(("suffix", "subtype"), RATES)
def test_formats_equal_librosa_load(tmp_path, suffix, subtype, n_channels):
    if suffix == "mp3" or subtype == "MS_ADPCM":
        n_channels = min(n_channels, 2)
    path = tmp_path / f"clip.{suffix}"
    for file_sr in RATES[suffix, subtype]:
        soundfile.write(path, noise(5003, n_channels), file_sr, subtype=subtype)
        for sr in (file_sr, 16000, 22050):
            expected = librosa.load(path, sr=sr)[0]
            actual = load_audio(str(path), sr)
            assert actual.dtype == np.float32
            np.testing.assert_allclose(actual, expected, atol=1e-6, err_msg=f"{file_sr} to {sr}")


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


@pytest.mark.parametrize("suffix", ["wav", "mp3", "ogg"])
def test_a_file_of_no_bytes_is_said_to_be_empty(tmp_path, suffix):
    path = tmp_path / f"nothing.{suffix}"
    path.touch()
    with pytest.raises(AudioReadError, match=rf"nothing\.{suffix}: is empty: a file of no bytes"):
        load_audio(path, 16000)


def test_a_path_below_home_is_said_not_to_be_expanded():
    with pytest.raises(AudioReadError, match=r"~/a\.wav: no such file \('~' is not expanded\)"):
        load_audio("~/a.wav", 16000)


@pytest.mark.parametrize("suffix", ["wav", "aiff"])
@pytest.mark.parametrize("value", [2.0**32, -1e10, 1e38])
def test_floats_beyond_any_pcm_are_no_sound(tmp_path, suffix, value):
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, np.array([0.0, value]), 16000, subtype="FLOAT")
    with pytest.raises(AudioReadError, match=r"too large for any sound, up to "):
        load_audio(path, 16000)


@pytest.mark.parametrize("value", [2.0**31, -(2.0**31), 40_000.0])
def test_floats_of_the_size_of_pcm_are_read_as_they_are(tmp_path, value):
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.array([0.0, value]), 16000, subtype="FLOAT")
    np.testing.assert_array_equal(load_audio(path, 16000), [0, value])


def test_file_with_nan_is_named(tmp_path):
    path = tmp_path / "nan.wav"
    soundfile.write(path, np.array([0.0, np.nan]), 16000, subtype="FLOAT")
    with pytest.raises(AudioReadError, match=r"nan\.wav: holds NaN or infinity"):
        load_audio(path, 16000)


@pytest.mark.parametrize("n_channels", [2, 5])
def test_infinities_that_cancel_between_channels_are_named(tmp_path, n_channels):
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.resize([np.inf, -np.inf], (9, n_channels)), 16000, subtype="FLOAT")
    with pytest.raises(AudioReadError, match=r"clip\.wav: holds NaN or infinity"):
        load_audio(path, 16000)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(AudioReadError, match=r"pipe\.wav: no such file"):
        load_audio(tmp_path / "pipe.wav", 16000)


@pytest.mark.parametrize("suffix", ["wav", "aiff"])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_samples_too_large_are_told_from_infinity(tmp_path, suffix, subtype):
    path = tmp_path / f"clip.{suffix}"
    stereo = np.zeros((100_000, 2))
    stereo[-1] = 3e38 if subtype == "FLOAT" else -1e300
    soundfile.write(path, stereo, 16000, subtype=subtype)
    with pytest.raises(AudioReadError, match=r"too large for any sound, up to (3e\+38|1e\+300);"):
        load_audio(path, 16000)
    stereo[0] = np.nan
    soundfile.write(path, stereo, 16000, subtype=subtype)
    with pytest.raises(AudioReadError, match=r"clip\.\w+: holds NaN or infinity"):
        load_audio(path, 16000)


@pytest.mark.parametrize("n_samples", [1, 2, 3])
def test_very_short_files_have_the_length_that_librosa_gives(tmp_path, n_samples):
    path = tmp_path / "clip.wav"
    for file_sr in (8000, 44100, 192_000):
        soundfile.write(path, noise(n_samples), file_sr)
        expected = librosa.load(path, sr=16000)[0]
        np.testing.assert_allclose(load_audio(path, 16000), expected, atol=1e-6)


@pytest.mark.parametrize("sr", [0, 7, 99, 2_000_000, 2**32 - 1])
def test_an_absurd_sample_rate_is_an_error_that_names_the_file(tmp_path, sr):
    path = tmp_path / "clip.wav"
    soundfile.write(path, noise(99), 16000)
    content = bytearray(path.read_bytes())
    content[24:32] = struct.pack("<II", sr, 2 * sr % 2**32)
    path.write_bytes(content)
    with pytest.raises(AudioReadError, match=r"clip\.wav: (announces a sample|cannot be decoded)"):
        load_audio(path, 24000)
