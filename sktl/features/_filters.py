"""Mel filters."""

import warnings
from typing import Literal

import numpy as np

from .._validation import check_sr

__all__ = ["check_band", "mel_filters"]

# Slaney's scale: 200/3 Hz per mel up to 1 kHz, then 27 mels per factor of 6.4.
HZ_PER_MEL, LOG_FROM_HZ, LOG_STEP = 200.0 / 3, 1000.0, np.log(6.4) / 27.0


def mel_filters(
    *,
    sr: float = 16000,
    n_fft: int = 512,
    n_mels: int = 64,
    fmin: float = 0.0,
    fmax: float | None = None,
    htk: bool = False,
    norm: Literal["slaney"] | float | None = "slaney",
) -> np.ndarray:
    """Weights that gather FFT bins into mel bands, as ``librosa.filters.mel``.

    Parameters
    ----------
    sr : float, default=16000
        Sample rate in Hz.
    n_fft : int, default=512
        Length of the FFT in samples.
    n_mels : int, default=64
        Number of bands.
    fmin : float, default=0.0
        Lowest frequency in Hz.
    fmax : float, default=None
        Highest frequency in Hz; None means ``sr / 2``.
    htk : bool, default=False
        Use HTK's mel scale (logarithmic throughout) instead of Slaney's (linear below 1 kHz).
    norm : "slaney", float or None, default="slaney"
        "slaney" divides each triangle by its width in Hz, a number by its norm of that
        order, None leaves the height at one.

    Returns
    -------
    ndarray of float32 of shape (n_mels, n_fft // 2 + 1)

    Warns
    -----
    UserWarning
        If bands are so narrow that no FFT bin falls into them.

    Examples
    --------
    >>> from sktl.features import mel_filters
    >>> mel_filters(sr=16000, n_fft=512, n_mels=40).shape
    (40, 257)
    """
    check_band(sr, fmin, fmax)
    frequencies = np.fft.rfftfreq(n_fft, 1.0 / sr)
    low, high = _hz_to_mel(np.array([fmin, sr / 2 if fmax is None else fmax]), htk)
    edges = _mel_to_hz(np.linspace(low, high, n_mels + 2), htk)
    lower, centre, upper = (edges[i : n_mels + i, None] for i in range(3))
    rise = (frequencies - lower) / (centre - lower)
    fall = (upper - frequencies) / (upper - centre)
    weights = np.maximum(0.0, np.minimum(rise, fall))
    n_empty = int(np.sum((lower[:, 0] > 0) & ~weights.any(axis=1)))
    if n_empty:
        warnings.warn(
            f"{n_empty} of n_mels={n_mels} bands hold no FFT bin and stay silent; give fewer "
            f"bands or a larger n_fft than {n_fft}.",
            UserWarning,
            stacklevel=2,
        )
    weights = weights.astype(np.float32)
    if norm == "slaney":
        return (weights * (2.0 / (upper - lower))).astype(np.float32)
    if norm is None:
        return weights
    size = np.linalg.norm(weights, ord=norm, axis=1, keepdims=True)
    return weights / np.where(size > 0, size, np.float32(1.0))


def check_band(sr: float, fmin: float, fmax: float | None) -> None:
    """Refuse limits in Hz that the sample rate or each other rule out."""
    check_sr(sr)
    top = sr / 2 if fmax is None else fmax
    if top > sr / 2:
        raise ValueError(f"fmax={fmax} Hz but clips at sr={sr} Hz hold nothing above {sr / 2} Hz.")
    if fmin >= top:
        raise ValueError(f"fmin={fmin} Hz is not below the highest frequency, {top} Hz.")


def _hz_to_mel(hz: np.ndarray, htk: bool) -> np.ndarray:
    if htk:
        return 2595.0 * np.log10(1.0 + hz / 700.0)
    above = np.log(np.maximum(hz, LOG_FROM_HZ) / LOG_FROM_HZ) / LOG_STEP
    return np.minimum(hz, LOG_FROM_HZ) / HZ_PER_MEL + above


def _mel_to_hz(mel: np.ndarray, htk: bool) -> np.ndarray:
    if htk:
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    log_from = LOG_FROM_HZ / HZ_PER_MEL
    return np.minimum(mel, log_from) * HZ_PER_MEL * np.exp(LOG_STEP * np.maximum(mel - log_from, 0))
