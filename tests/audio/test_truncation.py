"""Files cut short and headers that lie are errors that name the file."""

import re
import struct

import librosa
import numpy as np
import pytest
import soundfile
from sklearn.base import BaseEstimator

from sktl.audio import load_audio, validate_clips
from sktl.exceptions import AudioReadError

# audioread, which librosa imports, imports modules that Python is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:.*slated for removal:DeprecationWarning")

FORMATS = [
    ("wav", "PCM_16"),
    ("wav", "PCM_24"),
    ("wav", "FLOAT"),
    ("wav", "ULAW"),
    ("wav", "IMA_ADPCM"),
    ("rf64", "PCM_16"),
    ("w64", "PCM_16"),
    ("aiff", "PCM_16"),
    ("au", "PCM_16"),
    ("caf", "PCM_16"),
    ("flac", "PCM_16"),
    ("ogg", "VORBIS"),
    ("ogg", "OPUS"),
    ("mp3", None),
]


@pytest.fixture
def make(tmp_path):
    """Write 30,000 samples of noise at 24 kHz."""

    def write(suffix="wav", subtype=None, **options):
        path = tmp_path / f"clip.{suffix}"
        samples = np.random.default_rng(0).uniform(-0.5, 0.5, size=30_000)
        soundfile.write(path, samples, 24000, subtype=subtype, format=suffix.upper(), **options)
        return path

    return write


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize(("suffix", "subtype"), FORMATS)
def test_a_file_cut_short_is_an_error_that_names_it(make, suffix, subtype, share):
    path = make(suffix, subtype)
    content = path.read_bytes()
    assert len(load_audio(path, 24000)) >= 30_000
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(AudioReadError, match=rf"clip\.{suffix}: (is cut short|cannot be decoded)"):
        load_audio(path, 24000)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ULAW"])
@pytest.mark.parametrize("n_missing", [1, 10_000])
def test_samples_announced_and_found_are_counted(make, subtype, n_missing):
    path = make("wav", subtype)
    content = path.read_bytes()
    path.write_bytes(content[:-n_missing])
    n_found = soundfile.info(path).frames
    message = f"header announces 30000 samples, it holds {n_found}."
    with pytest.raises(AudioReadError, match=re.escape(message)):
        load_audio(path, 24000)


def test_a_compressed_file_says_what_it_announced(make):
    path = make("flac")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(AudioReadError, match="to the end of the 30000 samples it announces"):
        load_audio(path, 24000)
    path = make("mp3")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(AudioReadError, match=r"announces 30000 samples, it holds 2\d{4}\."):
        load_audio(path, 24000)


def test_all_files_cut_short_are_named(make, tmp_path):
    content = make().read_bytes()
    paths = [tmp_path / f"{index}.wav" for index in range(4)]
    for index, path in enumerate(paths):
        path.write_bytes(content[: len(content) - 2 * (index % 2)])
    clips = validate_clips(BaseEstimator(), paths, sr=16000, reset=True)
    with pytest.raises(AudioReadError, match=r"(?s)2 of 4 .*1\.wav: is cut.*3\.wav: is cut"):
        list(clips.chunks(2))


def with_sizes(content, riff, data):
    content = bytearray(content)
    where = content.index(b"data")
    content[4:8] = struct.pack("<I", riff)
    content[where + 4 : where + 8] = struct.pack("<I", data)
    return bytes(content)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0x80000000])
def test_wav_of_unknown_length_is_read_to_its_end(make, size):
    path = make()
    whole = load_audio(path, 24000)
    path.write_bytes(with_sizes(path.read_bytes(), size, size))
    np.testing.assert_array_equal(load_audio(path, 24000), whole)


@pytest.mark.parametrize("riff", [0, 36, 0xFFFFFFFF])
def test_a_wrong_size_of_the_whole_file_does_not_matter(make, riff):
    path = make()
    whole = load_audio(path, 24000)
    path.write_bytes(with_sizes(path.read_bytes(), riff, 60_000))
    np.testing.assert_array_equal(load_audio(path, 24000), whole)


def test_a_smaller_size_is_believed(make):
    path = make()
    path.write_bytes(with_sizes(path.read_bytes(), 40_036, 40_000))
    np.testing.assert_array_equal(load_audio(path, 24000), librosa.load(path, sr=None)[0])
    assert len(load_audio(path, 24000)) == 20_000


def test_a_size_of_zero_is_no_samples(make):
    path = make()
    path.write_bytes(with_sizes(path.read_bytes(), 36, 0))
    with pytest.raises(AudioReadError, match=r"clip\.wav: holds no samples"):
        load_audio(path, 24000)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize(
    ("position", "number", "what"),
    [(22, 2, "2 channels of"), (32, 5, "and 5 bytes"), (34, 8, "1 channels of 8 bits")],
)
def test_a_header_that_contradicts_itself_is_an_error(make, subtype, position, number, what):
    path = make("wav", subtype)
    content = bytearray(path.read_bytes())
    content[position] = number
    path.write_bytes(content)
    with pytest.raises(AudioReadError, match=rf"clip\.wav: contradicts itself.* {what}"):
        load_audio(path, 24000)


@pytest.mark.parametrize("byte_rate", [0, 48_000])
def test_a_byte_rate_of_another_sample_rate_is_an_error_and_none_is_not(make, byte_rate):
    path = make("wav", "PCM_16")
    whole = load_audio(path, 24000)
    content = bytearray(path.read_bytes())
    content[28:32] = struct.pack("<I", byte_rate)
    path.write_bytes(content)
    np.testing.assert_array_equal(load_audio(path, 24000), whole)
    content[24:28] = struct.pack("<I", 8000)
    path.write_bytes(content)
    if byte_rate:
        match = r"clip\.wav: contradicts itself.* 8000 Hz with 2 bytes .* 48000 bytes a second"
        with pytest.raises(AudioReadError, match=match):
            load_audio(path, 8000)
    else:
        np.testing.assert_array_equal(load_audio(path, 8000), whole)


def test_flac_with_other_counts(make):
    path = make("flac")
    content = bytearray(path.read_bytes())
    fields = int.from_bytes(content[18:26], "big")
    assert fields % 2**36 == 30_000

    def count(n_samples):
        content[18:26] = (fields - 30_000 + n_samples).to_bytes(8, "big")
        path.write_bytes(content)

    for n_samples in (30_001, 2**36 - 1):
        count(n_samples)
        with pytest.raises(AudioReadError, match=rf"cannot be decoded.*{n_samples} samples"):
            load_audio(path, 24000)
    count(0)
    with pytest.raises(AudioReadError, match="does not say how many samples"):
        load_audio(path, 24000)


def without_tag(content):
    """The frames of an MP3 file after the first, which holds the tag."""
    return content[content.index(content[:2], 100) :]


def test_mp3_without_a_tag_announces_nothing(make):
    path = make("mp3", bitrate_mode="CONSTANT", compression_level=0.5)
    content = without_tag(path.read_bytes())
    assert b"Xing" not in content
    for share in (1, 0.6):
        path.write_bytes(content[: int(share * len(content))])
        expected = librosa.load(path, sr=None)[0]
        np.testing.assert_allclose(load_audio(path, 24000), expected, rtol=0, atol=1e-4)


def test_mp3_behind_id3_tags_is_whole_or_not(make):
    path = make("mp3")
    content = path.read_bytes()
    before = b"ID3\4\0\0" + bytes([0, 0, 2, 4]) + bytes(260)
    after = b"TAG" + bytes(125)
    path.write_bytes(before + content + after)
    assert len(load_audio(path, 24000)) == 30_000
    path.write_bytes(before + content[:-3000])
    with pytest.raises(AudioReadError, match="is cut short"):
        load_audio(path, 24000)


def test_what_is_left_of_an_mp3_file_is_said_to_be_no_audio(make):
    path = make("mp3")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(AudioReadError, match=r"clip\.mp3: .*cut short, damaged or no audio file"):
        load_audio(path, 24000)
