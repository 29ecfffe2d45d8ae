"""The frames of many clips, one after another."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Layout"]


class Layout:
    """Which rows of (n_rows, n_values) are the frames of which clip.

    Parameters
    ----------
    counts : sequence of int
        Frames of each clip.

    Attributes
    ----------
    starts, stops : ndarray of int of shape (n_clips,)
        The frames of clip i are rows ``starts[i]`` to ``stops[i] - 1``.
    n_rows : int
        Frames of all clips; rows after them mean nothing.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self.counts = list(counts)
        self._stops = list(accumulate(self.counts))
        self._starts = [0, *self._stops[:-1]]
        self.starts = np.array(self._starts, dtype=np.intp)
        self.stops = np.array(self._stops, dtype=np.intp)
        self.n_rows = self._stops[-1]
        self.equal = len(set(self.counts)) == 1

    def split(self, values: Any) -> list[Any]:
        """Frames of each clip, views of (n_rows, n_values)."""
        return [values[a:b] for a, b in zip(self._starts, self._stops, strict=True)]

    def stacked(self, values: Any) -> Any:
        """View (n_rows, n_values) of equal clips as (n_clips, n_frames, n_values)."""
        return values[: self.n_rows].reshape(len(self.counts), self.counts[0], -1)

    def maximum(self, values: Tensor) -> Tensor:
        """Largest of each clip's values, (n_clips,)."""
        if self.equal:
            return self.stacked(values).amax((1, 2))
        rows = values[: self.n_rows].amax(1)
        lengths = torch.tensor(self.counts, device=rows.device)
        return torch.segment_reduce(rows, "max", lengths=lengths, unsafe=True)

    def spread(self, values: Tensor, n_rows: int) -> Tensor:
        """One value per clip as one per row, (n_rows, 1)."""
        counts = np.array(self.counts)
        counts[-1] += n_rows - self.n_rows
        index = torch.from_numpy(np.repeat(np.arange(len(counts)), counts))
        return values[index.to(values.device)].unsqueeze(1)
