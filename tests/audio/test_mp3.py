"""MP3 files of which the decoder leaves frames out are errors; all others are read."""

import re

import numpy as np
import pytest
import soundfile

from sktl.audio import load_audio
from sktl.audio._mp3 import missing_from_mp3
from sktl.exceptions import AudioReadError

ID3V2 = b"ID3\4\0\0\0\0\2\4" + b"\xff\xf3" * 130
ID3V1 = b"TAG" + bytes(125)
MODES = ["CONSTANT", "AVERAGE", "VARIABLE"]


@pytest.fixture
def write(tmp_path):
    """Write noise: path and where the tag is."""

    def write(n_samples=60_000, sr=16000, mode="VARIABLE", level=0.5, n_channels=1):
        path = tmp_path / "clip.mp3"
        values = np.random.default_rng(0).uniform(-0.5, 0.5, size=(n_samples, n_channels))
        soundfile.write(path, values, sr, bitrate_mode=mode, compression_level=level)
        content = path.read_bytes()
        return path, max(content.find(b"Xing"), content.find(b"Info"))

    return write


def with_count(path, tag, count):
    content = bytearray(path.read_bytes())
    was = int.from_bytes(content[tag + 8 : tag + 12], "big")
    content[tag + 8 : tag + 12] = count(was).to_bytes(4, "big")
    path.write_bytes(content)
    return was


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [lambda n: n // 2, lambda n: n - 1], ids=["half", "one less"])
@pytest.mark.parametrize(("before", "after"), [(b"", b""), (ID3V2, ID3V1)])
def test_a_tag_that_counts_too_few_frames_is_an_error(write, mode, count, before, after):
    path, tag = write(mode=mode)
    n_frames = with_count(path, tag, count)
    path.write_bytes(before + path.read_bytes() + after)
    message = f"clip.mp3: contradicts itself: its header announces {count(n_frames)} frames, it "
    with pytest.raises(AudioReadError, match=re.escape(f"{message}holds {n_frames}.")):
        load_audio(path, 16000)


def test_of_other_encoders_one_frame_may_not_be_counted(write):
    path, tag = write()
    path.write_bytes(path.read_bytes().replace(b"LAME", b"ABCD"))
    n_frames = with_count(path, tag, lambda n: n - 1)
    assert missing_from_mp3(path, 60_000, 60_000) is None
    with_count(path, tag, lambda n: n - 1)
    assert f"{n_frames - 2} frames, it holds {n_frames}" in missing_from_mp3(path, 60_000, 60_000)


def test_without_a_count_a_file_is_refused_only_where_sound_is_lost(write):
    path, tag = write(mode="CONSTANT")
    with_count(path, tag, lambda n: 0)
    assert len(load_audio(path, 16000)) >= 60_000
    path, tag = write(mode="VARIABLE")
    with_count(path, tag, lambda n: 0)
    n_found = len(soundfile.read(path)[0])
    match = rf"clip\.mp3: does not say how many .*: {n_found} were decoded, .* frames hold 6\d{{4}}"
    with pytest.raises(AudioReadError, match=match):
        load_audio(path, 16000)


@pytest.mark.parametrize("n_samples", [1, 575, 1152, 1153, 30_000])
@pytest.mark.parametrize("sr", [8000, 11025, 16000, 24000, 32000, 44100, 48000])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n_channels", [1, 2])
def test_good_files_are_read_as_soundfile_does(write, n_samples, sr, mode, n_channels):
    path, _ = write(n_samples, sr, mode, n_channels=n_channels)
    path.write_bytes(ID3V2 + path.read_bytes() + ID3V1)
    expected, _ = soundfile.read(path, dtype="float32", always_2d=True)
    # The decoder's last bits vary from one call to the next.
    np.testing.assert_allclose(load_audio(path, sr), expected.mean(axis=1), rtol=0, atol=1e-4)


def test_nothing_is_said_of_what_holds_no_frames(tmp_path):
    for content in (b"", b"\xff", b"\xff\xfb", b"\xff\xfb\x90\0Xing", bytes(99), b"\xff" * 99):
        (tmp_path / "clip.mp3").write_bytes(content)
        assert missing_from_mp3(tmp_path / "clip.mp3", 0, 0) is None
