"""Ogg files: whether every page is there and whole (RFC 3533)."""

import os
import zlib
from struct import Struct
from typing import BinaryIO

__all__ = ["missing_from_ogg"]

MAGIC = b"OggS\0"
HEADER = Struct("<5sBqIIIB")  # magic and version, flags, position, stream, number, sum, segments
SUM = slice(22, 26)
LAST = 4  # a flag of the page that ends a stream
# The sum takes the highest bit of a byte first, zlib's the lowest.
MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def missing_from_ogg(path: str | os.PathLike[str], n_found: int) -> str | None:
    """What is wrong with a file of which `n_found` samples were decoded, else None.

    Decoders leave out damaged pages without a word.
    """
    next_numbers: dict[int, int] = {}
    is_last = False
    with open(path, "rb") as file:
        while True:
            start = file.tell()
            head = file.read(HEADER.size)
            if is_last and not head.startswith(MAGIC):  # a tag, as other formats end with
                return None
            if not MAGIC.startswith(head[: len(MAGIC)]):
                return f"is damaged: no Ogg page begins at byte {start}, where one should"
            if not head:
                return f"is cut short: no Ogg page is marked as the last, after {n_found} samples"
            page = _whole_page(file, head)
            if page is None:
                return f"is cut short: an Ogg page is incomplete after {n_found} samples"
            _, flags, _, stream, number, announced, _ = HEADER.unpack_from(page)
            if _page_sum(page) != announced:
                return f"is damaged: its Ogg page at byte {start} does not match its checksum"
            if number != next_numbers.get(stream, number):
                return f"is damaged: Ogg pages are missing before byte {start}"
            is_last = bool(flags & LAST)
            next_numbers[stream] = 0 if is_last else number + 1


def _whole_page(file: BinaryIO, head: bytes) -> bytes | None:
    if len(head) < HEADER.size:
        return None
    sizes = file.read(head[-1])
    body = file.read(sum(sizes))
    is_whole = len(sizes) == head[-1] and len(body) == sum(sizes)
    return head + sizes + body if is_whole else None


def _page_sum(page: bytes) -> int:
    """CRC-32 with the polynomial 0x04c11db7, begun with 0, of a page whose sum is 0."""
    blank = page[: SUM.start] + bytes(4) + page[SUM.stop :]
    mirrored = ~zlib.crc32(blank.translate(MIRRORED), 0xFFFFFFFF) & 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(MIRRORED), "big")
