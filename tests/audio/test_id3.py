"""Tags before the sound are passed over."""

import io

import pytest

from sktl.audio._id3 import skip_id3


def tag(n_bytes, flags=0):
    head = b"ID3\4\0" + bytes([flags, 0, 0, n_bytes >> 7, n_bytes & 127])
    return head + bytes(n_bytes) + (b"3DI" + bytes(7) if flags else b"")


@pytest.mark.parametrize("tags", [b"", tag(0), tag(300), tag(20) + tag(9), tag(5, flags=0x10)])
@pytest.mark.parametrize("rest", [b"", b"fLaC", b"ID3", bytes(20)])
def test_the_file_is_then_where_the_last_tag_ends(tags, rest):
    file = io.BytesIO(tags + rest)
    assert skip_id3(file) == len(tags)
    assert file.read() == rest
