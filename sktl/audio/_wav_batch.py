"""Short WAV files of 16 bits and one channel, many in one compiled call.

The interpreter's lock is free meanwhile: reading such files takes less time than passing the
lock to and fro, and a thread that computes is not held up.
"""

import ctypes
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import types

from .._compile import compiled
from ._wav import OPEN_FLAGS, Samples

__all__ = ["WavBatches"]

# Of all files read in one call.
STAGING_BYTES = 2**19
ALIGNMENT = 8

# What the header of such a file holds, in words of four bytes.
N_WORDS = 11
CONSTANT_WORDS = (0, 2, 3, 4, 5, 8, 9)
SR_WORD, BYTE_RATE_WORD, SIZE_WORD = 6, 7, 10
HEADER = np.frombuffer(b"RIFF????WAVEfmt \x10\0\0\0\1\0\1\0????????\2\0\x10\0data????", dtype="<u4")
SCALE = np.float32(2.0**-15)

# For type checkers: what is called from compiled code takes anything.
c_open: Any = types.ExternalFunction("open", types.int32(types.voidptr, types.int32))
c_read: Any = types.ExternalFunction("read", types.int64(types.int32, types.voidptr, types.uint64))
c_close: Any = types.ExternalFunction("close", types.int32(types.int32))
BYTES = 'Array(uint8, 1, "C", readonly=True)'


def can_call_c() -> bool:
    """Whether these functions are there and mean what POSIX says."""
    if os.name != "posix" or sys.byteorder != "little":
        return False
    process = ctypes.CDLL(None)
    return all(hasattr(process, name) for name in ("open", "read", "close"))


class WavBatches:
    """Reads many files at once; for one thread."""

    def __init__(self) -> None:
        self._staging = np.empty(STAGING_BYTES, dtype=np.uint8)
        arrays = ", ".join(["int64[::1]"] * 3)
        self._read: Callable[..., int] = compiled(
            read_files, f"int64({BYTES}, int32, uint8[::1], {arrays})"
        )
        self._convert: Callable[..., None] = compiled(
            to_float, "void(uint8[::1], int64, float32[:, ::1])", nogil=False
        )

    def read(self, paths: Sequence[str | os.PathLike[str]]) -> list[Samples | None]:
        """Samples of the first of `paths`, at least one, as many as fit.

        None for whatever is not mono WAV of 16 bits with nothing but the samples, or long.
        """
        names = b"\0".join([*map(os.fsencode, paths), b""])
        if names.count(b"\0") != len(paths):  # no name of a file has one
            return [None]
        files = np.zeros((3, len(paths)), dtype=np.int64)
        n_read = self._read(np.frombuffer(names, np.uint8), OPEN_FLAGS, self._staging, *files)
        return [self._samples(*file) for file in files[:, :n_read].T.tolist()]

    def _samples(self, place: int, count: int, sr: int) -> Samples | None:
        if count == 0:
            return None
        # An array of its own: memory for many would go back to the system and come anew.
        values = np.empty((count, 1), dtype=np.float32)
        self._convert(self._staging, place, values)
        return Samples(values, sr, integers=True)


def read_files(
    names: np.ndarray,
    flags: int,
    staging: np.ndarray,
    places: np.ndarray,
    counts: np.ndarray,
    rates: np.ndarray,
) -> int:
    """Read files into `staging` until one does not fit; return how many were looked at.

    Of each: where its samples begin, how many there are (0 when they are to be read by other
    means) and their rate. Each name ends in a zero.
    """
    used = start = 0
    for index in range(len(counts)):
        n_bytes = 0
        file = c_open(names[start:].ctypes, flags)
        while names[start] != 0:
            start += 1
        start += 1
        if file >= 0:
            n_bytes = c_read(file, staging[used:].ctypes, len(staging) - used)
            c_close(file)
        if n_bytes == len(staging) - used and used > 0:
            return index
        size = n_bytes - 4 * N_WORDS
        if size <= 0 or size % 2 or n_bytes == len(staging):
            continue
        words = staging[used : used + 4 * N_WORDS].view(np.uint32)
        usual = words[SIZE_WORD] == size
        usual &= words[BYTE_RATE_WORD] == 2 * np.int64(words[SR_WORD])
        for word in CONSTANT_WORDS:
            usual &= words[word] == HEADER[word]
        if usual:
            places[index] = used + 4 * N_WORDS
            counts[index] = size // 2
            rates[index] = words[SR_WORD]
            used += (n_bytes + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
    return len(counts)


def to_float(staging: np.ndarray, place: int, out: np.ndarray) -> None:
    """Samples of one channel from a place on, in [-1, 1)."""
    values = out.reshape(len(out))
    samples = staging[place : place + 2 * len(values)].view(np.int16)
    for i in range(len(values)):
        values[i] = samples[i] * SCALE
