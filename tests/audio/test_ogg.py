"""Ogg files lack nothing only when every page is there and matches its checksum."""

import re

import numpy as np
import pytest
import soundfile

from sktl.audio import load_audio
from sktl.audio._ogg import missing_from_ogg
from sktl.exceptions import AudioReadError


@pytest.fixture
def make(tmp_path):
    """Write noise at 24 kHz."""

    def write(subtype="VORBIS", n_samples=99_000):
        path = tmp_path / "clip.ogg"
        samples = np.random.default_rng(0).uniform(-0.5, 0.5, size=n_samples)
        soundfile.write(path, samples, 24000, subtype=subtype, format="OGG")
        return path

    return write


def pages_of(content):
    starts = [match.start() for match in re.finditer(b"OggS", content)]
    return [content[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True)]


def test_a_file_is_whole_when_its_pages_are(make):
    path = make(n_samples=30_000)
    pages = pages_of(path.read_bytes())
    assert missing_from_ogg(path, 30_000) is None
    path.write_bytes(b"".join(pages) + b"trailing bytes")
    assert len(load_audio(path, 24000)) == 30_000
    path.write_bytes(b"".join(pages[:-1]))
    assert 0 < soundfile.info(path).frames < 30_000
    with pytest.raises(AudioReadError, match=r"clip\.ogg: is cut short: no Ogg page is marked"):
        load_audio(path, 24000)
    for begun in (1, 4, 20, 27, 28, 60):
        path.write_bytes(b"".join(pages[:-1]) + pages[-1][:begun])
        with pytest.raises(AudioReadError, match=r"clip\.ogg: is cut short: an Ogg page"):
            load_audio(path, 24000)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_damaged_page_is_an_error_where_decoders_leave_it_out(make, subtype, place):
    path = make(subtype)
    content = bytearray(path.read_bytes())
    starts = [match.start() for match in re.finditer(b"OggS", content)]
    start = {"first": starts[2], "middle": starts[4], "last": starts[-1]}[place]
    content[start + 300] ^= 1
    path.write_bytes(content)
    assert len(soundfile.read(path)[0]) < 99_000
    match = rf"clip\.ogg: is damaged: its Ogg page at byte {start} does not match its checksum"
    with pytest.raises(AudioReadError, match=match):
        load_audio(path, 24000)


def test_a_page_left_out_or_overwritten_is_an_error(make):
    path = make()
    pages = pages_of(path.read_bytes())
    path.write_bytes(b"".join(pages[:3] + pages[4:]))
    with pytest.raises(AudioReadError, match=r"clip\.ogg: is damaged: Ogg pages are missing"):
        load_audio(path, 24000)
    path.write_bytes(b"".join([*pages[:3], b"?" + pages[3][1:], *pages[4:]]))
    with pytest.raises(AudioReadError, match=r"clip\.ogg: is damaged: no Ogg page begins at"):
        load_audio(path, 24000)


def test_streams_one_after_the_other_are_counted_apart(make):
    content = make().read_bytes()
    path = make(n_samples=30_000)
    pages = pages_of(content)
    path.write_bytes(content + path.read_bytes())
    assert missing_from_ogg(path, 129_000) is None
    path.write_bytes(content + b"".join(pages[:-1]))
    assert missing_from_ogg(path, 129_000).startswith("is cut short: no Ogg page is marked")
