"""Mel bands of many clips in one call equal a plain computation in numpy."""

import itertools

import numpy as np
import pytest
from numba import njit

from sktl.features._kernels import located
from sktl.features._lanes import load, store, width
from sktl.features._mel_kernel import log10, mel_kernel
from sktl.features._mel_tables import band_weights, mel_tables, padded_basis

LINEAR = (False, False, -np.inf, np.inf, 0.0, 1.0)


def filters_of(n_fft, n_mels, seed=0):
    """Overlapping bands, one of them empty and one wide."""
    rng = np.random.default_rng(seed)
    n_bins = n_fft // 2 + 1
    weights = np.zeros((n_mels, n_bins))
    for band in range(n_mels):
        first = rng.integers(n_bins)
        weights[band, first : first + 9] = rng.random(min(9, n_bins - first))
    weights[n_mels // 2] = 0.0
    weights[-1, :100] = rng.random(min(100, n_bins))
    return weights


def run(clips, counts, margin, hop, window, filters, levels=LINEAR, basis=None):
    n_columns = len(filters) if basis is None else basis.shape[1]
    dtype = clips[0].dtype.name
    outs = [np.full((count, n_columns), np.nan, dtype=dtype) for count in counts]
    energies = np.empty(len(clips))
    mel_kernel(dtype, window.dtype.name)(
        *(*located(clips, outs), outs[0][0], margin, hop),
        *mel_tables(window, band_weights(filters)),
        *(*levels, padded_basis(basis, window.dtype), energies),
    )
    expected = [np.sum(clip.astype(float) ** 2) for clip in clips]
    np.testing.assert_allclose(energies, expected, rtol=1e-5)
    return outs


def bands(clip, count, margin, hop, window, filters):
    """The same of one clip in numpy, and the loudest bin."""
    n_fft = len(window)
    padded = np.pad(clip.astype(float), (margin, n_fft + count * hop))
    frames = np.stack([padded[t * hop :][:n_fft] for t in range(count)])
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    return power @ filters.T, max(power.max(), 1e-300)


@pytest.mark.parametrize("n_fft", [4, 6, 30, 64, 400, 512, 600, 1024, 2048])
@pytest.mark.parametrize(
    ("clip_dtype", "dtype", "tolerance"),
    [("float32", "float32", 4e-7), ("float64", "float64", 1e-14), ("float32", "float64", 4e-7)],
)
def test_bands_equal_numpy(n_fft, clip_dtype, dtype, tolerance):
    rng = np.random.default_rng(n_fft)
    window = np.hanning(n_fft + 2)[1:-1].astype(dtype)
    for hop, n_mels, margin in itertools.product((1, 7, 160, n_fft), (5, 40), (0, n_fft // 2)):
        hop = min(hop, n_fft)
        filters = filters_of(n_fft, n_mels)
        clips = [rng.normal(size=n).astype(clip_dtype) for n in (3000, 1, n_fft, 900)]
        counts = [1 + len(clip) // hop for clip in clips]
        results = run(clips, counts, margin, hop, window, filters)
        for clip, count, actual in zip(clips, counts, results, strict=True):
            expected, loudest = bands(clip, count, margin, hop, window, filters)
            worst = np.abs(actual - expected).max()
            assert worst <= tolerance * max(loudest, expected.max())


@pytest.mark.parametrize("n_fft", [30, 400, 512])
def test_frame_has_the_same_bits_wherever_it_stands(n_fft):
    clip = np.random.default_rng(1).normal(size=8000).astype("float32")
    window, filters = np.hanning(n_fft).astype("float32"), filters_of(n_fft, 40)
    hop = min(160, n_fft)
    (every,) = run([clip], [45], 0, hop, window, filters)
    for t, count in itertools.product((0, 1, 7, 20, 40), (1, 2, 5)):
        later = clip[t * hop :]
        np.testing.assert_array_equal(
            run([clip, later], [2, count], 0, hop, window, filters)[1], every[t : t + count]
        )


@pytest.mark.parametrize("depth", [2.0, np.inf])
@pytest.mark.parametrize("reference", [-1.0, np.nan])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
def test_floor_and_reference_are_those_of_each_clip(depth, reference, dtype, tolerance):
    rng = np.random.default_rng(2)
    # The frame after the last one is the loudest and belongs to no clip.
    clips = [np.append(rng.normal(size=64 * 19) * a, 1e3).astype(dtype) for a in (1.0, 1e-4)]
    window, filters = np.hanning(64).astype(dtype), filters_of(64, 20)
    basis = rng.normal(size=(20, 6))
    counts, settings = [18, 19], (False, True, -12.0, depth, reference, 10.0)
    plain = run(clips, counts, 0, 64, window, filters, settings)
    projected = run(clips, counts, 0, 64, window, filters, settings, basis=basis)
    for clip, count, actual, coefficients in zip(clips, counts, plain, projected, strict=True):
        expected, _ = bands(clip, count, 0, 64, window, filters)
        levels = np.log10(np.maximum(expected, 1e-40))
        levels = np.maximum(levels, max(levels.max() - depth, -12.0))
        levels = 10 * (levels - (levels.max() if np.isnan(reference) else reference))
        np.testing.assert_allclose(actual, levels, rtol=tolerance, atol=10 * tolerance)
        np.testing.assert_allclose(coefficients, levels @ basis, rtol=0, atol=1e3 * tolerance)


@njit
def logarithms(values, out):
    for at in range(0, len(values), width(values)):
        store(out, at, log10(load(values, at), values))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logarithm_is_as_exact_as_its_dtype(dtype):
    info, rng = np.finfo(dtype), np.random.default_rng(0)
    anywhere = np.exp2(rng.uniform(info.minexp, info.maxexp - 1, 2**16))
    values = np.concatenate([anywhere, rng.uniform(0.5, 2, 2**16)]).astype(dtype)
    out = np.empty_like(values)
    logarithms(values, out)
    expected = np.log10(values.astype(np.longdouble))
    error = np.abs(out - expected)
    assert (error <= 2 * info.eps * np.maximum(np.abs(expected), 0.3)).all()


def test_logarithm_of_zero_is_low_and_infinity_and_nan_stay():
    values = np.zeros(64, dtype="float32")
    values[[1, 2, 3]] = np.inf, np.nan, 1.0
    out = np.empty_like(values)
    logarithms(values, out)
    np.testing.assert_array_equal(out[1:4], [np.inf, np.nan, 0.0])
    np.testing.assert_allclose(out[4:], np.log10(np.finfo("float32").tiny), rtol=1e-6)
