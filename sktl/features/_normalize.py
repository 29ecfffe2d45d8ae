"""Zero mean and unit standard deviation within each clip."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ._pooling import pool_segments

__all__ = ["NORMALIZATIONS", "normalize_segments"]

NORMALIZATIONS = ("clip", "band")

# Constant up to rounding: a standard deviation this many ulps of the largest value.
ROUNDING = 8.0


def normalize_segments(
    values: Tensor, starts: np.ndarray, stops: np.ndarray, how: Literal["clip", "band"] | None
) -> Tensor:
    """Scale clips that lie behind each other to zero mean and unit standard deviation.

    Parameters
    ----------
    values : Tensor of shape (n_rows, n_coefficients)
        Frames of all clips.
    starts, stops : ndarray of int of shape (n_clips,)
        Rows ``starts[i]:stops[i]``, one at least, are clip i, in order. A clip's result does
        not depend on its place or on the other clips.
    how : {"clip", "band"} or None
        Over all values of a clip; or for each coefficient over its frames, which is known
        as cepstral mean and variance normalization; None returns `values`.

    Returns
    -------
    Tensor of the same shape
        Zeros where the values are constant; what rows outside of the clips get means nothing.
    """
    if how is None or not len(starts):
        return values

    def mean(rows: Tensor) -> Tensor:
        means = pool_segments(rows, starts, stops, "mean")
        return means if how == "band" else means.mean(1, keepdim=True)

    gaps = np.diff(starts, append=len(values))
    gaps[0] += starts[0]
    owner = torch.from_numpy(np.repeat(np.arange(len(starts)), gaps)).to(values.device)
    centred = values - mean(values)[owner]
    bounds = torch.from_numpy(np.stack([starts, stops], axis=1).ravel()).to(values.device)
    largest = torch.segment_reduce(values.abs(), "max", offsets=bounds, axis=0, unsafe=True)[::2]
    if how == "clip":
        largest = largest.amax(1, keepdim=True)
    return centred * _inverse_deviation(mean(centred.square()), largest)[owner]


def _inverse_deviation(variance: Tensor, largest: Tensor) -> Tensor:
    """One over the standard deviation; 0 where the values differ by rounding only."""
    constant = variance.sqrt() <= ROUNDING * torch.finfo(variance.dtype).eps * largest
    return variance.masked_fill(constant, 1.0).rsqrt().masked_fill(constant, 0.0)
