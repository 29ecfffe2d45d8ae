"""Frames of the layers of a network, side by side and in order of time."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..backbones import Ragged, Units, UnitSpan

__all__ = ["Frames", "row_frames", "stack_frames", "unit_frames"]


class Frames(NamedTuple):
    """Frames of one clip, in order of time.

    Parameters
    ----------
    times : ndarray of float64 of shape (n_frames,)
        Centre of what each frame stands for, in seconds from the first sample.
    values : ndarray of float32 of shape (n_frames, n_features)
        The frames.

    Examples
    --------
    >>> import numpy as np
    >>> from sktl import PretrainedEmbedding
    >>> embedding = PretrainedEmbedding(layers=8, pooling=None, output="frames")
    >>> times, values = embedding.fit_transform([np.zeros(16000)])[0]
    >>> times.shape, values.shape
    ((48,), (48, 256))
    """

    times: np.ndarray
    values: np.ndarray

    def __repr__(self) -> str:
        n_frames, n_features = self.values.shape
        return f"<{n_frames} frames of {n_features} values>"


def unit_frames(layers: Sequence[Tensor], length: float) -> Tensor:
    """Frames of each unit, all layers side by side, behind their times.

    Parameters
    ----------
    layers : sequence of Tensor of shape (n_units, n_frames_i, n_features_i)
        A frame of a layer that has fewer of them is repeated.
    length : float
        Seconds that a unit covers.

    Returns
    -------
    Tensor of shape (n_units, n_frames, 1 + n_features)
        First of all the centre of each frame, in seconds from the beginning of its unit.
    """
    n_units, n_frames = len(layers[0]), max(frames.shape[1] for frames in layers)
    number = torch.arange(n_frames, device=layers[0].device)
    centres = (number + 0.5).float() * (length / n_frames)
    aligned = [
        frames.index_select(1, (2 * number + 1) * frames.shape[1] // (2 * n_frames))
        for frames in layers
    ]
    return torch.cat([centres.expand(n_units, -1).unsqueeze(2), *aligned], dim=2)


def row_frames(units: Units, span: UnitSpan) -> list[Frames | None]:
    """Frames of each row, from `unit_frames` of its units; None of a row without units."""
    if isinstance(units.values, Ragged):
        parts = iter([unit[0].cpu().numpy() for unit in units.values.one_by_one()])
    else:
        parts = iter(units.values.cpu().numpy())
    counts = units.counts().tolist()
    return [_in_order([next(parts) for _ in range(count)], span) for count in counts]


def _in_order(parts: list[np.ndarray], span: UnitSpan) -> Frames | None:
    if not parts:
        return None
    begins = [span.start + span.hop * number for number in range(len(parts))]
    times = np.concatenate([begin + part[:, 0] for begin, part in zip(begins, parts, strict=True)])
    values = np.concatenate([part[:, 1:] for part in parts]).astype(np.float32, copy=False)
    # Patches may overlap. Within a unit times are float32: whole microseconds are left.
    times = times.astype(np.float64).round(6)
    order = np.argsort(times, kind="stable")
    return Frames(times[order], values[order])


def stack_frames(rows: Sequence[Frames | None], n_features: int, with_times: bool) -> np.ndarray:
    """All rows as one array; NaN in place of None.

    Parameters
    ----------
    rows : sequence of (Frames or None)
    n_features : int
    with_times : bool
        Whether to keep the times.

    Returns
    -------
    ndarray
        Of shape (n_rows, n_frames, n_features) where all rows have as many frames; else an object
        array, as with times in any case.
    """
    counts = {len(row.times) for row in rows if row is not None} or {1}
    one_shape = len(counts) == 1
    n_missing = min(counts) if one_shape else 1
    missing = Frames(
        np.full(n_missing, np.nan), np.full((n_missing, n_features), np.nan, np.float32)
    )
    filled = [missing if row is None else row for row in rows]
    if one_shape and not with_times:
        return np.stack([row.values for row in filled])
    objects = np.empty(len(rows), dtype=object)
    for number, row in enumerate(filled):
        objects[number] = row if with_times else row.values
    return objects
