"""Batches of short WAV files are bit-equal to the same files alone; others are left out."""

import os

import numpy as np
import pytest
import soundfile

from sktl.audio import _wav_batch
from sktl.audio._wav import read_wav
from sktl.audio._wav_batch import STAGING_BYTES, WavBatches, can_call_c

pytestmark = pytest.mark.skipif(not can_call_c(), reason="open, read and close are not POSIX's")
LONGEST = STAGING_BYTES // 2 - 23  # one byte of the header for each two samples less


@pytest.fixture
def write(tmp_path):
    """Write noise to a new file; some of its bytes can be put in place of others."""

    def write(n_samples, at=0, content=b"", sr=8000, subtype="PCM_16", channels=1):
        path = tmp_path / f"{len(os.listdir(tmp_path))} ö.wav"
        values = np.random.default_rng(n_samples).uniform(-1, 1, size=(n_samples, channels))
        soundfile.write(path, values, sr, subtype=subtype)
        data = path.read_bytes()
        path.write_bytes(data[:at] + content + data[at + len(content) :])
        return path

    return write


def assert_equal_to_files_alone(found, paths):
    for samples, path in zip(found, paths, strict=True):
        alone = read_wav(path)
        np.testing.assert_array_equal(samples.values, alone.values[:, 0])
        assert (samples.sr, samples.integers) == (alone.sr, True)
        assert samples.values.dtype == np.float32


def test_real_speech_is_that_of_files_alone(fsdd_dir):
    paths = sorted(fsdd_dir.glob("*_theo_*.wav"))[:80]
    batches, found = WavBatches(), []
    while len(found) < len(paths):
        found += batches.read(paths[len(found) :])
    assert_equal_to_files_alone(found, paths)


def test_lengths_and_rates_of_all_kinds(write):
    paths = [write(n, sr=sr) for n, sr in enumerate([8000, 16000, 11025, 44100, 192_000], 1)]
    assert_equal_to_files_alone(WavBatches().read([str(paths[0]), *paths[1:]]), paths)


def test_every_value_of_sixteen_bits(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.arange(-(2**15), 2**15).astype(np.int16), 16000)
    assert_equal_to_files_alone(WavBatches().read([tmp_path / "a.wav"]), [tmp_path / "a.wav"])


@pytest.mark.parametrize(
    ("at", "content"),
    [
        (0, b"RIFX"),
        (8, b"AVI "),
        (12, b"fmtt"),
        (16, b"\x12"),
        (20, b"\3"),
        (22, b"\2"),
        (24, b"\1"),
        (28, b"\1"),
        (32, b"\4"),
        (34, b"\x18"),
        (36, b"LIST"),
        (40, b"\0\0\0\0"),
        (40, b"\xff\xff\xff\xff"),
        (1044, b"x"),
    ],
)
def test_files_with_another_header_are_left_to_others(write, at, content):
    usual, unusual = write(500), write(500, at, content)
    first, second, third = WavBatches().read([usual, unusual, usual])
    assert second is None
    assert_equal_to_files_alone([first, third], [usual, usual])


@pytest.mark.parametrize(
    "options", [{"subtype": "PCM_24"}, {"subtype": "FLOAT"}, {"channels": 2}], ids=str
)
def test_other_encodings_are_left_to_others(write, options):
    assert WavBatches().read([write(300, **options)]) == [None]


def test_what_is_no_file_of_samples_is_left_to_others(tmp_path, write):
    empty, header, pipe = (tmp_path / name for name in ("empty.wav", "header.wav", "pipe.wav"))
    empty.write_bytes(b"")
    header.write_bytes(write(500).read_bytes()[:44])
    os.mkfifo(pipe)
    paths = [empty, header, pipe, tmp_path, tmp_path / "missing.wav"]
    found = WavBatches().read([*paths, usual := write(20)])
    assert found[:5] == [None] * 5
    assert_equal_to_files_alone(found[5:], [usual])


def test_a_path_that_no_file_can_have_is_not_cut_short(write):
    usual = write(20)
    assert WavBatches().read([f"{usual}\0.wav", usual]) == [None]


def test_a_batch_ends_where_a_file_does_not_fit(write):
    short, long = write(20), write(LONGEST - 600)
    batches = WavBatches()
    assert_equal_to_files_alone(batches.read([long, short, long, short]), [long, short])
    assert_equal_to_files_alone(batches.read([long]), [long])


def test_files_of_the_size_of_a_batch_are_left_to_others(write):
    longest, longer = write(LONGEST), write(LONGEST + 1)
    assert_equal_to_files_alone(WavBatches().read([longest]), [longest])
    assert WavBatches().read([longer]) == [None]
    short = write(20)
    assert_equal_to_files_alone(WavBatches().read([short, longer]), [short])


def test_no_file_stays_open(write):
    paths = [write(20), write(300, 0, b"RIFX")]
    batches = WavBatches()
    before = len(os.listdir("/dev/fd"))
    for _ in range(20):
        batches.read(paths)
    assert len(os.listdir("/dev/fd")) == before


def test_source_does_what_the_compiled_code_does(write):
    data = np.frombuffer(write(300).read_bytes(), dtype=np.uint8)
    unusual = np.frombuffer(write(300, 8, b"AVI ").read_bytes(), dtype=np.uint8)
    assert _wav_batch.is_usual(data)
    assert not any(map(_wav_batch.is_usual, (unusual, data[:44], data[:-1], data[:-2])))
    values = np.empty(300, dtype=np.float32)
    _wav_batch.to_float(data[44:].view(np.int16), values)
    np.testing.assert_array_equal(values, WavBatches().read([write(300)])[0].values)
