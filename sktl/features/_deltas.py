"""Derivatives of coefficients along time."""

from functools import lru_cache

import numpy as np
import torch
from scipy.signal import savgol_coeffs
from torch import Tensor

__all__ = ["delta_names", "delta_segments"]

SUFFIXES = ("", "_delta", "_delta2")


def delta_segments(
    values: Tensor, starts: np.ndarray, stops: np.ndarray, deltas: int, width: int = 9
) -> Tensor:
    """Stack frames of clips that lie behind each other with their derivatives along time.

    Equal to ``librosa.feature.delta(clip, width=width, order=1 | 2)``, a Savitzky-Golay
    filter [1]_. Clips shorter than `width`, which librosa refuses, get what it advises for
    them, ``mode="nearest"``.

    Parameters
    ----------
    values : Tensor of shape (n_rows, n_coefficients)
        Frames of all clips.
    starts, stops : ndarray of int of shape (n_clips,)
        Rows ``starts[i]:stops[i]``, one at least, are clip i, in order. A clip's result does
        not depend on its place or on the other clips.
    deltas : {0, 1, 2}
        Number of derivatives: 1 for the slope per frame, 2 for the curvature too.
    width : int, default=9
        Frames to which a polynomial is fitted, odd.

    Returns
    -------
    Tensor of shape (n_rows, (1 + deltas) * n_coefficients)
        Values, then slopes, then curvatures; what rows outside of the clips get means nothing.

    References
    ----------
    .. [1] A. Savitzky and M. J. E. Golay, "Smoothing and differentiation of data by
       simplified least squares procedures", Analytical Chemistry 36(8), 1964.
    """
    if not deltas:
        return values
    half = width // 2
    orders = range(1, deltas + 1)
    if len(values) < width:
        parts = [torch.zeros_like(values) for _ in orders]
    else:
        frames = np.arange(len(values))
        owner = np.clip(np.searchsorted(starts, frames, side="right") - 1, 0, None)
        # A derivative of the same order as the polynomial fitted at an edge is constant.
        frames = np.clip(frames, starts[owner] + half, stops[owner] - 1 - half) - half
        frames = np.clip(frames, 0, len(values) - 2 * half - 1)
        index = torch.from_numpy(frames).to(values.device)
        parts = [_derivative(values, order, width).index_select(0, index) for order in orders]
    stacked = torch.cat([values, *parts], dim=1)
    for i in np.flatnonzero(stops - starts < width):
        clip = values[starts[i] : stops[i]]
        last = len(clip) - 1
        around = torch.arange(-half, last + 1 + half, device=values.device).clamp(0, last)
        padded = clip.index_select(0, around)
        parts = [_derivative(padded, order, width) for order in orders]
        stacked[starts[i] : stops[i], values.shape[1] :] = torch.cat(parts, dim=1)
    return stacked


def delta_names(names: list[str], deltas: int) -> list[str]:
    """Names of the coefficients that `delta_segments` gives."""
    return [name + suffix for suffix in SUFFIXES[: deltas + 1] for name in names]


def _derivative(values: Tensor, order: int, width: int) -> Tensor:
    """Derivative at every row that has ``width // 2`` neighbours on both sides."""
    half = width // 2
    count = len(values) - 2 * half
    centre = values[half : half + count]
    total = torch.zeros_like(centre)
    for k, weight in enumerate(_half_weights(order, width), start=1):
        after = values[half + k : half + k + count]
        before = values[half - k : half - k + count]
        difference = after - (before if order == 1 else centre)
        if order == 2:
            difference += before - centre
        # Apart, since a fused product and sum would round by the position in the batch.
        difference *= weight
        total += difference
    return total


@lru_cache(maxsize=32)
def _half_weights(order: int, width: int) -> tuple[float, ...]:
    """Weights of the frames after the centre; those before it are the same up to the sign."""
    weights = savgol_coeffs(width, polyorder=order, deriv=order, use="dot")
    return tuple(weights[width // 2 + 1 :].tolist())
