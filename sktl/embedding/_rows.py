"""From the rows of X to units and activations, in chunks of bounded size."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Literal, NamedTuple, cast, overload

import numpy as np
import torch
from torch import Tensor

from .._validation import validate_data
from ..audio import Clips, load_audio, validate_clips
from ..backbones import Backbone, InputSpec, Ragged, Units
from ..backbones._units import Values
from ..features._workers import map_ahead
from ._batches import BatchSize
from ._cache import Store, row_key
from ._known_files import FileRow, chunks_of_files
from ._progress import Progress

__all__ = [
    "CHUNK_ROWS",
    "OnTheWay",
    "check_array_rows",
    "check_rows",
    "chunks",
    "iter_units",
    "run_padded",
]

CHUNK_ROWS = 64
CHUNK_SECONDS = 256.0
# Of several threads each has a chunk; small ones end at about the same time.
CHUNK_SECONDS_OF_THREADS = 72.0
# Nearly the largest block that glibc, seeing it freed, keeps instead of returning.
KEPT_BYTES = 2**25 - 2**16

Rows = Clips | np.ndarray
# As it comes in a chunk; None cannot be read.
Row = np.ndarray | FileRow | None


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
    try:
        X = check_array_rows(estimator, X, reset=reset)
    except ValueError as error:
        if "inhomogeneous" not in str(error):  # numpy's word for rows of several shapes
            raise
        raise _of_several_shapes(spec) from error
    if spec.kind == "spectrogram" and X.ndim != 3:
        raise ValueError(
            f"X has shape {X.shape}, but this network takes spectrograms: give an array of shape "
            "(n, n_bands, n_frames), as MelSpectrogram(duration=...) makes it."
        )
    return X


def _of_several_shapes(spec: InputSpec) -> ValueError:
    takes, shape, step = "rows of numbers", "(n, n_features)", "MFCC()"
    if spec.kind == "spectrogram":
        takes, shape = "spectrograms", "(n, n_bands, n_frames)"
        step = "MelSpectrogram(duration=<seconds>)"
    return ValueError(
        f"This network takes {takes} of one shape, but the rows of X, as those of a list of clips, "
        f"have several: give X as an array {shape}, or clips to {step} in a Pipeline before it."
    )


def chunks(
    rows: Rows,
    min_samples: int = 1,
    seconds: float = CHUNK_SECONDS,
    is_stored: Callable[[str], bool] | None = None,
) -> Iterator[list[Any]]:
    """Rows in order, a few at a time: of an array by their number, clips by their duration.

    A clip counts as `min_samples`, and as a second, at least. With `is_stored`, files come as
    `FileRow`, those that need not be read without their samples.
    """
    if isinstance(rows, Clips):
        max_samples = int(seconds * rows.sr)
        most = max(1, int(max_samples / max(min_samples, rows.sr)))
        if is_stored is not None and rows.from_files:
            yield from chunks_of_files(rows, is_stored, most, max_samples)
        else:
            yield from rows.chunks(most, max_samples)
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


class OnTheWay(NamedTuple):
    """Where rows are found that have gone part of the way, and what takes them to its end."""

    store: Store
    rest: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class _Computation:
    """What every chunk of rows goes through."""

    body: Backbone
    prefix: Callable[[Any], Any] | None
    device: torch.device
    dtype: torch.dtype
    batches: BatchSize
    mixed: bool
    store: Store | None
    on_the_way: Sequence[OnTheWay]

    def __call__(self, chunk: list[Any]) -> tuple[list[Any], Units]:
        """The chunk, and what comes of it."""
        return chunk, self.of(chunk) if self.store is None else self.of_missing(chunk, self.store)

    def is_stored(self, key: str) -> bool:
        """Whether a row can do without its samples."""
        stores = [self.store, *(begun.store for begun in self.on_the_way)]
        return any(store is not None and store.has(key) for store in stores)

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

    def of_missing(self, chunk: list[Row], store: Store) -> Units:
        """The same, of what the store does not have."""
        keys = {i: _key(row) for i, row in enumerate(chunk) if row is not None}
        found = self._stored(store, keys)
        made: dict[int, Tensor] = {}
        for begun in self.on_the_way:
            wanted = {i: key for i, key in keys.items() if i not in found and i not in made}
            made |= self._finished(begun, wanted, chunk)
        missing = [i for i in range(len(chunk)) if i not in found and i not in made]
        if missing:
            units = self.of([self._clip(chunk[i]) for i in missing])
            made |= zip(missing, units.rows(), strict=True)
        for i, row in made.items():
            if i in keys:
                store.put(keys[i], row.cpu().numpy())
        rows = found | made
        return Units.from_rows([rows[i] for i in range(len(chunk))], self.body.input_spec.varying)

    def _stored(self, store: Store, keys: dict[int, str]) -> dict[int, Tensor]:
        values = {i: store.get(key) for i, key in keys.items()}
        return {
            i: torch.from_numpy(value).to(self.device)
            for i, value in values.items()
            if value is not None
        }

    @torch.no_grad()
    def _finished(
        self, begun: OnTheWay, keys: dict[int, str], chunk: list[Row]
    ) -> dict[int, Tensor]:
        """Rows that have gone part of the way, at its end."""
        found = self._stored(begun.store, keys)
        if not found:
            return {}
        units = Units.from_rows(list(found.values()), self.body.input_spec.varying)
        seconds = None
        if self.body.input_spec.kind == "waveform":
            seconds = self._seconds_of([chunk[i] for i in found])
        values = run_padded(begun.rest, units.values, self.batches, seconds)
        return dict(zip(found, Units(values, units.offsets).rows(), strict=True))

    def _clip(self, row: Row) -> np.ndarray | None:
        """Samples of a row; those of a file are read if that was spared in vain."""
        if not isinstance(row, FileRow):
            return row
        return load_audio(row.path, self.body.input_spec.sr or 1) if row.clip is None else row.clip

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
        seconds = self._seconds_of(chunk)
        if isinstance(units, Ragged):
            return seconds
        span = self.body.unit_span(tuple(units.shape[1:]))
        return seconds if span is None else max(seconds, len(units) * span.length)

    def _seconds_of(self, chunk: Sequence[Row]) -> float:
        spec = self.body.input_spec
        lengths = (max(_n_samples(row), spec.min_samples) for row in chunk if row is not None)
        return sum(lengths) / (spec.sr or 1)


def _key(row: np.ndarray | FileRow) -> str:
    return row.key if isinstance(row, FileRow) else row_key(row)


def _n_samples(row: np.ndarray | FileRow) -> int:
    return row.n_samples if isinstance(row, FileRow) else len(row)


def iter_units(
    rows: Rows,
    body: Backbone,
    prefix: Callable[[Any], Any] | None = None,
    *,
    device: torch.device,
    dtype: torch.dtype,
    store: Store | None = None,
    on_the_way: Sequence[OnTheWay] = (),
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
    store : Store, default=None
        Where rows computed earlier are found and new ones are kept.
    on_the_way : sequence of OnTheWay, default=()
        Where rows that `store` does not have are looked for, in turn.
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
    batches = batches or BatchSize()
    work = _Computation(body, prefix, device, dtype, batches, mixed, store, on_the_way)
    least = body.input_spec.min_samples
    is_stored = None if store is None else work.is_stored
    parts = chunks(rows, least, _seconds_at_once(rows, least, n_threads), is_stored)
    begin = list(islice(parts, 2))
    n_threads = n_threads if len(begin) > 1 else 1
    parts = chain(begin, parts)
    made = map(work, parts) if n_threads <= 1 else map_ahead(work, parts, n_threads)
    for chunk, units in made:
        yield units
        if progress is not None:
            seconds = 0.0
            if isinstance(rows, Clips):
                seconds = sum(_n_samples(row) for row in chunk if row is not None) / rows.sr
            progress.add(len(chunk), seconds)
