"""MP3 files: what their Xing or Info tag counts against the frames that are there."""

import os
from functools import cache
from typing import NamedTuple

from ._id3 import skip_id3

__all__ = ["missing_from_mp3"]

# The tag begins within so many bytes of a frame, and ends within so many.
TAG_START, TAG_END = 64, 192
HAS_FRAMES, HAS_BYTES = 1, 2
# Their counts are exact; of others one frame may be left out.
EXACT_ENCODERS = (b"LAME", b"Lavf", b"Lavc")
# What is looked through for the first frame, which may follow padding.
MOST_PADDING = 4096
FRAME_HEADER_BYTES = 4
MPEG_1, MPEG_2 = 3, 2
LAYER_3 = 1
SAMPLE_RATES = (44100, 48000, 32000)
# In kbit/s by code; 0 is a rate of the file's own, which leaves the length open.
BIT_RATES = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}


class _Tag(NamedTuple):
    """What the first frame counts, None where it does not."""

    n_frames: int | None
    n_bytes: int | None
    is_exact: bool


def missing_from_mp3(path: str | os.PathLike[str], n_announced: int, n_found: int) -> str | None:
    """What is lost of a file that announces `n_announced` samples, else None.

    `n_found` were decoded: no more than the tag counts or, where it counts none, than the
    decoder estimates from the size of the file and the bit rate of its first frame.
    """
    with open(path, "rb") as file:
        skip_id3(file)
        content = file.read()
    n_frames, samples_per_frame, first = _count_frames(content)
    tag = _read_tag(content[first : first + TAG_END])
    n_spare = 2 * samples_per_frame
    if tag is not None and tag.n_frames:
        # It counts up to two frames too many.
        is_short = tag.n_bytes is not None and (
            tag.n_bytes > len(content) or n_announced - n_found > n_spare
        )
        if is_short and n_found < n_announced:
            return f"is cut short: its header announces {n_announced} samples, it holds {n_found}"
        if n_frames - 1 > tag.n_frames + (not tag.is_exact):
            return (
                f"contradicts itself: its header announces {tag.n_frames} frames, it holds "
                f"{n_frames - 1}"
            )
    elif n_frames * samples_per_frame - n_found > n_spare:
        return (
            f"does not say how many samples it holds: {n_found} were decoded, its {n_frames} "
            f"frames hold {n_frames * samples_per_frame}"
        )
    return None


def _read_tag(frame: bytes) -> _Tag | None:
    name = b"Xing" if b"Xing" in frame[:TAG_START] else b"Info"
    start = frame.find(name, 0, TAG_START)
    if start < 0 or len(frame) < start + 16:
        return None
    flags = frame[start + 7]
    counts = frame[start + 8 : start + 16]
    n_frames = n_bytes = None
    if flags & HAS_FRAMES:
        n_frames, counts = int.from_bytes(counts[:4], "big"), counts[4:]
    if flags & HAS_BYTES:
        n_bytes = int.from_bytes(counts[:4], "big")
    return _Tag(n_frames, n_bytes, any(name in frame for name in EXACT_ENCODERS))


def _count_frames(content: bytes) -> tuple[int, int, int]:
    """Whole frames that follow one another, samples in each, and where the first begins."""
    first = -1
    while (first := content.find(b"\xff", first + 1, MOST_PADDING)) >= 0:
        if first + FRAME_HEADER_BYTES > len(content):
            break
        kind, code = content[first + 1], content[first + 2]
        lengths, samples_per_frame = _lengths(kind, code >> 2 & 3)
        n_frames, stop = _hop(content, first, kind, lengths)
        if n_frames > 1 or (n_frames and stop == len(content)):
            return n_frames, samples_per_frame, first
    return 0, 1152, 0


def _hop(content: bytes, position: int, kind: int, lengths: list[int]) -> tuple[int, int]:
    """Whole frames of one kind, and where the last ends."""
    n_frames = 0
    size = len(content)
    last_header = size - FRAME_HEADER_BYTES
    while position <= last_header and content[position] == 0xFF and content[position + 1] == kind:
        stop = position + lengths[content[position + 2]]
        if stop == position or stop > size:
            break
        position = stop
        n_frames += 1
    return n_frames, position


@cache
def _lengths(kind: int, sr_code: int) -> tuple[list[int], int]:
    """Bytes of a frame by its third byte, 0 where it is of another kind; and its samples."""
    version, layer = kind >> 3 & 3, kind >> 1 & 3
    if kind < 0xE0 or version == 1 or layer != LAYER_3 or sr_code == 3:
        return [0] * 256, 1152
    is_1 = version == MPEG_1
    sr = SAMPLE_RATES[sr_code] >> (0 if is_1 else 1 if version == MPEG_2 else 2)
    samples_per_frame = 1152 if is_1 else 576
    lengths = [0] * 256
    for code in range(256):
        bit_rate = BIT_RATES[is_1][code >> 4]
        if bit_rate and code >> 2 & 3 == sr_code:
            lengths[code] = samples_per_frame * 125 * bit_rate // sr + (code >> 1 & 1)
    return lengths, samples_per_frame
