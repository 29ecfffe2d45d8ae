"""Mel bands of the frames of many clips in one compiled call, 16 frames side by side."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import carray, njit

from .._compile import compiled
from ._fft import power_spectra
from ._kernels import energy
from ._lanes import (
    BYTES,
    finite_or,
    load,
    maximum,
    pointer,
    repeat,
    split,
    store,
    transpose_tile,
    width,
)
from ._mel_tables import UNROLL

__all__ = ["mel_kernel"]

# Frames whose samples are transposed at once, a multiple of the lanes.
CHUNK = 64
# Terms of log10((1 + s) / (1 - s)) / s in powers of s squared; |s| <= 0.2 in float64.
LOG10_SERIES = tuple(2.0 / np.log(10.0) / (2 * k + 1) for k in range(11))

inlined = njit(nogil=True, error_model="numpy", forceinline=True)
sum_of_squares = njit(
    nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"}, forceinline=True
)(energy)


def mel_kernel(dtype: str, window_dtype: str) -> Callable[..., None]:
    """`mel_rows` for clips and results of one dtype, and frames of another."""
    window, complex_ = f"{window_dtype}[::1]", np.result_type(window_dtype, np.complex64)
    tables = f"{window}, int64[::1], {complex_}[::1], int64[::1], {complex_}[::1]"
    bands = f"int64[::1], int64[::1], {window}"
    levels = "boolean, boolean, float64, float64, float64, float64"
    return compiled(
        mel_rows,
        f"void(int64[::1], int64[::1], int64[::1], int64[::1], {dtype}[::1], int64, int64, "
        f"{tables}, {bands}, {levels}, {window_dtype}[:, ::1], float64[::1])",
    )


def mel_rows(
    clips: np.ndarray,
    lengths: np.ndarray,
    outs: np.ndarray,
    counts: np.ndarray,
    like: np.ndarray,
    margin: int,
    hop: int,
    window: np.ndarray,
    radices: np.ndarray,
    twiddles: np.ndarray,
    slots: np.ndarray,
    turns: np.ndarray,
    first: np.ndarray,
    rows: np.ndarray,
    weights: np.ndarray,
    magnitude: bool,
    logarithm: bool,
    lowest: float,
    depth: float,
    reference: float,
    factor: float,
    basis: np.ndarray,
    energies: np.ndarray,
) -> None:
    """Mel bands of many clips: fills their arrays and `energies`.

    Parameters
    ----------
    clips, lengths : array of int of shape (n_clips,)
        Addresses of clips, and how many samples they have.
    outs, counts : array of int of shape (n_clips,)
        Addresses of arrays (n_frames, n_mels) or, with a basis, (n_frames, n_coefficients);
        and their numbers of frames.
    like : array of shape (n_columns,)
        Of the dtype of the clips and these arrays, and as long as their rows.
    margin : int
        Zeros before the first sample of a clip.
    hop : int
        Not more than the length of the window.
    window, radices, twiddles, slots, turns, first, rows, weights : array
        `mel_tables`.
    magnitude : bool
        Whether bands hold magnitudes, not power.
    logarithm : bool
        Whether to take decimal logarithms of the bands.
    lowest, depth : float
        Smallest value, and how far below a clip's largest one its floor lies.
    reference : float
        Subtracted from the values; NaN for a clip's largest.
    factor : float
        By which they are multiplied then.
    basis : array of shape (n, n_mels) or (0, 0)
        `padded_basis`, by which they are transformed at last.
    energies : array of shape (n_clips,)
        Gets the sum of squares of each clip.
    """
    n_fft, lanes, n_mels = len(window), width(window), len(first) - 1
    n_rows, overlap = round_up(hop, lanes), (n_fft - 1) // hop
    stride = round_up(CHUNK + overlap, lanes)
    padded = aligned((stride - 1) * hop + n_rows, window)
    columns = aligned(n_rows * stride, window)
    work = aligned(2 * len(slots) * lanes, window)
    tile = aligned(round_up(n_mels, lanes) * lanes, window)
    product = aligned(round_up(len(basis), lanes) * lanes, window)
    turned = aligned(round_up(len(like), lanes) * lanes, window)
    most = 0
    for count in counts:
        most = max(most, count)
    bands = aligned(round_up(most, lanes) * n_mels, window)
    places = np.empty(n_fft, np.int64)  # of a frame's samples in the columns
    for index in range(len(clips)):
        clip = carray(pointer(clips[index], like), lengths[index])
        frames = carray(pointer(outs[index], like), (counts[index], len(like)))
        energies[index] = sum_of_squares(clip)
        stride = round_up(min(CHUNK, round_up(len(frames), lanes)) + overlap, lanes)
        for i in range(n_fft):
            places[i] = i % hop * stride + i // hop
        for t in range(0, len(frames), lanes):
            if t % CHUNK == 0:
                copy_padded(clip, t * hop - margin, padded[: (stride - 1) * hop + n_rows])
                transpose(padded, hop, columns[: n_rows * stride], stride)
            power_spectra(
                *(columns, places, window, t % CHUNK, work),
                *(radices, twiddles, slots, turns, magnitude),
            )
            gather_bands(work, first, rows, weights, logarithm, bands[t * n_mels :])
        loudest = largest(bands, n_mels, len(frames))
        floor = max(loudest - depth, lowest)
        shift = max(loudest, lowest) if np.isnan(reference) else reference
        finish(bands, n_mels, floor, shift, factor, basis, tile, product, turned, frames)


@inlined
def round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


@inlined
def aligned(size: int, like: np.ndarray) -> np.ndarray:
    """Memory whose rows of lanes are cache lines."""
    buffer = np.empty(size + width(like), like.dtype)
    shift = -buffer.ctypes.data % BYTES // buffer.itemsize
    return buffer[shift : shift + size]


@inlined
def copy_padded(clip: np.ndarray, start: int, out: np.ndarray) -> None:
    """Samples from `start` on, zeros outside the clip: fills `out`."""
    begin = min(max(-start, 0), len(out))
    end = max(min(len(clip) - start, len(out)), begin)
    out[:begin] = 0.0
    inside, samples = out[begin:end], clip[start + begin : start + end]
    for i in range(len(inside)):
        inside[i] = samples[i]
    out[end:] = 0.0


@inlined
def transpose(samples: np.ndarray, hop: int, columns: np.ndarray, stride: int) -> None:
    """``columns[r * stride + h] = samples[h * hop + r]``."""
    lanes = width(samples)
    for h in range(0, stride, lanes):
        for r in range(0, len(columns) // stride, lanes):
            transpose_tile(samples, h * hop + r, hop, columns, r * stride + h, stride)


@inlined
def gather_bands(
    work: np.ndarray,
    first: np.ndarray,
    rows: np.ndarray,
    weights: np.ndarray,
    logarithm: bool,
    bands: np.ndarray,
) -> None:
    """Weighted sums of the rows of `work`, or their logarithm: fills `bands`, (n_mels, lanes)."""
    lanes = width(work)
    for band in range(len(first) - 1):
        a = b = c = d = repeat(work, 0.0)
        w, row = weights[first[band] : first[band + 1]], rows[first[band] : first[band + 1]]
        for i in range(0, len(w), UNROLL):
            a = a + load(work, row[i] * lanes) * w[i]
            b = b + load(work, row[i + 1] * lanes) * w[i + 1]
            c = c + load(work, row[i + 2] * lanes) * w[i + 2]
            d = d + load(work, row[i + 3] * lanes) * w[i + 3]
        total = (a + b) + (c + d)
        store(bands, band * lanes, log10(total, work) if logarithm else total)


@inlined
def largest(bands: np.ndarray, n_mels: int, n_frames: int) -> float:
    """Largest value of the frames of a clip, (n_frames / lanes, n_mels, lanes)."""
    lanes = width(bands)
    peaks = repeat(bands, -np.inf)
    size = n_frames // lanes * lanes * n_mels
    for at in range(0, size, lanes):
        peaks = maximum(peaks, load(bands, at))
    buffer = np.empty(lanes, bands.dtype)
    store(buffer, 0, peaks)
    peak = -np.inf
    for i in range(lanes):
        peak = max(peak, buffer[i])
    for band in range(n_mels):
        for i in range(n_frames % lanes):
            peak = max(peak, bands[size + band * lanes + i])
    return peak


@inlined
def finish(
    bands: np.ndarray,
    n_mels: int,
    floor: float,
    shift: float,
    factor: float,
    basis: np.ndarray,
    tile: np.ndarray,
    product: np.ndarray,
    turned: np.ndarray,
    out: np.ndarray,
) -> None:
    """Raise the values of a clip to a floor, shift, scale and transform them: fills `out`."""
    lanes = width(bands)
    for t in range(0, len(out), lanes):
        for band in range(n_mels):
            values = load(bands, t * n_mels + band * lanes)
            values = maximum(values, repeat(bands, floor)) - repeat(bands, shift)
            store(tile, band * lanes, values * bands.dtype.type(factor))
        if len(basis):
            project(tile, basis, product)
        write(product if len(basis) else tile, turned, out[t : t + lanes])


@inlined
def project(tile: np.ndarray, basis: np.ndarray, out: np.ndarray) -> None:
    """(n, n_mels) times (n_mels, lanes): fills `out`, (n, lanes)."""
    lanes = width(tile)
    for i in range(0, len(basis), UNROLL):
        a = b = c = d = repeat(tile, 0.0)
        for band in range(basis.shape[1]):
            values = load(tile, band * lanes)
            a = a + values * basis[i, band]
            b = b + values * basis[i + 1, band]
            c = c + values * basis[i + 2, band]
            d = d + values * basis[i + 3, band]
        store(out, i * lanes, a)
        store(out, (i + 1) * lanes, b)
        store(out, (i + 2) * lanes, c)
        store(out, (i + 3) * lanes, d)


@inlined
def write(tile: np.ndarray, turned: np.ndarray, out: np.ndarray) -> None:
    """(n, lanes) as (n_frames, n): fills `out`."""
    lanes, n = width(tile), out.shape[1]
    stride = len(turned) // lanes
    for i in range(0, n, lanes):
        transpose_tile(tile, i * lanes, lanes, turned, i, stride)
    for t in range(len(out)):
        row, values = out[t], turned[t * stride :]
        for i in range(n):
            row[i] = values[i]


@inlined
def log10(x: Any, like: np.ndarray) -> Any:
    """Decimal logarithm of real lanes; zero counts as the smallest normal number."""
    mantissa, exponent = split(x)
    one = repeat(like, 1.0)
    s = (mantissa - one) / (mantissa + one)
    square, series = s * s, repeat(like, LOG10_SERIES[-1])
    for k in range(len(LOG10_SERIES) - 2, -1, -1):
        series = series * square + repeat(like, LOG10_SERIES[k])
    return finite_or(x, series * s + exponent * like.dtype.type(np.log10(2.0)))
