"""FLAC files whose header contradicts their frames are errors; all others are read."""

import re

import numpy as np
import pytest
import soundfile

from sktl.audio import load_audio
from sktl.audio._flac import contradiction_in_flac
from sktl.exceptions import AudioReadError

ID3V2 = b"ID3\4\0\0\0\0\2\4" + b"\xff\xf8" * 130
ID3V1 = b"TAG" + bytes(125)
FIELDS = slice(18, 26)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "clip.flac"


def noise(n_samples, n_channels=1):
    return np.random.default_rng(0).uniform(-0.5, 0.5, size=(n_samples, n_channels))


def change(content, **changes):
    """Add to fields of STREAMINFO."""
    fields = int.from_bytes(content[FIELDS], "big")
    fields += changes.get("sr", 0) << 44
    fields += changes.get("bits", 0) << 36
    fields += changes.get("n_samples", 0)
    return content[: FIELDS.start] + fields.to_bytes(8, "big") + content[FIELDS.stop :]


CONTRADICTIONS = [
    ({"sr": -8000}, "a rate of 8000 Hz, its frames 16000"),
    ({"bits": 8}, "24 bits, its frames 16"),
    ({"n_samples": -15_000}, "15000 samples, its frames hold 30000"),
    ({"n_samples": -1}, "29999 samples, its frames hold 30000"),
]


@pytest.mark.parametrize(("changes", "message"), CONTRADICTIONS)
@pytest.mark.parametrize(("before", "after"), [(b"", b""), (ID3V2, ID3V1)])
def test_a_header_that_contradicts_the_frames_is_an_error(path, changes, message, before, after):
    soundfile.write(path, noise(30_000), 16000)
    path.write_bytes(before + change(path.read_bytes(), **changes) + after)
    match = re.escape(f"clip.flac: contradicts itself: its header announces {message}.")
    with pytest.raises(AudioReadError, match=match):
        load_audio(path, 16000)


def test_the_last_frame_is_found_where_the_largest_is_unknown(path):
    soundfile.write(path, noise(30_000, 2), 16000, subtype="PCM_24")
    content = path.read_bytes()
    content = content[:12] + bytes(6) + content[18:]
    path.write_bytes(content)
    assert contradiction_in_flac(path) is None
    path.write_bytes(change(content, n_samples=-4096))
    assert "announces 25904 samples, its frames hold 30000" in contradiction_in_flac(path)


def test_an_unknown_number_of_samples_is_no_contradiction(path):
    soundfile.write(path, noise(5000), 16000)
    path.write_bytes(change(path.read_bytes(), n_samples=-5000))
    assert contradiction_in_flac(path) is None


def test_what_looks_like_a_frame_behind_the_last_one_is_none(path):
    soundfile.write(path, noise(5000), 16000)
    content = path.read_bytes()
    header = content[content.index(b"\xff\xf8") :][:6]
    path.write_bytes(content + header)
    assert contradiction_in_flac(path) is None


@pytest.mark.parametrize("n_samples", [1, 16, 4095, 4096, 4097, 50_000])
@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
@pytest.mark.parametrize("kind", ["noise", "silence", "constant"])
def test_good_files_are_read_as_soundfile_does(path, n_samples, n_channels, subtype, kind):
    values = noise(n_samples, n_channels) * (kind == "noise") + 0.3 * (kind == "constant")
    soundfile.write(path, values, 16000, subtype=subtype)
    path.write_bytes(ID3V2 + path.read_bytes() + ID3V1)
    expected, _ = soundfile.read(path, dtype="float32", always_2d=True)
    np.testing.assert_array_equal(load_audio(path, 16000), expected.mean(axis=1))


@pytest.mark.parametrize("sr", [8000, 7777, 11025, 12345, 22050, 44100, 96000, 176_400, 192_000])
def test_frames_give_their_rate_in_many_ways(path, sr):
    soundfile.write(path, noise(9000), sr)
    assert contradiction_in_flac(path) is None
    path.write_bytes(change(path.read_bytes(), sr=1))
    assert f"announces a rate of {sr + 1} Hz, its frames {sr}" in contradiction_in_flac(path)


def test_nothing_is_said_of_what_is_no_flac_file(path):
    for content in (b"", b"fLaC", b"fLaC\0\0\0\x22", ID3V2, bytes(99)):
        path.write_bytes(content)
        assert contradiction_in_flac(path) is None
