"""Power spectra equal numpy's, at every length that has tables."""

import numpy as np
import pytest
import torch
from numba import njit

from sktl.features import _lanes
from sktl.features._fft import power_spectra
from sktl.features._mel_tables import fft_tables

SIZES = (2, 4, 6, 10, 16, 30, 64, 128, 400, 480, 512, 600, 1000, 1024, 2048, 4096)
PRIMES_ABOVE_5 = (14, 22, 154, 440, 882, 1102, 122, 254)
ODD = (3, 7, 15, 61, 121, 221, 441, 511, 551, 1025)

spectra = njit(
    lambda columns, places, window, magnitude, work, radices, twiddles, slots, turns: power_spectra(
        columns, places, window, 0, work, radices, twiddles, slots, turns, magnitude
    )
)


def powers(frames, window, magnitude=False):
    """Of as many frames as there are lanes."""
    n_fft, lanes = len(window), len(frames)
    tables = fft_tables(n_fft, frames.dtype.name)
    work = np.empty(2 * len(tables.slots) * lanes, dtype=frames.dtype)
    scaled = window * frames.dtype.type(1.0 if n_fft % 2 else 0.5)
    spectra(frames.T.ravel(), np.arange(n_fft) * lanes, scaled, magnitude, work, *tables)
    rows = 2 * tables.slots[: n_fft // 2 + 1] if n_fft % 2 else np.append(2 * tables.slots, 1)
    return work.reshape(-1, lanes)[rows].T


@pytest.mark.parametrize("n_fft", SIZES + PRIMES_ABOVE_5 + ODD)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 4e-7), ("float64", 1e-14)])
def test_bins_equal_numpy_of_noise_and_tones(n_fft, dtype, tolerance):
    lanes = _lanes.BYTES // np.dtype(dtype).itemsize
    rng = np.random.default_rng(0)
    window = np.hanning(n_fft + 2)[1:-1].astype(dtype)
    phases = rng.uniform(0, 3, size=(lanes, 1))
    for frames in (rng.normal(size=(lanes, n_fft)), np.sin(np.arange(n_fft) * phases)):
        frames = frames.astype(dtype)
        expected = np.abs(np.fft.rfft(frames.astype(float) * window)) ** 2
        error = np.abs(powers(frames, window) - expected).max() / expected.max()
        assert error < tolerance
        magnitudes = powers(frames, window, magnitude=True)
        np.testing.assert_array_equal(magnitudes, np.sqrt(powers(frames, window)))


@pytest.mark.parametrize("n_fft", [400, 512, 1024])
def test_no_less_accurate_than_torch(n_fft):
    lanes = _lanes.BYTES // 4
    frames = np.random.default_rng(0).normal(size=(lanes, n_fft)).astype("float32")
    expected = np.abs(np.fft.rfft(frames.astype(float))) ** 2
    theirs = torch.fft.rfft(torch.from_numpy(frames)).abs().square().numpy()
    ours = powers(frames, np.ones(n_fft, dtype="float32"))
    assert np.square(ours - expected).mean() < 2 * np.square(theirs - expected).mean()
