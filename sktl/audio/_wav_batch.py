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
from numba.extending import register_jitable

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
        self._read: Callable[..., tuple[int, np.ndarray]] = compiled(
            read_files, f"Tuple((int64, float32[::1]))({BYTES}, int32, uint8[::1], {arrays})"
        )

    def read(self, paths: Sequence[str | os.PathLike[str]]) -> list[Samples | None]:
        """Samples of the first of `paths`, at least one, as many as fit.

        None for whatever is not mono WAV of 16 bits with nothing but the samples, or long.
        """
        names = b"\0".join([*map(os.fsencode, paths), b""])
        if names.count(b"\0") != len(paths):  # no name of a file has one
            return [None]
        files = np.zeros((3, len(paths)), dtype=np.int64)
        names_array = np.frombuffer(names, np.uint8)
        n_read, values = self._read(names_array, OPEN_FLAGS, self._staging, *files)
        _, stops, rates = files[:, :n_read].tolist()
        return [
            Samples(values[start:stop], sr, integers=True) if stop > start else None
            for start, stop, sr in zip([0, *stops], stops, rates, strict=False)
        ]


def read_files(
    names: np.ndarray,
    flags: int,
    staging: np.ndarray,
    places: np.ndarray,
    stops: np.ndarray,
    rates: np.ndarray,
) -> tuple[int, np.ndarray]:
    """Read files until one does not fit into `staging`: how many, and the samples of all.

    Each name ends in a zero. Of each file: where its samples begin in `staging`, where they end
    among all samples (they take no place where they are to be read by other means) and their rate.
    """
    used = start = n_samples = n_read = 0
    for index in range(len(stops)):
        n_bytes = 0
        file = c_open(names[start:].ctypes, flags)
        while names[start] != 0:
            start += 1
        start += 1
        if file >= 0:
            n_bytes = c_read(file, staging[used:].ctypes, len(staging) - used)
            c_close(file)
        if n_bytes == len(staging) - used and used > 0:
            break
        n_read = index + 1
        if is_usual(staging[used : used + n_bytes]) and n_bytes < len(staging):
            places[index] = used + 4 * N_WORDS
            n_samples += (n_bytes - 4 * N_WORDS) // 2
            rates[index] = staging[used : used + 4 * N_WORDS].view(np.uint32)[SR_WORD]
            used += (n_bytes + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
        stops[index] = n_samples
    values = np.empty(n_samples, np.float32)
    first = 0
    for index in range(n_read):
        count = stops[index] - first
        samples = staging[places[index] : places[index] + 2 * count].view(np.int16)
        to_float(samples, values[first : first + count])
        first = stops[index]
    return n_read, values


@register_jitable
def is_usual(content: np.ndarray) -> bool:
    """Whether this is WAV of 16 bits and one channel, and nothing but its samples."""
    size = len(content) - 4 * N_WORDS
    if size <= 0 or size % 2:
        return False
    words = content[: 4 * N_WORDS].view(np.uint32)
    usual = words[SIZE_WORD] == size
    usual &= words[BYTE_RATE_WORD] == 2 * np.int64(words[SR_WORD])
    for word in CONSTANT_WORDS:
        usual &= words[word] == HEADER[word]
    return usual


@register_jitable
def to_float(samples: np.ndarray, out: np.ndarray) -> None:
    """Integers of 16 bits as numbers in [-1, 1)."""
    for i in range(len(out)):
        out[i] = samples[i] * SCALE
