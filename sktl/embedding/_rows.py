"""From the rows of X to units and activations, in chunks of bounded size."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Literal, cast, overload

import numpy as np
import torch
from torch import Tensor

from .._validation import validate_data
from ..audio import Clips, validate_clips
from ..backbones import Backbone, InputSpec, Ragged, Units
from ..backbones._units import Values
from ..features._workers import map_ahead
from ._batches import BatchSize
from ._cache import RowStore
from ._progress import Progress

__all__ = ["CHUNK_ROWS", "check_array_rows", "check_rows", "chunks", "iter_units", "run_padded"]

CHUNK_ROWS = 64
CHUNK_SECONDS = 256.0
# Of several threads each has a chunk; small ones end at about the same time.
CHUNK_SECONDS_OF_THREADS = 72.0
# Nearly the largest block that glibc, seeing it freed, keeps instead of returning.
KEPT_BYTES = 2**25 - 2**16

Rows = Clips | np.ndarray


def check_array_rows(estimator: Any, X: Any, *, reset: bool) -> np.ndarray:
    """Validate rows of numbers of any shape; set or check ``n_features_in_``."""
    if isinstance(X, torch.Tensor):
        X = X.detach().cpu().numpy()
    if isinstance(X, list | tuple) and not X:
        raise ValueError("X is empty; give at least one row.")
    return validate_data(
        estimator, X, reset=reset, dtype=[np.float64, np.float32], allow_nd=True, order="C"
    )


def check_rows(
    estimator: Any,
    X: Any,
    spec: InputSpec,
    *,
    reset: bool,
    n_jobs: int | None = None,
    on_error: Literal["raise", "nan"] = "raise",
) -> Rows:
    """Validate X for a backbone's input; arrays also set or check ``n_features_in_``."""
    if spec.kind == "waveform":
        sr = cast(float, spec.sr)
        return validate_clips(estimator, X, sr=sr, reset=reset, n_jobs=n_jobs, on_error=on_error)
    X = check_array_rows(estimator, X, reset=reset)
    if spec.kind == "spectrogram" and X.ndim != 3:
        raise ValueError(
            f"X has shape {X.shape}, but this network takes spectrograms: give an array of shape "
            "(n, n_bands, n_frames), as MelSpectrogram(duration=...) makes it."
        )
    return X


def chunks(
    rows: Rows, min_samples: int = 1, seconds: float = CHUNK_SECONDS
) -> Iterator[list[np.ndarray | None]]:
    """Rows in order, a few at a time: of an array by their number, clips by their duration.

    A clip counts as `min_samples`, and as a second, at least.
    """
    if isinstance(rows, Clips):
        max_samples = int(seconds * rows.sr)
        most = max_samples / max(min_samples, rows.sr)
        yield from rows.chunks(max(1, int(most)), max_samples)
    else:
        for start in range(0, len(rows), CHUNK_ROWS):
            yield list(rows[start : start + CHUNK_ROWS])


def _seconds_at_once(rows: Rows, min_samples: int, n_threads: int) -> float:
    """Duration of chunks; of clips whose lengths are known, as many chunks for each thread."""
    if n_threads == 1 or not isinstance(rows, Clips):
        return CHUNK_SECONDS
    if rows.from_files:
        return CHUNK_SECONDS_OF_THREADS
    least = max(min_samples, rows.sr)
    lengths = [max(len(clip), least) / rows.sr for clip in rows.rows]
    n_chunks = n_threads * math.ceil(sum(lengths) / (n_threads * CHUNK_SECONDS_OF_THREADS))
    limit = max(sum(lengths) / n_chunks, *lengths)
    while _count_chunks(lengths, limit) > n_chunks:
        limit *= 1.01
    return limit + 1.0 / rows.sr  # of rounding


def _count_chunks(lengths: list[float], limit: float) -> int:
    """Chunks of at most `limit` that lengths in their order make."""
    count, filled = 0, math.inf
    for length in lengths:
        filled += length
        if filled > limit:
            count, filled = count + 1, length
    return count


@overload
def run_padded(
    function: Callable[[Tensor], Tensor],
    values: Tensor,
    batches: BatchSize | None = None,
    seconds: float | None = None,
) -> Tensor: ...
@overload
def run_padded(
    function: Callable[[Tensor], Tensor],
    values: Values,
    batches: BatchSize | None = None,
    seconds: float | None = None,
) -> Values: ...
def run_padded(
    function: Callable[[Tensor], Tensor],
    values: Values,
    batches: BatchSize | None = None,
    seconds: float | None = None,
) -> Values:
    """Apply `function` so that a row's result does not depend on how many rows there are.

    `values` last so many `seconds` together; None for rows of an array.
    """
    at_once = batches or BatchSize()
    if not isinstance(values, Ragged):
        each = 1.0 if seconds is None else seconds / max(1, len(values))
        return at_once.map_units(function, values, each)
    share = _seconds_per_value(values, seconds)

    def run(group: Tensor) -> Tensor:
        # On a CPU, padding rows of all shapes would cost more than one unit at a time.
        most = None if group.device.type == "cuda" else 1
        each = share * group[:1].numel()
        return at_once.map_units(function, group, each, multiple=1, most=most)

    return values.map(run)


def _seconds_per_value(values: Ragged, seconds: float | None) -> float:
    return (seconds or len(values)) / max(1, sum(group.numel() for group in values.groups))


@dataclass(frozen=True)
class _Computation:
    """What every chunk of rows goes through."""

    body: Backbone
    prefix: Callable[[Any], Any] | None
    device: torch.device
    dtype: torch.dtype
    batches: BatchSize
    mixed: bool
    store: RowStore | None

    def __call__(self, chunk: list[np.ndarray | None]) -> tuple[list[np.ndarray | None], Units]:
        """The chunk, and what comes of it."""
        return chunk, self.of(chunk) if self.store is None else self.of_missing(chunk, self.store)

    @torch.no_grad()
    def of(self, chunk: list[np.ndarray | None]) -> Units:
        seconds = None
        if self.body.input_spec.kind == "waveform":
            units = self._cut(chunk)
            seconds = self._seconds(chunk, units.values)
        else:
            rows = np.stack(cast(list[np.ndarray], chunk))
            units = Units(torch.as_tensor(rows).to(self.device, self.dtype))
        if self.prefix is None:
            return units
        values = units.values
        if self.mixed and isinstance(values, Ragged) and len(values):
            share = _seconds_per_value(values, seconds)
            return Units(self.batches.map_ragged(self.prefix, values, share), units.offsets)
        return Units(run_padded(self.prefix, values, self.batches, seconds), units.offsets)

    def of_missing(self, chunk: list[np.ndarray | None], store: RowStore) -> Units:
        """The same, of what the store does not have."""
        stored = (None if row is None else store.get(row) for row in chunk)
        found = {
            i: torch.from_numpy(value).to(self.device)
            for i, value in enumerate(stored)
            if value is not None
        }
        missing = [i for i in range(len(chunk)) if i not in found]
        if missing:
            made = self.of([chunk[i] for i in missing])
            found.update(zip(missing, made.rows(), strict=True))
        for i in missing:
            if (row := chunk[i]) is not None:
                store.put(row, found[i].cpu().numpy())
        return Units.from_rows([found[i] for i in range(len(chunk))], self.body.input_spec.varying)

    def _cut(self, chunk: list[np.ndarray | None]) -> Units:
        """Front end of every clip; an unreadable one (None) has no units."""
        spec = self.body.input_spec
        clips = [
            None if clip is None else torch.as_tensor(clip).to(self.device, self.dtype)
            for clip in chunk
        ]
        readable = [clip for clip in clips if clip is not None]
        readable = readable or [torch.zeros(1, device=self.device, dtype=self.dtype)]
        rows = self.batches.map_clips(self.body.front_end, readable, spec.sr or 1)
        nothing, remaining = rows[0][:0], iter(rows)
        units = [nothing if clip is None else next(remaining) for clip in clips]
        return Units.from_rows(units, spec.varying)

    def _seconds(self, chunk: list[np.ndarray | None], units: Values) -> float:
        """Duration of all clips, with the silence of short ones and what units share twice."""
        spec = self.body.input_spec
        lengths = (max(len(clip), spec.min_samples) for clip in chunk if clip is not None)
        seconds = sum(lengths) / (spec.sr or 1)
        if isinstance(units, Ragged):
            return seconds
        span = self.body.unit_span(tuple(units.shape[1:]))
        return seconds if span is None else max(seconds, len(units) * span.length)


def iter_units(
    rows: Rows,
    body: Backbone,
    prefix: Callable[[Any], Any] | None = None,
    *,
    device: torch.device,
    dtype: torch.dtype,
    store: RowStore | None = None,
    batches: BatchSize | None = None,
    progress: Progress | None = None,
    mixed: bool = False,
    n_threads: int = 1,
) -> Iterator[Units]:
    """Units of every row, or what `prefix` makes of them, a chunk at a time.

    Parameters
    ----------
    rows : Clips or ndarray
        Checked rows.
    body : Backbone
        Its front end turns clips into units.
    prefix : callable, default=None
        Frozen computation on units; its rows must not depend on each other.
    device, dtype : torch.device, torch.dtype
        Where and in which precision to compute.
    store : RowStore, default=None
        Where rows computed earlier are found and new ones are kept.
    batches : BatchSize, default=None
        How much goes through `prefix` at once.
    progress : Progress, default=None
        Told of every chunk.
    mixed : bool, default=False
        Whether `prefix` takes units of several shapes at once.
    n_threads : int, default=1
        Threads that compute a chunk each, where there are several.

    Yields
    ------
    Units
    """
    # What the system would take back after every batch, it would have to hand over again.
    torch.empty(KEPT_BYTES, dtype=torch.uint8)
    work = _Computation(body, prefix, device, dtype, batches or BatchSize(), mixed, store)
    least = body.input_spec.min_samples
    parts = chunks(rows, least, _seconds_at_once(rows, least, n_threads))
    begin = list(islice(parts, 2))
    n_threads = n_threads if len(begin) > 1 else 1
    parts = chain(begin, parts)
    made = map(work, parts) if n_threads <= 1 else map_ahead(work, parts, n_threads)
    for chunk, units in made:
        yield units
        if progress is not None:
            seconds = 0.0
            if isinstance(rows, Clips):
                seconds = sum(len(clip) for clip in chunk if clip is not None) / rows.sr
            progress.add(len(chunk), seconds)
