"""WAV headers that contradict themselves or what follows are errors on every path."""

import re
import struct

import numpy as np
import pytest
import soundfile
from sklearn.base import BaseEstimator

from sktl.audio import load_audio, validate_clips
from sktl.audio._ahead import FILES_WORTH_COMPILING
from sktl.audio._wav import MAX_BYTES
from sktl.audio._wav_header import contradiction_in_wav
from sktl.exceptions import AudioReadError

N_SHORT, N_LARGE = 1000, MAX_BYTES // 2


@pytest.fixture
def make(tmp_path):
    def make(n_samples=N_SHORT, size=None, behind=b"", subtype="PCM_16"):
        """Noise with another size of its samples, and something behind them."""
        path = tmp_path / "clip.wav"
        values = np.random.default_rng(0).uniform(-0.5, 0.5, size=n_samples)
        soundfile.write(path, values, 16000, subtype=subtype)
        content = bytearray(path.read_bytes()) + behind
        where = content.index(b"data") + 4
        if size is not None:
            content[where : where + 4] = struct.pack("<I", size)
        content[4:8] = struct.pack("<I", len(content) - 8)
        path.write_bytes(content)
        return path

    return make


@pytest.mark.parametrize("n_samples", [N_SHORT, N_LARGE])
@pytest.mark.parametrize("n_less", [1, 2, 6, 1000])
def test_samples_beyond_the_size_are_an_error(make, n_samples, n_less):
    size = 2 * n_samples - n_less
    path = make(n_samples, size)
    message = f"announces {size} bytes of samples, " + (
        "and 2 bytes for each"
        if size % 2
        else f"the size of the whole leaves room for {2 * n_samples}, and no chunk follows them"
    )
    with pytest.raises(
        AudioReadError, match=re.escape(f"clip.wav: contradicts itself: its header {message}")
    ):
        load_audio(path, 16000)


@pytest.mark.parametrize("size", [2 * N_SHORT - 1, 2 * N_SHORT - 800])
def test_files_read_many_at_a_time_are_refused_alike(make, tmp_path, size):
    wrong = make(size=size).rename(tmp_path / "wrong.wav")
    paths = [make()] * FILES_WORTH_COMPILING
    paths[30] = wrong
    clips = validate_clips(BaseEstimator(), paths, sr=16000, reset=True)
    with pytest.raises(
        AudioReadError, match=rf"1 of .*\n.*wrong\.wav: contradicts .* {size} bytes"
    ):
        list(clips.chunks(100))


@pytest.mark.parametrize("n_samples", [N_SHORT, N_LARGE])
@pytest.mark.parametrize(
    "behind",
    [
        b"\0",
        bytes(100),
        b"abcd\4\0\0\0wxyz",
        b"id3 \3\0\0\0xyz",
        bytes(4) + b"LIST\4\0\0\0INFO",
        b"abcd\0\0\0\0",
    ],
)
def test_chunks_and_zeros_may_follow(make, n_samples, behind):
    whole = load_audio(make(n_samples), 16000)
    path = make(n_samples, behind=behind)
    np.testing.assert_array_equal(load_audio(path, 16000), whole)


@pytest.mark.parametrize("behind", [b"\1", b"\0\1", b"abcdefg", b"ab\1d\0\0\0\0", b"abcd\1\0\0\0"])
def test_what_is_no_chunk_may_not(make, behind):
    n_bytes = 2 * N_SHORT
    message = f"announces {n_bytes} bytes .* leaves room for {n_bytes + len(behind)}, and no chunk"
    with pytest.raises(AudioReadError, match=message):
        load_audio(make(behind=behind), 16000)


def test_a_byte_that_makes_the_samples_even_may_be_there_or_not(make):
    for behind in (b"", b"\0", b"\1", b"\0abcd\0\0\0\0", b"abcd\0\0\0\0"):
        path = make(37, size=37, behind=behind, subtype="PCM_U8")
        content = path.read_bytes()
        if len(content) - len(behind) == 82:  # libsndfile has written the byte itself
            path.write_bytes(content[:81] + behind)
        assert contradiction_in_wav(path) is None


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF001])
def test_sizes_that_mean_unknown_contradict_nothing(make, size):
    assert contradiction_in_wav(make(size=size)) is None


def test_nothing_is_said_of_what_is_no_wav_file(tmp_path):
    for content in (b"", b"RIFF", b"RIFX" + bytes(50), b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\1\0"):
        (tmp_path / "clip.wav").write_bytes(content)
        assert contradiction_in_wav(tmp_path / "clip.wav") is None
