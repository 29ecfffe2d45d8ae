"""Tables for the compiled mel spectrogram."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

__all__ = [
    "UNROLL",
    "Bands",
    "FFTTables",
    "band_weights",
    "fft_tables",
    "has_tables",
    "mel_tables",
    "padded_basis",
]

# Sums that grow side by side.
UNROLL = 4
# Butterflies of larger primes would take longer than another way to transform them.
LARGEST_RADIX = 127


class FFTTables(NamedTuple):
    """What `power_spectra` knows of the length of an FFT."""

    radices: np.ndarray
    twiddles: np.ndarray  # of all stages
    slots: np.ndarray  # where the bins of the complex FFT lie
    turns: np.ndarray  # -i exp(-2 pi i k / n_fft)


def has_tables(n_fft: int) -> bool:
    """Whether a length has no large prime factor."""
    return max(_radices(_complex_length(n_fft)), default=1) <= LARGEST_RADIX


@lru_cache(maxsize=32)
def fft_tables(n_fft: int, dtype: str) -> FFTTables:
    """Where `has_tables`."""
    length = _complex_length(n_fft)
    k = np.arange(length)
    radices = _radices(length) or [1]
    twiddles, slots, rest = [np.empty(0)], np.zeros_like(k), k
    for radix in radices:
        length //= radix
        powers = np.outer(np.arange(length), np.arange(1, radix))
        twiddles.append(np.exp(-2j * np.pi / (radix * length) * powers).ravel())
        if radix > 5:
            twiddles.append(np.exp(2j * np.pi / radix * np.arange(radix)))
        slots += rest % radix * length
        rest = rest // radix
    complex_ = np.result_type(dtype, np.complex64)
    return FFTTables(
        np.array(radices),
        np.concatenate(twiddles).astype(complex_),
        slots,
        (-1j * np.exp(-2j * np.pi / n_fft * k[: n_fft // 4 + 1])).astype(complex_),
    )


class Bands(NamedTuple):
    """Weights of mel filters without their zeros."""

    first: np.ndarray  # of each band's weights, and their number
    bins: np.ndarray
    weights: np.ndarray


def band_weights(filters: np.ndarray) -> Bands:
    """Of filters (n_mels, n_bins); some zeros make groups of `UNROLL`."""
    bands, bins = np.nonzero(filters)
    counts = np.bincount(bands, minlength=len(filters))
    padded = -(-counts // UNROLL) * UNROLL
    first = np.append(0, np.cumsum(padded))
    at = np.arange(len(bins)) + (first[:-1] - np.cumsum(counts) + counts)[bands]
    all_bins = np.repeat((filters != 0).argmax(axis=1), padded)
    weights = np.zeros(first[-1])
    all_bins[at], weights[at] = bins, filters[bands, bins]
    return Bands(first, all_bins, weights)


def mel_tables(window: np.ndarray, bands: Bands) -> tuple[np.ndarray, ...]:
    """What `mel_rows` needs to know of the window, the FFT and the filters."""
    dtype = window.dtype
    fft = fft_tables(len(window), dtype.name)
    odd = len(window) % 2
    rows = (2 * fft.slots if odd else np.append(2 * fft.slots, 1))[bands.bins]
    return (
        window * dtype.type(1.0 if odd else 0.5),
        *fft,
        bands.first,
        rows,
        bands.weights.astype(dtype),
    )


def padded_basis(basis: np.ndarray | None, dtype: np.dtype) -> np.ndarray:
    """(n_mels, n) as (n, n_mels), with rows of zeros to a multiple of `UNROLL`; (0, 0) of None."""
    if basis is None:
        return np.empty((0, 0), dtype=dtype)
    padded = np.zeros((-(-basis.shape[1] // UNROLL) * UNROLL, len(basis)), dtype=dtype)
    padded[: basis.shape[1]] = basis.T
    return padded


def _complex_length(n_fft: int) -> int:
    """Of the complex FFT that a real one becomes."""
    return n_fft if n_fft % 2 else n_fft // 2


@lru_cache(maxsize=32)
def _radices(size: int) -> list[int]:
    """Factors of a length: fours first, then primes."""
    radices, radix = [], 2
    while size % 4 == 0:
        radices.append(4)
        size //= 4
    while size > 1:
        while size % radix:
            radix += 1
        radices.append(radix)
        size //= radix
    return radices
