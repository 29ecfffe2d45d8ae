"""The frames of many clips, one after another."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["ROWS", "Layout"]

# BLAS gives a row the same bits among any number of rows from this on, not among fewer.
ROWS = 16


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
        A multiple of `ROWS`; rows after the last clip's mean nothing.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self.counts = list(counts)
        self._stops = list(accumulate(self.counts))
        self._starts = [0, *self._stops[:-1]]
        self.starts = np.array(self._starts, dtype=np.intp)
        self.stops = np.array(self._stops, dtype=np.intp)
        self.n_rows = -(-self._stops[-1] // ROWS) * ROWS
        self.equal = len(set(self.counts)) == 1

    def pieces(self, first: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Of each clip in rows `first` to ``stop - 1`` its number and the frames found there."""
        for clip in range(bisect_right(self._stops, first), len(self._stops)):
            start = self._starts[clip]
            if start >= stop:
                return
            yield clip, max(first - start, 0), min(stop, self._stops[clip]) - start

    def split(self, values: Any) -> list[Any]:
        """Frames of each clip, views of (n_rows, n_values)."""
        return [values[a:b] for a, b in zip(self._starts, self._stops, strict=True)]

    def stacked(self, values: Tensor) -> Tensor:
        """View (n_rows, n_values) of equal clips as (n_clips, n_frames, n_values)."""
        return values[: self._stops[-1]].unflatten(0, (len(self.counts), self.counts[0]))

    def maximum(self, values: Tensor) -> Tensor:
        """Largest of each clip's values, (n_clips,)."""
        if self.equal:
            return self.stacked(values).amax((1, 2))
        rows = values[: self._stops[-1]].amax(1)
        lengths = torch.tensor(self.counts, device=rows.device)
        return torch.segment_reduce(rows, "max", lengths=lengths, unsafe=True)

    def spread(self, values: Tensor, n_rows: int) -> Tensor:
        """One value per clip as one per row, (n_rows, 1)."""
        counts = np.array(self.counts)
        counts[-1] += n_rows - self._stops[-1]
        index = torch.from_numpy(np.repeat(np.arange(len(counts)), counts))
        return values[index.to(values.device)].unsqueeze(1)
