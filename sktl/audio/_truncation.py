"""Files cut short: what their headers announce against what is there."""

import os
import re
from typing import Any

from ._ogg import missing_from_ogg
from ._wav import CHUNK, EXTENSIBLE, EXTENSION, FIRST_BYTES, FORMAT, IEEE_FLOAT, PCM

__all__ = ["missing_part"]

# Programs that write to a pipe cannot know the size: they announce about 2 or 4 GiB.
UNKNOWN_SIZE = 0x7FFFF000
# The sizes that libsndfile corrects without an error; another line may quote a tag.
DATA_SIZE = re.compile(r"^ *data *: (\d+) \(should be (\d+)\)", re.M)
ANY_SIZE = re.compile(r"^ *[\w ]{4,10} *: (\d+) \(should be (\d+)\)", re.M)
LARGEST_FRAME = 64
SAMPLES_PER_MP3_FRAME = 1152


def missing_part(path: str | os.PathLike[str], file: Any, n_found: int) -> str | None:
    """What the file announces and lacks, or contradicts; None when it is whole.

    Parameters
    ----------
    path : str or PathLike
        Of a regular file.
    file : soundfile.SoundFile
        The same, opened.
    n_found : int
        Samples decoded from it.
    """
    if file.format == "MP3":
        return _missing_from_mp3(path, file.frames, n_found)
    damage = missing_from_ogg(path, n_found) if file.format == "OGG" else None
    if damage:
        return damage
    if n_found < file.frames:
        return _cut_short(file.frames, n_found)
    if file.format in ("FLAC", "OGG"):
        return None
    wav = file.format in ("WAV", "WAVEX")
    contradiction = _contradiction(path) if wav else None
    if contradiction:
        return contradiction
    sizes = (DATA_SIZE if wav else ANY_SIZE).findall(file.extra_info)
    for announced, found in ((int(a), int(b)) for a, b in sizes):
        if found < announced < UNKNOWN_SIZE:
            frame_size = found // n_found if wav and n_found > LARGEST_FRAME else 0
            if frame_size:
                return _cut_short(announced // frame_size, n_found)
            return f"is cut short: its header announces {announced} bytes, it has {found}"
    return None


def _contradiction(path: str | os.PathLike[str]) -> str | None:
    """Sizes in a header of which one at least is wrong."""
    with open(path, "rb") as file:
        head = file.read(FIRST_BYTES)
    position = head.find(b"fmt ", 12) + CHUNK.size
    if not head.startswith(b"RIFF") or not 20 <= position <= len(head) - 40:
        return None
    kind, n_channels, sr, byte_rate, frame_size, bits = FORMAT.unpack_from(head, position)
    if kind == EXTENSIBLE:
        kind = EXTENSION.unpack_from(head, position + FORMAT.size)[3]
    if kind not in (PCM, IEEE_FLOAT):
        return None
    if frame_size != n_channels * -(-bits // 8):
        return (
            f"contradicts itself: its header announces {n_channels} channels of {bits} bits, and "
            f"{frame_size} bytes for all of them"
        )
    # Some programs leave it out, others forget that bits are filled up to bytes.
    if byte_rate not in (0, sr * frame_size, sr * n_channels * bits // 8):
        return (
            f"contradicts itself: its header announces a rate of {sr} Hz with {frame_size} bytes "
            f"a sample, and {byte_rate} bytes a second"
        )
    return None


def _cut_short(n_announced: int, n_found: int) -> str:
    return f"is cut short: its header announces {n_announced} samples, it holds {n_found}"


def _missing_from_mp3(path: str | os.PathLike[str], n_announced: int, n_found: int) -> str | None:
    """Only a Xing or Info tag counts samples, up to two frames too many, and bytes."""
    with open(path, "rb") as file:
        head = file.read(10)
        start = _id3_size(head) if head.startswith(b"ID3") else 0
        file.seek(start)
        frame = file.read(64)
        n_bytes = os.fstat(file.fileno()).st_size - start
    _, tag, fields = frame.partition(b"Xing" if b"Xing" in frame else b"Info")
    if not tag or fields[3] & 3 != 3 or n_found >= n_announced:
        return None
    is_short = int.from_bytes(fields[8:12], "big") > n_bytes
    if is_short or n_announced - n_found > 2 * SAMPLES_PER_MP3_FRAME:
        return _cut_short(n_announced, n_found)
    return None


def _id3_size(head: bytes) -> int:
    """Length of the tag before the first frame, from four times seven bits."""
    first, second, third, fourth = head[6:10]
    return 10 + (first << 21 | second << 14 | third << 7 | fourth)
