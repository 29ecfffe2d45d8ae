"""ID3 tags before the sound of MP3 and FLAC files."""

from typing import BinaryIO

__all__ = ["skip_id3"]

HEADER_BYTES = 10
HAS_FOOTER = 0x10


def skip_id3(file: BinaryIO) -> int:
    """Seek behind the tags at the beginning of a file: where that is."""
    position = 0
    while True:
        file.seek(position)
        head = file.read(HEADER_BYTES)
        if len(head) < HEADER_BYTES or not head.startswith(b"ID3"):
            file.seek(position)
            return position
        footer = HEADER_BYTES if head[5] & HAS_FOOTER else 0
        position += HEADER_BYTES + _from_seven_bits(head[6:]) + footer


def _from_seven_bits(digits: bytes) -> int:
    """A size of four times seven bits."""
    first, second, third, fourth = digits
    return first << 21 | second << 14 | third << 7 | fourth
