"""FLAC files: whether their frames are those that the header announces (RFC 9639)."""

import os
from struct import Struct
from typing import BinaryIO, NamedTuple

from ._id3 import skip_id3

__all__ = ["contradiction_in_flac"]

MAGIC = b"fLaC"
LAST_BLOCK = 0x80
# Smallest and largest block, smallest and largest frame; then rate, channels, bits and samples.
STREAM_INFO = Struct(">HH3s3sQ")
STREAM_INFO_BYTES = 34
ID3V1_BYTES = 128
MOST_HEADER_BYTES = 16

SEE_STREAM_INFO = 0
RATES = [0, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000]
BITS = [0, 8, 12, None, 16, 20, 24, 32]
BLOCK_SIZES = [None, 192, *(576 << i for i in range(4)), None, None, *(256 << i for i in range(8))]
# By code: bytes at the end of the header that give the number, and their unit.
WRITTEN_BLOCK_SIZES = {6: 1, 7: 2}
WRITTEN_RATES = {12: (1, 1000), 13: (2, 1), 14: (2, 10)}
INDEPENDENT_CHANNELS, STEREO_CODES = 8, 3
# The fields of _Format.
WHAT = ("a rate of {} Hz", "{} channels", "{} bits")


class _Format(NamedTuple):
    """What STREAMINFO and the frames say alike; 0 in a frame that leaves it to STREAMINFO."""

    sr: int
    n_channels: int
    bits: int


class _StreamInfo(NamedTuple):
    format: _Format
    n_samples: int
    most_frame_bytes: int


class _Frame(NamedTuple):
    format: _Format
    number: int
    """Of the frame, or of its first sample where blocks vary in size."""
    block_size: int


def contradiction_in_flac(path: str | os.PathLike[str]) -> str | None:
    """How the header contradicts the first or the last frame, else None.

    Nothing is said of files that the decoder refuses anyhow.
    """
    with open(path, "rb") as file:
        skip_id3(file)
        info = _read_stream_info(file)
        if info is None:
            return None
        start = file.tell()
        head = file.read(MOST_HEADER_BYTES)
        first = _parse_frame(head)
        if first is None:
            return None
        for announced, found, what in zip(info.format, first.format, WHAT, strict=True):
            if found not in (SEE_STREAM_INFO, announced):
                return (
                    f"contradicts itself: its header announces {what.format(announced)}, its "
                    f"frames {found}"
                )
        if not info.n_samples:
            return None
        tail = _read_tail(file, start, info.most_frame_bytes)
    n_found = _count_samples(tail, head[:2], first, info)
    if n_found is None:
        return None
    return (
        f"contradicts itself: its header announces {info.n_samples} samples, its frames hold "
        f"{n_found}"
    )


def _read_stream_info(file: BinaryIO) -> _StreamInfo | None:
    """What the first block says; the file is then at its first frame."""
    if file.read(len(MAGIC)) != MAGIC:
        return None
    info = None
    is_last = False
    while not is_last:
        head = file.read(4)
        if len(head) < 4:
            return None
        is_last = bool(head[0] & LAST_BLOCK)
        n_bytes = int.from_bytes(head[1:], "big")
        if info is not None:
            file.seek(n_bytes, os.SEEK_CUR)
            continue
        block = file.read(n_bytes)
        if len(block) != STREAM_INFO_BYTES:
            return None
        info = _parse_stream_info(block)
    return info


def _parse_stream_info(block: bytes) -> _StreamInfo:
    _, most_samples, _, most_bytes, fields = STREAM_INFO.unpack_from(block)
    sr, n_channels, bits = fields >> 44, (fields >> 41 & 7) + 1, (fields >> 36 & 31) + 1
    most_frame_bytes = int.from_bytes(most_bytes, "big")
    if not most_frame_bytes:  # unknown: no more than without compression
        per_channel = most_samples * (bits + 1) // 8 + 2
        most_frame_bytes = MOST_HEADER_BYTES + 2 + n_channels * per_channel
    return _StreamInfo(_Format(sr, n_channels, bits), fields % 2**36, most_frame_bytes)


def _parse_frame(data: bytes) -> _Frame | None:
    """What a frame says that begins with `data`, None where none begins."""
    data = data[:MOST_HEADER_BYTES].ljust(MOST_HEADER_BYTES, b"\0")
    size_code, sr_code = data[2] >> 4, data[2] & 15
    channel_code, bits_code = data[3] >> 4, data[3] >> 1 & 7
    bits = BITS[bits_code]
    number, position = _parse_number(data)
    if data[0] != 0xFF or data[1] >> 1 != 0x7C or data[3] & 1 or bits is None or number is None:
        return None
    if channel_code >= INDEPENDENT_CHANNELS + STEREO_CODES or size_code == 0 or sr_code == 15:
        return None
    block_size = BLOCK_SIZES[size_code]
    if block_size is None:
        stop = position + WRITTEN_BLOCK_SIZES[size_code]
        block_size = int.from_bytes(data[position:stop], "big") + 1
        position = stop
    if sr_code in WRITTEN_RATES:
        n_bytes, unit = WRITTEN_RATES[sr_code]
        sr = int.from_bytes(data[position : position + n_bytes], "big") * unit
        position += n_bytes
    else:
        sr = RATES[sr_code]
    if position >= len(data) or _residue(data[: position + 1], SUMS_OF_8_BITS, 8):
        return None
    n_channels = channel_code + 1 if channel_code < INDEPENDENT_CHANNELS else 2
    return _Frame(_Format(sr, n_channels, bits), number, block_size)


def _parse_number(header: bytes) -> tuple[int | None, int]:
    """The number of a frame, coded as UTF-8 up to 36 bits, and where it ends."""
    lead = header[4]
    if lead < 0x80:
        return lead, 5
    n_bytes = 8 - (lead ^ 0xFF).bit_length()
    number = lead & 0x7F >> n_bytes
    for byte in header[5 : 4 + n_bytes]:
        if byte >> 6 != 2:
            return None, 0
        number = number << 6 | byte & 0x3F
    return (number, 4 + n_bytes) if 1 < n_bytes < 8 else (None, 0)


def _read_tail(file: BinaryIO, start: int, most_frame_bytes: int) -> bytes:
    """The end of the file, in which the last frame begins."""
    n_bytes = os.fstat(file.fileno()).st_size
    file.seek(max(start, n_bytes - most_frame_bytes - ID3V1_BYTES))
    return file.read()


def _count_samples(tail: bytes, sync: bytes, first: _Frame, info: _StreamInfo) -> int | None:
    """Samples up to the end of the last frame, None where they are as many as announced."""
    position = len(tail)
    while (position := tail.rfind(sync, 0, position)) >= 0:
        frame = _parse_frame(tail[position : position + MOST_HEADER_BYTES])
        if frame is None or not _are_alike(frame.format, info.format):
            continue
        unit = 1 if sync[1] & 1 else first.block_size
        n_samples = (frame.number - first.number) * unit + frame.block_size
        if n_samples == info.n_samples:
            return None
        # The sum of a header is right by chance once in 256 times.
        if _begins_with_a_frame(tail[position:]):
            return n_samples
    return None


def _are_alike(found: _Format, announced: _Format) -> bool:
    return all(a in (SEE_STREAM_INFO, b) for a, b in zip(found, announced, strict=True))


def _begins_with_a_frame(data: bytes) -> bool:
    """Whether data begins with bytes of which the last two are the sum of the others."""
    total = 0
    for byte in data:
        total = (total << 8 & 0xFFFF) ^ SUMS_OF_16_BITS[total >> 8 ^ byte]
        if total == 0:
            return True
    return False


def _residue(data: bytes, sums: list[int], n_bits: int) -> int:
    total = 0
    for byte in data:
        total = (total << 8 & (1 << n_bits) - 1) ^ sums[total >> n_bits - 8 ^ byte]
    return total


def _sums(polynomial: int, n_bits: int) -> list[int]:
    """Of each byte alone."""
    sums = []
    for byte in range(256):
        total = byte << n_bits - 8
        for _ in range(8):
            total = total << 1 ^ (polynomial if total >> n_bits - 1 else 0)
            total &= (1 << n_bits) - 1
        sums.append(total)
    return sums


SUMS_OF_8_BITS = _sums(0x07, 8)
SUMS_OF_16_BITS = _sums(0x8005, 16)
