"""Statistics over the frames of a clip."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["POOLINGS", "Pooling", "n_pooled", "pool_segments", "pooled_names"]

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)

POOLINGS = {
    "mean": ("mean",),
    "mean_std": ("mean", "std"),
    "quantiles": tuple(f"q{100 * q:.0f}" for q in QUANTILES),
}

Pooling = str | Callable[[np.ndarray], Any]

# Enough for functions that smooth or difference frames before they pool them.
PROBE_FRAMES = 32
# Frames added in float32 before the sums go on in float64.
FRAMES_PER_SUM = 16


def pool_segments(
    values: Tensor,
    starts: np.ndarray,
    stops: np.ndarray,
    pooling: Pooling,
    n_columns: int | None = None,
) -> Tensor:
    """Statistics over the frames of each of the clips that lie behind each other.

    Parameters
    ----------
    values : Tensor of shape (n_rows, n_coefficients)
        Frames of all clips.
    starts, stops : ndarray of int of shape (n_clips,)
        Rows ``starts[i]:stops[i]``, one at least, are clip i; other rows are left out. A
        clip's result does not depend on its place or on the other clips.
    pooling : {"mean", "mean_std", "quantiles"} or callable
        A callable is given one clip at a time, an array of shape (n_coefficients, n_frames),
        and returns a 1-D array of the same length for every clip.
    n_columns : int, default=None
        What `n_pooled` says, where it is known: it saves trying a callable out first.

    Returns
    -------
    Tensor of shape (n_clips, n_columns)
        For a name, n_statistics * n_coefficients: all means, then all standard deviations.
    """
    if n_columns is None:
        n_columns = n_pooled(values.shape[1], pooling)
    if not len(starts):
        return values.new_empty((0, n_columns))
    if not isinstance(pooling, str):
        return _call_each(pooling, values, starts, stops, n_columns)
    if pooling == "quantiles":
        return _quantiles(values, starts, stops)
    return _moments(values, starts, stops, with_std=pooling == "mean_std")


def n_pooled(n_coefficients: int, pooling: Pooling) -> int:
    """Number of columns that `pool_segments` gives."""
    if isinstance(pooling, str):
        return len(POOLINGS[pooling]) * n_coefficients
    # Neither constant nor equal bands: statistics such as a skewness warn about those.
    probe = np.sin(np.arange(n_coefficients * PROBE_FRAMES, dtype=np.float64) ** 2)
    return len(_call(pooling, probe.reshape(n_coefficients, PROBE_FRAMES)))


def pooled_names(coefficients: list[str], pooling: Pooling) -> list[str]:
    """Names of the columns that `pool_segments` gives.

    A callable may name its columns itself, by an attribute
    ``get_feature_names_out(coefficients)``; else ``"<coefficient>_<callable>"`` names one
    column per coefficient, and ``"<callable>_000"`` the first of any other number.
    """
    if isinstance(pooling, str):
        return [f"{name}_{statistic}" for statistic in POOLINGS[pooling] for name in coefficients]
    count = n_pooled(len(coefficients), pooling)
    if hasattr(pooling, "get_feature_names_out"):
        names = [str(name) for name in pooling.get_feature_names_out(coefficients)]
        if len(names) != count:
            raise ValueError(
                f"pooling={pooling!r} names {len(names)} columns but gives {count}; "
                "get_feature_names_out must return one name for each."
            )
        return names
    name = _callable_name(pooling)
    if count == len(coefficients):
        return [f"{coefficient}_{name}" for coefficient in coefficients]
    digits = max(3, len(str(count - 1)))
    return [f"{name}_{index:0{digits}d}" for index in range(count)]


def _callable_name(function: Any) -> str:
    while isinstance(function, partial):
        function = function.func
    name = getattr(function, "__name__", type(function).__name__)
    return "pooled" if name == "<lambda>" else name


def _call_each(
    pooling: Callable, values: Tensor, starts: np.ndarray, stops: np.ndarray, n_columns: int
) -> Tensor:
    frames = values.detach().cpu().numpy()
    pooled = np.empty((len(starts), n_columns), dtype=frames.dtype)
    for row, start, stop in zip(pooled, starts, stops, strict=True):
        # A copy, which the callable may change.
        row[:] = _call(pooling, frames[start:stop].T.copy(), n_columns)
    return torch.from_numpy(pooled).to(values.device)


def _call(pooling: Callable, clip: np.ndarray, n_columns: int | None = None) -> np.ndarray:
    """Pool one clip by the user's function and check what comes out."""
    shape = clip.shape
    pooled = np.asarray(pooling(clip))
    name = _callable_name(pooling)
    if pooled.ndim != 1 or not pooled.size or pooled.dtype.kind not in "fiub":
        raise ValueError(
            f"pooling={name} gave dtype {pooled.dtype} and shape {pooled.shape} for a clip of "
            f"shape {shape}, (n_coefficients, n_frames); it must give a 1-D array of numbers, "
            "as lambda S: S.max(axis=-1) does."
        )
    if n_columns is not None and len(pooled) != n_columns:
        raise ValueError(
            f"pooling={name} gave {len(pooled)} numbers for a clip of shape {shape}, "
            f"(n_coefficients, n_frames), but {n_columns} for another number of frames; it must "
            "give as many for every clip."
        )
    return pooled


def _quantiles(values: Tensor, starts: np.ndarray, stops: np.ndarray) -> Tensor:
    """Linear interpolation between sorted frames, as numpy's."""
    ordered = values.detach().mT.cpu().clone(memory_format=torch.contiguous_format)
    # Many times as fast as torch's sort; the tensor shares the memory.
    frames = ordered.numpy()
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        frames[:, start:stop].sort(axis=1)
    last = stops - starts - 1
    statistics = []
    for q in QUANTILES:
        below = (q * last).astype(np.int64)
        lower, upper = (
            ordered[:, torch.from_numpy(starts + place)]
            for place in (below, np.minimum(below + 1, last))
        )
        weight = torch.from_numpy(q * last - below).to(values.dtype)
        # Not torch.lerp, which rounds by the position in the batch.
        statistics.append(lower + (upper - lower) * weight)
    return torch.cat(statistics).mT.contiguous().to(values.device)


def _moments(values: Tensor, starts: np.ndarray, stops: np.ndarray, with_std: bool) -> Tensor:
    """Mean and standard deviation in two passes over sums of a few frames each.

    Every clip is cut into pieces of equal length from its own first frame on, the last one
    filled up with zeros: all pieces are added at once, each in the same way wherever it is.
    """
    lengths = stops - starts
    n_pieces = -(-lengths // FRAMES_PER_SUM)
    owner = np.repeat(np.arange(len(starts)), n_pieces)
    piece = np.arange(len(owner)) - (np.cumsum(n_pieces) - n_pieces)[owner]
    rows = (starts[owner] + FRAMES_PER_SUM * piece)[:, None] + np.arange(FRAMES_PER_SUM)
    beyond = rows >= stops[owner][:, None]
    rows[beyond] = 0

    def on_device(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(values.device)

    filling = on_device(np.flatnonzero(beyond))
    counts, n_frames = on_device(n_pieces), on_device(lengths[:, None])

    def mean_over_frames(frames: Tensor) -> Tensor:
        frames.view(-1, frames.shape[-1]).index_fill_(0, filling, 0)
        sums = frames.sum(1).double()
        return torch.segment_reduce(sums, "sum", lengths=counts, axis=0) / n_frames

    pieces = values.index_select(0, on_device(rows.ravel())).unflatten(0, rows.shape)
    first, owners = values[on_device(starts)], on_device(owner)
    # From the first frame on, so that a constant has no spread, not even by rounding.
    shift = mean_over_frames(pieces.sub_(first[owners, None]))
    mean = (first + shift).to(values.dtype)
    if not with_std:
        return mean
    pieces.sub_(shift.to(values.dtype)[owners, None])
    variance = mean_over_frames(pieces.square_())
    return torch.cat([mean, variance.sqrt().to(values.dtype)], dim=1)
