"""One transform: from clips to their features, group by group."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from math import ceil
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..audio import Clips
from ._layout import Layout
from ._plan import FramePlan
from ._pooling import Pooling, pool_segments
from ._ragged import RaggedResults
from ._run import ClipError, fill_clips, run_clips
from ._workers import for_each

__all__ = ["ClipwiseFeatures"]

CLIPS_PER_GROUP = 1024
SAMPLES_PER_GROUP = 2**20
SAMPLES_PER_GROUP_FILES = 2**18  # the first is waited for before anything is computed
SAMPLES_PER_GROUP_CUDA = 2**24


@dataclass(frozen=True)
class ClipwiseFeatures:
    """What to compute of every clip, and where.

    Parameters
    ----------
    plan : FramePlan
    device : torch.device
    n_coefficients : int
        Rows of the result of one clip before pooling.
    after : callable or None
        What is done to the values (n_rows, n_values) of the clips of a group before pooling.
    pooling : str, callable or None
    n_columns : int
        Numbers per clip after pooling; without it, of no meaning.
    n_samples : int or None
        Length to which clips are cropped and, without `pooling`, padded.
    output : {"numpy", "torch"}
    """

    plan: FramePlan
    device: torch.device
    n_coefficients: int
    after: Callable[[Tensor, Layout], Tensor] | None
    pooling: Pooling | None
    n_columns: int
    n_samples: int | None
    output: Literal["numpy", "torch"]

    def run(self, clips: Clips, n_threads: int) -> Any:
        """Features of all clips in their order; frames of unequal clips in an object array."""
        n_threads = 1 if self.device.type == "cuda" else n_threads
        lengths = self._lengths(clips)
        if self.device.type == "cuda":
            samples = SAMPLES_PER_GROUP_CUDA
        elif clips.from_files:
            samples = SAMPLES_PER_GROUP_FILES
        else:
            samples = _share(sum(lengths), SAMPLES_PER_GROUP, n_threads)
        if self.pooling is not None:
            rows = self._empty(len(clips), self.n_columns)
        elif lengths:
            rows = self._allocate(lengths, samples, n_threads)
        else:
            rows = [None] * len(clips)

        def groups() -> Iterator[tuple[int, Any]]:
            first = 0
            for group in clips.chunks(CLIPS_PER_GROUP, samples):
                yield first, group
                first += len(group)

        compiled = self._is_direct and self.plan.is_compiled
        for_each(lambda group: self._fill(rows, *group), groups(), n_threads, not compiled)
        return self._finish(rows)

    def _lengths(self, clips: Clips) -> list[int]:
        """Samples of each clip, none where that is not known."""
        if self.n_samples is not None and self.pooling is None:
            return [self.n_samples] * len(clips)
        if clips.dense:
            return [clips.rows.shape[1]] * len(clips)
        return [] if clips.from_files else list(map(len, clips.rows))

    def _allocate(self, lengths: list[int], samples: int, n_threads: int) -> Any:
        """Array of all results where they have one shape, else a list."""
        counts = self.plan.framing.counts(lengths)
        if len(set(counts)) == 1:
            return self._empty(len(counts), counts[0], self.n_coefficients)
        if not self._is_direct:
            return [None] * len(counts)
        per_group = 1 + len(counts) * samples // sum(lengths)
        return RaggedResults(counts, self._frames, n_threads * per_group)

    def _frames(self, counts: list[int]) -> list[Any]:
        """Of each clip a result that is still to be filled."""
        if self.output == "torch":
            return [self._empty(count, self.n_coefficients) for count in counts]
        shapes = zip(counts, repeat(self.n_coefficients))
        return list(map(np.empty, shapes, repeat(self._dtype)))

    def _empty(self, *shape: int) -> Any:
        if self.output == "torch":
            return torch.empty(shape, dtype=self.plan.dtype, device=self.device)
        return np.empty(shape, dtype=self._dtype)

    @cached_property
    def _dtype(self) -> np.dtype:
        return np.dtype(str(self.plan.dtype).removeprefix("torch."))

    def _fill(self, rows: Any, first: int, group: Any) -> None:
        """Compute the readable clips of a group and write them to their rows."""
        index = [i for i, clip in enumerate(group, first) if clip is not None]
        each = isinstance(rows, RaggedResults)
        target = rows.room(first, len(group)) if each else rows[first : first + len(group)]
        allocated, complete = target[0] is not None, len(index) == len(group)
        if allocated and not complete:
            target[:] = np.nan
        if not index:
            return
        if isinstance(group, list):
            clips = [clip for clip in group if clip is not None]
            if self.n_samples is not None:
                clips = [clip[: self.n_samples] for clip in clips]
        else:
            clips = group[:, : self.n_samples]
        try:
            if allocated and complete:
                self._write(clips, target)
                if each:
                    rows[first : first + len(group)] = [frames.T for frames in target]
                return
            results = self._results(clips)
        except ClipError as error:
            raise ClipError(index[error.index], str(error)) from None
        for i, result in zip(index, results, strict=True):
            rows[i] = result

    def _write(self, clips: Any, target: Any) -> None:
        """Fill the rows of clips."""
        if self._is_direct:
            each = isinstance(target, list)
            outs = list(map(np.asarray, target)) if each else np.asarray(target)
            fill_clips(clips, outs, self.plan)
            return
        layout = self._layout(clips)
        values = self._compute(clips, layout)
        target[:] = values if self.pooling is not None else layout.stacked(values)

    def _results(self, clips: Any) -> Any:
        """Of each clip a pooled row, or its frames (n_frames, n_coefficients)."""
        layout = self._layout(clips)
        if self._is_direct:
            frames = self._frames(layout.counts)
            self._write(clips, frames)
            return frames
        values = self._compute(clips, layout)
        if self.pooling is not None:
            return values
        # Copies, so that one clip does not keep the memory of its group.
        copy = torch.clone if self.output == "torch" else np.copy
        return map(copy, layout.split(values))

    @property
    def _is_direct(self) -> bool:
        """Whether what the plan computes of a clip is its result."""
        return self.after is None and self.pooling is None and self.device.type == "cpu"

    def _layout(self, clips: Any) -> Layout:
        if self.n_samples is not None and self.pooling is None:
            lengths = [self.n_samples] * len(clips)
        else:
            lengths = list(map(len, clips))
        return Layout(self.plan.framing.counts(lengths))

    def _compute(self, clips: Any, layout: Layout) -> Any:
        """Pooled rows of clips, or the frames of one clip after another."""
        with torch.no_grad():
            values = run_clips(clips, layout, self.plan)
            if self.after is not None:
                values = self.after(values, layout)
            if self.pooling is not None:
                bounds = layout.starts, layout.stops
                values = pool_segments(values, *bounds, self.pooling, self.n_columns)
        return values if self.output == "torch" else values.cpu().numpy()

    def _finish(self, rows: Any) -> Any:
        """Coefficients before frames: one array, else an array or list of arrays."""
        if self.pooling is not None:
            return rows
        if not isinstance(rows, list):
            return rows.swapaxes(1, 2)
        if isinstance(rows, RaggedResults):
            return list(rows) if self.output == "torch" else _objects(rows)
        shape = next((row.shape for row in rows if row is not None), (1, self.n_coefficients))
        equal = all(row is None or row.shape == shape for row in rows)
        missing = self._empty(*(shape if equal else (1, self.n_coefficients)))
        missing[:] = np.nan
        filled = [missing if row is None else row for row in rows]
        if equal:
            stacked = torch.stack(filled) if self.output == "torch" else np.stack(filled)
            return stacked.swapaxes(1, 2)
        turned = [row.T for row in filled]
        return turned if self.output == "torch" else _objects(turned)


def _objects(arrays: list[np.ndarray]) -> np.ndarray:
    return np.fromiter(arrays, object, len(arrays))


def _share(n_samples: int, most: int, n_threads: int) -> int:
    """Samples that are computed at once, so that all threads end together."""
    if n_threads == 1:
        return most
    n_rounds = ceil(n_samples / (n_threads * most))
    return ceil(n_samples / (n_rounds * n_threads))
