"""From the rows of X to units and activations, in chunks of bounded size."""

from collections.abc import Callable, Iterator
from typing import Any, Literal, cast, overload

import numpy as np
import torch
from torch import Tensor

from .._validation import validate_data
from ..audio import Clips, validate_clips
from ..backbones import Backbone, InputSpec, Ragged, Units
from ..backbones._units import Values
from ._cache import RowStore

__all__ = ["CHUNK_ROWS", "check_array_rows", "check_rows", "iter_units", "pad_rows", "run_padded"]

CHUNK_ROWS = 64
# A matrix product or convolution over another number of rows may round differently.
ROW_MULTIPLE = 16

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


def chunks(rows: Rows, size: int = CHUNK_ROWS) -> Iterator[list[np.ndarray | None]]:
    """Rows in order, at most `size` at a time."""
    if isinstance(rows, Clips):
        yield from rows.chunks(size)
    else:
        for start in range(0, len(rows), size):
            yield list(rows[start : start + size])


def pad_rows(values: Tensor, multiple: int = ROW_MULTIPLE) -> Tensor:
    """Append zero rows until their number is a multiple of `multiple`, but not zero."""
    missing = max(-len(values) % multiple, multiple - len(values))
    if not missing:
        return values
    return torch.cat([values, values.new_zeros(missing, *values.shape[1:])])


@overload
def run_padded(function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor: ...
@overload
def run_padded(function: Callable[[Tensor], Tensor], values: Values) -> Values: ...
def run_padded(function: Callable[[Tensor], Tensor], values: Values) -> Values:
    """Apply `function` so that a row's result does not depend on how many rows there are."""
    if isinstance(values, Ragged):
        return values.map(function) if values.device.type == "cuda" else _run_each(function, values)
    parts = values.split(CHUNK_ROWS)
    return torch.cat([function(pad_rows(part))[: len(part)] for part in parts])


def _run_each(function: Callable[[Tensor], Tensor], values: Ragged) -> Values:
    """Apply `function` to one unit at a time: padding rows of all shapes would cost more."""

    def run(group: Tensor) -> Tensor:
        return torch.cat([function(unit) for unit in group.split(1)])

    return values.map(run)


def iter_units(
    rows: Rows,
    body: Backbone,
    prefix: Callable[[Tensor], Tensor] | None = None,
    *,
    device: torch.device,
    dtype: torch.dtype,
    store: RowStore | None = None,
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

    Yields
    ------
    Units
    """
    for chunk in chunks(rows):
        if store is None:
            yield _compute(chunk, body, prefix, device, dtype)
            continue
        yield _compute_missing(chunk, body, prefix, device, dtype, store)


def _compute_missing(
    chunk: list[np.ndarray | None],
    body: Backbone,
    prefix: Callable[[Tensor], Tensor] | None,
    device: torch.device,
    dtype: torch.dtype,
    store: RowStore,
) -> Units:
    stored = (None if row is None else store.get(row) for row in chunk)
    found = {
        i: torch.from_numpy(value).to(device) for i, value in enumerate(stored) if value is not None
    }
    missing = [i for i in range(len(chunk)) if i not in found]
    if missing:
        made = _compute([chunk[i] for i in missing], body, prefix, device, dtype)
        found.update(zip(missing, made.rows(), strict=True))
    for i in missing:
        if (row := chunk[i]) is not None:
            store.put(row, found[i].cpu().numpy())
    return Units.from_rows([found[i] for i in range(len(chunk))], body.input_spec.varying)


@torch.no_grad()
def _compute(
    chunk: list[np.ndarray | None],
    body: Backbone,
    prefix: Callable[[Tensor], Tensor] | None,
    device: torch.device,
    dtype: torch.dtype,
) -> Units:
    if body.input_spec.kind == "waveform":
        units = _cut_clips(chunk, body, device, dtype)
    else:
        rows = np.stack(cast(list[np.ndarray], chunk))
        units = Units(torch.as_tensor(rows).to(device, dtype))
    if prefix is None:
        return units
    return Units(run_padded(prefix, units.values), units.offsets)


def _cut_clips(
    chunk: list[np.ndarray | None], body: Backbone, device: torch.device, dtype: torch.dtype
) -> Units:
    """Front end of every clip; an unreadable one (None) has no units."""
    clips = [None if clip is None else torch.as_tensor(clip).to(device, dtype) for clip in chunk]
    readable = [clip for clip in clips if clip is not None]
    rows = body.front_end(readable or [torch.zeros(1, device=device, dtype=dtype)])
    nothing, remaining = rows[0][:0], iter(rows)
    units = [nothing if clip is None else next(remaining) for clip in clips]
    return Units.from_rows(units, body.input_spec.varying)
