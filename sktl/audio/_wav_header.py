"""Headers of WAV files whose numbers contradict each other, or what follows the samples."""

import os
from collections.abc import Iterator
from typing import BinaryIO

from ._wav import CHUNK, EXTENSIBLE, EXTENSION, FORMAT, IEEE_FLOAT, PCM

__all__ = ["UNKNOWN_SIZE", "contradiction_in_wav"]

# Programs that write to a pipe cannot know the size: they announce about 2 or 4 GiB.
UNKNOWN_SIZE = 0x7FFFF000
A_LAW, MU_LAW = 6, 7
# Of samples, of which no part means anything; compressed blocks may end early.
WITHOUT_BLOCKS = (PCM, IEEE_FLOAT, A_LAW, MU_LAW)
RIFF_BYTES = 12
BLOCK_BYTES = 2**16


def contradiction_in_wav(path: str | os.PathLike[str]) -> str | None:
    """Numbers in a header of which one at least is wrong, else None."""
    kind = frame_size = 0
    with open(path, "rb") as file:
        head = file.read(RIFF_BYTES)
        if len(head) < RIFF_BYTES or not head.startswith(b"RIFF"):
            return None
        _, riff_size = CHUNK.unpack_from(head)
        for name, size in _chunks(file):
            if name == b"fmt " and not kind:
                body = file.read(FORMAT.size + EXTENSION.size)
                if size < FORMAT.size or len(body) < FORMAT.size:
                    return None
                kind, frame_size = _kind(body), FORMAT.unpack_from(body)[4]
                contradiction = _contradiction_in_format(kind, *FORMAT.unpack_from(body)[1:])
                if contradiction:
                    return contradiction
            elif name == b"data":
                if not 0 < size < UNKNOWN_SIZE:
                    return None
                if kind in WITHOUT_BLOCKS and frame_size and size % frame_size:
                    return (
                        f"contradicts itself: its header announces {size} bytes of samples, and "
                        f"{frame_size} bytes for each"
                    )
                return _contradiction_behind(file, size, riff_size + CHUNK.size)
    return None


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Name and size of each chunk; the file is then at its body."""
    position = RIFF_BYTES
    while True:
        file.seek(position)
        head = file.read(CHUNK.size)
        if len(head) < CHUNK.size:
            return
        name, size = CHUNK.unpack(head)
        yield name, size
        position += CHUNK.size + size + size % 2


def _kind(body: bytes) -> int:
    kind: int = FORMAT.unpack_from(body)[0]
    if kind == EXTENSIBLE and len(body) == FORMAT.size + EXTENSION.size:
        kind = EXTENSION.unpack_from(body, FORMAT.size)[3]
    return kind


def _contradiction_in_format(
    kind: int, n_channels: int, sr: int, byte_rate: int, frame_size: int, bits: int
) -> str | None:
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


def _contradiction_behind(file: BinaryIO, size: int, riff_end: int) -> str | None:
    """What is wrong where something follows the samples that is no chunk; the file is at them."""
    start = file.tell()
    n_bytes = os.fstat(file.fileno()).st_size
    stop = start + size
    if riff_end >= UNKNOWN_SIZE or stop >= min(riff_end, n_bytes):
        return None
    # Some programs leave out the byte that makes a chunk even.
    for position in {stop, stop + size % 2}:
        if _is_chunk_or_padding(file, position, riff_end):
            return None
    return (
        f"contradicts itself: its header announces {size} bytes of samples, the size of the whole "
        f"leaves room for {riff_end - start}, and no chunk follows them"
    )


def _is_chunk_or_padding(file: BinaryIO, position: int, riff_end: int) -> bool:
    """Whether nothing but zeros is left, or after them a chunk begins that has room."""
    file.seek(position)
    while block := file.read(min(BLOCK_BYTES, riff_end - file.tell())):
        rest = block.lstrip(b"\0")
        if rest:
            break
    else:
        return True
    file.seek(-len(rest), os.SEEK_CUR)
    head = file.read(CHUNK.size)
    if len(head) < CHUNK.size:
        return False
    name, size = CHUNK.unpack(head)
    return name.isascii() and name.decode("ascii").isprintable() and file.tell() + size <= riff_end
