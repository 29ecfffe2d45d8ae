"""Which layers make an embedding, and how their frames become one row."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..backbones import Backbone, Units
from ..backbones._saved import is_saved
from ..backbones._units import over_groups

__all__ = ["POOLINGS", "LayerPooling", "Pooling", "check_layers", "name_of"]

Pooling = Literal["mean", "max", "mean_max", "mean_std"]
POOLINGS: dict[str, tuple[str, ...]] = {
    "mean": ("mean",),
    "max": ("max",),
    "mean_max": ("mean", "max"),
    "mean_std": ("mean", "std"),
}


@dataclass(frozen=True)
class LayerPooling:
    """Statistics over all frames of a row, layer by layer.

    Parameters
    ----------
    layers : tuple of int or None
        Blocks whose output is taken; None for the embedding of the network.
    pooling : {"mean", "max", "mean_max", "mean_std"}
    local : bool
        Whether channels are kept at each frequency.
    """

    layers: tuple[int, ...] | None
    pooling: Pooling
    local: bool

    def unit_statistics(self, body: Backbone, values: Tensor) -> Tensor:
        """What the rows' statistics are made of: (n_units, n_statistics, n_features)."""
        layers = [_unit_statistics(frames, self.pooling) for frames in self._frames(body, values)]
        return torch.cat(layers, dim=2)

    def rows(self, units: Units, widths: Sequence[int]) -> Tensor:
        """Rows (n_rows, n_columns) of these statistics, `widths` features for each layer."""
        values = over_groups(lambda group: group, units.values)
        statistics = _row_statistics(values, units.counts(), self.pooling)
        layers = zip(
            *(statistic.split(list(widths), dim=1) for statistic in statistics), strict=True
        )
        return torch.cat([part for layer in layers for part in layer], dim=1)

    @torch.no_grad()
    def widths(self, body: Backbone, row_shape: tuple[int, ...] | None) -> list[int]:
        """Features of each layer, on rows of this shape."""
        if self.layers is None:
            return [body.embedding_size]
        if body.input_spec.kind == "waveform":
            n_samples = max(body.input_spec.min_samples, *(row_shape or ()), 1)
            values = body.front_end([torch.zeros(n_samples)])[0][:1]
        else:
            values = torch.zeros(1, *(row_shape or ()))
        return [frames.shape[2] for frames in self._frames(body, values)]

    def names(self, prefix: str, widths: Sequence[int]) -> list[str]:
        """Names of the columns: network, block, statistic if there are two, feature."""
        statistics = POOLINGS[self.pooling]
        blocks = [""] if self.layers is None else [f"_b{layer:02d}" for layer in self.layers]
        return [
            f"{prefix}{block}{f'_{statistic}' if len(statistics) > 1 else ''}_{index:04d}"
            for block, width in zip(blocks, widths, strict=True)
            for statistic in statistics
            for index in range(width)
        ]

    def _frames(self, body: Backbone, values: Tensor) -> list[Tensor]:
        if self.layers is None:
            return [body.pool(body.run_blocks(values)).unsqueeze(1)]
        found, start = {}, 0
        for layer in sorted(set(self.layers)):
            values = body.run_blocks(values, start, layer + 1)
            start = layer + 1
            found[layer] = body.frames(values, self.local)
        return [found[layer] for layer in self.layers]


def _unit_statistics(frames: Tensor, pooling: Pooling) -> Tensor:
    """Mean over frames, maximum or mean square: (n, n_frames, d) → (n, n_statistics, d)."""
    if pooling == "mean":
        return frames.mean(1, keepdim=True)
    if pooling == "max":
        return frames.amax(1, keepdim=True)
    if pooling == "mean_max":
        return torch.stack([frames.mean(1), frames.amax(1)], dim=1)
    # The square of the mean is subtracted later: twice the digits.
    frames = frames.double()
    return torch.stack([frames.mean(1), frames.square().mean(1)], dim=1)


def _row_statistics(values: Tensor, counts: Tensor, pooling: Pooling) -> list[Tensor]:
    """The same over the units of each row: (n_units, n_statistics, d) → of each (n_rows, d)."""
    rows: list[Tensor] = []
    for name, statistic in zip(POOLINGS[pooling], values.unbind(1), strict=True):
        kind = "max" if name == "max" else "mean"
        reduced = torch.segment_reduce(statistic, kind, lengths=counts, unsafe=True)
        rows.append(reduced)
    if pooling == "mean_std":
        rows[1] = (rows[1] - rows[0].square()).clamp(min=0.0).sqrt()
    return [row.masked_fill(counts[:, None] == 0, torch.nan) for row in rows]


def check_layers(layers: Any, n_blocks: int, name: str) -> tuple[int, ...] | None:
    """Blocks counted from the first; None for the embedding of the network."""
    if isinstance(layers, str) and layers == "last":
        return None
    if isinstance(layers, str) and layers == "all":
        return tuple(range(n_blocks))
    listed = layers.tolist() if isinstance(layers, np.ndarray) else layers
    listed = list(listed) if isinstance(listed, list | tuple) else [listed]
    if not listed or not all(map(_is_number, listed)):
        raise ValueError(
            f"layers={layers!r} is not understood; give 'last', 'all', a block's number or a list "
            "of them."
        )
    if not all(-n_blocks <= int(layer) < n_blocks for layer in listed):
        raise ValueError(
            f"layers={layers!r}, but {name} has {n_blocks} blocks; give {-n_blocks} to "
            f"{n_blocks - 1}."
        )
    counted = tuple(int(layer) % n_blocks for layer in listed)
    if len(set(counted)) < len(counted):
        raise ValueError(f"layers={layers!r} names a block of {name} twice; name it once.")
    return counted


def _is_number(layer: Any) -> bool:
    return isinstance(layer, Integral) and not isinstance(layer, bool)


def name_of(backbone: Any) -> str:
    """A backbone in a message and in the names of columns."""
    if isinstance(backbone, str | os.PathLike):
        return Path(backbone).stem if is_saved(backbone) else str(backbone)
    return getattr(backbone, "__name__", type(backbone).__name__).lower()
