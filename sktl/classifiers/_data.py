"""From checked rows to tensors that a network trains on."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from ..audio import Clips
from ..backbones import Units
from ..embedding._cache import open_store
from ..embedding._rows import CHUNK_ROWS, Rows
from ._batches import RowSet
from ._labels import Classes
from ._module import Scaler, TransferModule, moments
from ._prefix import prefix_units

__all__ = [
    "Data",
    "has_batch_statistics",
    "row_set",
    "set_embedding_scaler",
    "set_input_scaler",
    "units_of",
]

# Columns of an embedding that hardly vary are not raised further than these parts allow.
OF_MEDIAN, OF_MEAN = 1e-2, 1e-3


@dataclass
class Data:
    """Rows to train on, in numpy: checked, and without those of weight zero."""

    rows: Rows
    y: np.ndarray
    """Class indices; of several tasks a column for each, 0 for those not known."""
    weight: np.ndarray
    """Shaped as `y`; of several tasks 0 for labels not known."""
    source: np.ndarray
    classes: Classes
    groups: np.ndarray | None = None
    place: np.ndarray | None = None
    """Which rows of X they are."""
    teacher: np.ndarray | None = None
    """Logits of a teacher."""
    domain: np.ndarray | None = None
    """Number of each row's domain, where there are more than two."""
    domains: tuple[int, ...] | None = None
    """As the caller numbers them, in that order."""
    known: np.ndarray | None = None
    """Target rows whose label is read."""

    def take(self, index: np.ndarray) -> "Data":
        """Rows `index`, in that order."""
        rows = self.rows.take(index) if isinstance(self.rows, Clips) else self.rows[index]
        names = ("y", "weight", "source", "groups", "place", "teacher", "domain", "known")
        known = {name: value for name in names if (value := getattr(self, name)) is not None}
        return replace(self, rows=rows, **{name: value[index] for name, value in known.items()})

    @property
    def row_weight(self) -> np.ndarray:
        """One weight per row, the mean over tasks."""
        return per_row(self.weight)


def per_row(weight: np.ndarray) -> np.ndarray:
    """Weights of rows, of which there may be one for each task."""
    return weight if weight.ndim == 1 else weight.mean(1)


def units_of(module: TransferModule, rows: Rows, depth: int, memory: Any = None) -> Units:
    """Every row at a depth, as `prefix_units` counts it."""
    if depth == 0 and isinstance(rows, np.ndarray):
        weight = next(module.head.parameters())
        return Units(torch.tensor(rows, device=weight.device, dtype=weight.dtype))
    return Units.concat(list(prefix_units(module, rows, depth, memory)))


def row_set(
    module: TransferModule, data: Data, depth: int, device: torch.device, memory: Any
) -> RowSet:
    """All rows on the device, their units at a depth; past all blocks, their embeddings."""
    units = units_of(module, data.rows, depth, memory)
    if depth > len(module.body.blocks):
        units = Units(units.mean())
    dtype = next(module.head.parameters()).dtype
    mean = data.weight[data.source].mean(0)
    # A call of partial_fit may bring no label of a task.
    weight = data.weight / np.where(mean > 0, mean, 1.0)
    labelled = data.source if data.known is None else data.source | data.known
    rows = RowSet(
        units,
        torch.as_tensor(np.where(labelled, data.y.T, 0).T, device=device),
        torch.as_tensor(weight, device=device, dtype=dtype),
        torch.as_tensor(data.source, device=device),
        depth,
    )
    for name, kind in {"teacher": dtype, "domain": torch.int64, "known": torch.bool}.items():
        if (values := getattr(data, name)) is not None:
            setattr(rows, name, torch.as_tensor(values, device=device, dtype=kind))
    return rows


def set_input_scaler(module: TransferModule, data: Data) -> None:
    """Standardise arrays with their weighted training statistics."""
    if not isinstance(module.input_scaler, Scaler) or isinstance(data.rows, Clips):
        return
    axes = (2,) if module.body.input_spec.kind == "spectrogram" else ()
    module.input_scaler.fill(*moments(data.rows, data.row_weight, axes))


def set_embedding_scaler(
    module: TransferModule, rows: RowSet, inputs: Rows, memory: Any = None
) -> None:
    """Standardise the embedding as the starting weights give it, but raise nothing from noise.

    `rows` are made of `inputs`.
    """
    if not isinstance(module.embedding_scaler, Scaler):
        return
    embedding = _starting_embedding(module, rows, inputs, memory).double().cpu().numpy()
    mean, scale = moments(embedding, per_row(rows.weight.double().cpu().numpy()), ())
    lowest = np.maximum(OF_MEDIAN * np.median(scale), OF_MEAN * np.abs(mean))
    module.embedding_scaler.fill(mean, np.maximum(scale, lowest))


def _starting_embedding(
    module: TransferModule, rows: RowSet, inputs: Rows, memory: Any
) -> torch.Tensor:
    """What the body makes of rows before it learns: the same wherever it is cut."""
    n_frozen, n_blocks = module.n_frozen, len(module.body.blocks)
    if rows.start > n_blocks:
        return rows.units.mean()
    module.freeze(n_blocks)
    try:
        if open_store(memory, "") is not None:
            return units_of(module, inputs, n_blocks + 1, memory).mean()
        index = torch.arange(len(rows), device=rows.y.device)
        parts = (rows.take(part).units for part in index.split(CHUNK_ROWS))
        return torch.cat([module.infer(part, rows.start)[0] for part in parts])
    finally:
        module.freeze(n_frozen)


def has_batch_statistics(module: TransferModule) -> bool:
    """Whether the embedding of training differs from that of inference, which is measured."""
    learning = module.body.blocks[module.n_frozen :].modules()
    return not module.body.fixed_statistics and any(isinstance(m, _BatchNorm) for m in learning)
