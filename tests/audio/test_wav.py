"""Plain WAV files are read bit-equal to soundfile; all others are left to it."""

import struct

import numpy as np
import pytest
import soundfile

from sktl.audio._wav import MAX_BYTES, read_wav

SUBTYPES = ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"]


def noise(n_samples, n_channels=1):
    values = np.random.default_rng(0).uniform(-1, 1, size=(n_samples, n_channels))
    values[:1], values[1:2] = 1, -1
    return values


def chunk(name, body):
    return name + struct.pack("<I", len(body)) + body


def assert_equals_soundfile(path):
    samples = read_wav(path)
    expected, sr = soundfile.read(path, dtype="float32", always_2d=True)
    assert samples.sr == sr
    assert samples.values.dtype == np.float32
    np.testing.assert_array_equal(samples.values, expected)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "clip.wav"


@pytest.mark.parametrize("n_samples", [1, 2, 37, 60_000])
@pytest.mark.parametrize("n_channels", [1, 2, 3])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
@pytest.mark.parametrize("subtype", SUBTYPES)
def test_plain_files_are_bit_equal_to_soundfile(path, subtype, kind, n_channels, n_samples):
    soundfile.write(path, noise(n_samples, n_channels), 22050, subtype=subtype, format=kind)
    assert_equals_soundfile(path)
    assert read_wav(path).integers == subtype.startswith("PCM")


@pytest.mark.parametrize("sr", [8000, 44100, 192_000])
def test_real_speech_is_bit_equal_to_soundfile(fsdd_dir, path, sr):
    for name in sorted(fsdd_dir.glob("*_theo_1*.wav"))[:10]:
        assert_equals_soundfile(name)
    soundfile.write(path, noise(9), sr)
    assert_equals_soundfile(path)


def test_every_value_of_sixteen_bits_and_many_of_more(path):
    soundfile.write(path, np.arange(-(2**15), 2**15).astype(np.int16), 16000)
    assert_equals_soundfile(path)
    values = np.random.default_rng(0).integers(-(2**31), 2**31, size=50_000, dtype=np.int32)
    values[:4] = -(2**31), 2**31 - 1, 2**31 - 64, 2**24 + 1
    for subtype in ("PCM_24", "PCM_32", "PCM_U8"):
        soundfile.write(path, values, 16000, subtype=subtype)
        assert_equals_soundfile(path)


TAGS = chunk(b"LIST", b"INFO" + chunk(b"ISFT", b"Lavf59\0\0"))
JUNK = chunk(b"JUNK", bytes(28))


@pytest.mark.parametrize("before", [b"", TAGS, JUNK + TAGS])
@pytest.mark.parametrize("after", [b"", TAGS, TAGS + JUNK])
def test_chunks_around_the_samples_are_passed_over(path, before, after):
    soundfile.write(path, noise(50, 2), 16000)
    content = path.read_bytes()
    where = content.index(b"data")
    path.write_bytes(content[:where] + before + content[where:] + after)
    assert_equals_soundfile(path)


def edited(content, position, value):
    return content[:position] + value + content[position + len(value) :]


DATA = 36
UNUSUAL = {
    "cut short": lambda content: content[:-1],
    "header alone": lambda content: content[:44],
    "no data chunk": lambda content: content[:DATA],
    "size of zero": lambda content: edited(content, DATA + 4, bytes(4)),
    "size unknown": lambda content: edited(content, DATA + 4, b"\xff" * 4),
    "size not whole frames": lambda content: edited(content, DATA + 4, struct.pack("<I", 97)),
    "big endian": lambda content: edited(content, 0, b"RIFX"),
    "64 bits": lambda content: edited(content, 0, b"RF64"),
    "not WAVE": lambda content: edited(content, 8, b"AVI "),
    "mu-law": lambda content: edited(content, 20, b"\7\0"),
    "no channels": lambda content: edited(content, 22, b"\0\0"),
    "frame size": lambda content: edited(content, 32, b"\4\0"),
    "byte rate": lambda content: edited(content, 28, b"\1\1\1\0"),
    "12 bits": lambda content: edited(content, 34, b"\x0c\0"),
    "second data": lambda content: content + chunk(b"data", bytes(8)),
    "unknown chunk": lambda content: content + chunk(b"abcd", bytes(8)),
    "torn tags": lambda content: content + chunk(b"LIST", b"INFOISFT\xff\0\0\0ab"),
    "garbage": lambda content: content + b"\1\2\3\4\5\6\7\x08",
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_files_are_left_to_soundfile(path, name):
    soundfile.write(path, noise(48), 16000)
    path.write_bytes(UNUSUAL[name](path.read_bytes()))
    assert read_wav(path) is None


def test_other_files_are_left_to_soundfile(path, tmp_path):
    for suffix in ("flac", "ogg", "mp3", "aiff"):
        soundfile.write(tmp_path / f"clip.{suffix}", noise(4000), 16000)
        assert read_wav(tmp_path / f"clip.{suffix}") is None
    path.write_bytes(b"")
    assert read_wav(path) is None
    assert read_wav(tmp_path / "missing.wav") is None


def test_large_files_are_left_to_soundfile(path):
    soundfile.write(path, np.zeros(MAX_BYTES // 2), 16000)
    assert read_wav(path) is None


def test_whatever_a_damaged_header_says_soundfile_agrees(path):
    rng = np.random.default_rng(0)
    n_read = 0
    for subtype in SUBTYPES:
        soundfile.write(path, noise(37, 2), 16000, subtype=subtype)
        content = path.read_bytes()
        for position in range(0, 60):
            path.write_bytes(edited(content, position, rng.bytes(1)))
            if read_wav(path) is not None:
                assert_equals_soundfile(path)
                n_read += 1
    assert n_read > 20
