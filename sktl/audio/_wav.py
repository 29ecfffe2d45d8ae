"""Plain WAV files, without the cost of a library call per file."""

import os
from struct import Struct
from typing import NamedTuple

import numpy as np

__all__ = ["Samples", "read_wav"]

# Beyond this soundfile is as fast, and it holds no second copy of the file.
MAX_BYTES = 2**22
FIRST_BYTES = 2**16
# Values whose intermediate results stay in the cache.
BLOCK = 2**14
# Without O_NONBLOCK, opening a pipe would wait for its writer.
OPEN_FLAGS = os.O_RDONLY
for _name in ("O_BINARY", "O_CLOEXEC", "O_NONBLOCK"):
    OPEN_FLAGS |= getattr(os, _name, 0)

CHUNK = Struct("<4sI")
FORMAT = Struct("<HHIIHH")
EXTENSION = Struct("<HHIH14s")
PCM, IEEE_FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
ENCODINGS = {(PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (IEEE_FLOAT, 32), (IEEE_FLOAT, 64)}
MAX_CHANNELS = 1024

Encoding = tuple[int, int, int, int]


class Samples(NamedTuple):
    """What a file holds: (n_samples, n_channels) or (n_samples,) of float32, at `sr` Hz."""

    values: np.ndarray
    sr: int
    integers: bool
    """Whether integers are stored, which are always finite."""


def read_wav(path: str | os.PathLike[str]) -> Samples | None:
    """Samples of a plain WAV file, bit-equal to ``soundfile.read(path, dtype="float32")``.

    Parameters
    ----------
    path : str or PathLike
        Of anything, which need not be there.

    Returns
    -------
    Samples or None
        None for all that is not WAV of linear PCM or floats with an ordinary header that
        tells the truth, for large files, and for files that cannot be opened.
    """
    data = _read_bytes(path)
    return None if data is None else _parse(data)


def _read_bytes(path: str | os.PathLike[str]) -> bytes | None:
    """The whole file, or None when it is no RIFF file or a large one."""
    try:
        file = os.open(path, OPEN_FLAGS)
    except OSError:
        return None
    try:
        data = os.read(file, FIRST_BYTES)
        if not data.startswith(b"RIFF"):
            return None
        if len(data) == FIRST_BYTES:
            size = os.fstat(file).st_size
            if size > MAX_BYTES:
                return None
            os.lseek(file, 0, os.SEEK_SET)
            data = os.read(file, size)
        return data
    except OSError:
        return None
    finally:
        os.close(file)


def _parse(data: bytes) -> Samples | None:
    """Walk over the chunks; None at the first thing out of the ordinary."""
    if data[8:12] != b"WAVE":
        return None
    encoding = samples = None
    position, end = 12, len(data)
    while position + CHUNK.size <= end:
        name, size = CHUNK.unpack_from(data, position)
        position += CHUNK.size
        if size == 0 or position + size > end:
            return None
        if name == b"fmt " and encoding is None:
            encoding = _parse_format(data, position, size)
            if encoding is None:
                return None
        elif name == b"data" and encoding is not None and samples is None:
            samples = _to_float(data, position, size, *encoding)
            if samples is None or (size % 2 and position + size + 1 < end):
                return None
        elif size % 2 or not _is_ignored(name, data[position : position + size], encoding):
            return None
        position += size
    if position == end - 1 and data[position] == 0:  # makes the last chunk even
        position = end
    return samples if position == end else None


def _is_ignored(name: bytes, body: bytes, encoding: Encoding | None) -> bool:
    """Tell whether libsndfile too reads past this chunk."""
    if name == b"LIST":
        return body.startswith(b"INFO") and _is_well_formed(body, 4)
    if name == b"PEAK":
        return encoding is not None and len(body) == 8 + 8 * encoding[2]
    return name in (b"fact", b"JUNK")


def _is_well_formed(body: bytes, position: int) -> bool:
    while position + CHUNK.size <= len(body):
        name, size = CHUNK.unpack_from(body, position)
        if not (name.startswith(b"I") and name.isalnum()):
            return False
        position += CHUNK.size + size + size % 2
    return position == len(body)


def _parse_format(data: bytes, position: int, size: int) -> Encoding | None:
    """Kind, bits per value, channels and sample rate."""
    if size not in (16, 18, 40):
        return None
    kind, n_channels, sr, byte_rate, frame_size, bits = FORMAT.unpack_from(data, position)
    if kind == EXTENSIBLE and size == 40:
        _, valid_bits, _, kind, tail = EXTENSION.unpack_from(data, position + FORMAT.size)
        if valid_bits != bits or tail != GUID_TAIL:
            return None
    elif size == 40:
        return None
    if (kind, bits) not in ENCODINGS or not 0 < n_channels <= MAX_CHANNELS:
        return None
    if frame_size != n_channels * bits // 8 or byte_rate != sr * frame_size:
        return None
    return kind, bits, n_channels, sr


def _to_float(
    data: bytes, start: int, size: int, kind: int, bits: int, n_channels: int, sr: int
) -> Samples | None:
    """Values in [-1, 1) as float32, each rounded once, as libsndfile does."""
    if size % (n_channels * bits // 8):
        return None
    scale = np.float32(2.0 ** (1 - bits))
    if kind == IEEE_FLOAT:
        values: np.ndarray = np.frombuffer(data, f"<f{bits // 8}", size * 8 // bits, start)
        with np.errstate(over="ignore", invalid="ignore"):
            values = values.astype(np.float32)
    elif bits == 8:
        values = np.frombuffer(data, np.uint8, size, start).astype(np.float32)
        values = (values - np.float32(128)) * scale
    elif bits == 24:
        values = _from_24_bits(data, start, size // 3, scale)
    else:
        # Half the time of one product that converts as it goes.
        values = np.frombuffer(data, f"<i{bits // 8}", size * 8 // bits, start).astype(np.float32)
        values *= scale
    return Samples(values.reshape(-1, n_channels), sr, kind == PCM)


def _from_24_bits(data: bytes, start: int, n_values: int, scale: np.float32) -> np.ndarray:
    values = np.empty(n_values, np.float32)
    # Words of four bytes, every three bytes: the lowest one belongs to the value before.
    words: np.ndarray = np.ndarray(n_values, "<i4", data, start - 1, (3,))
    for first in range(0, n_values, BLOCK):
        block = slice(first, first + BLOCK)
        np.multiply(words[block] >> 8, scale, out=values[block], dtype=np.float32)
    return values
