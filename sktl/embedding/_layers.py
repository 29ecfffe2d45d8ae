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

from ..backbones import Backbone, Ragged, Units, UnitSpan
from ..backbones._registry import PREFIXES
from ..backbones._saved import is_saved
from ..backbones._units import Values, over_groups
from ._frames import unit_frames

__all__ = [
    "POOLINGS",
    "LayerPooling",
    "Pooling",
    "check_layers",
    "name_of",
    "names_several",
    "prefix_of",
    "span_of_units",
]

Pooling = Literal["mean", "max", "mean_max", "mean_std"]
POOLINGS: dict[str, tuple[str, ...]] = {
    "mean": ("mean",),
    "max": ("max",),
    "mean_max": ("mean", "max"),
    "mean_std": ("mean", "std"),
}


@dataclass(frozen=True)
class LayerPooling:
    """Statistics over all frames of a row, layer by layer, or the frames themselves.

    Parameters
    ----------
    layers : tuple of int or None
        Blocks whose output is taken; None for the embedding of the network.
    pooling : {"mean", "max", "mean_max", "mean_std"} or None
    local : bool
        Whether channels are kept at each frequency.
    """

    layers: tuple[int, ...] | None
    pooling: Pooling | None
    local: bool

    def unit_statistics(self, body: Backbone, values: Values) -> Tensor:
        """What the rows' statistics are made of: (n_units, n_statistics, n_features).

        Without pooling, (n_units, n_frames, 1 + n_features), see `unit_frames`.
        """
        if self.pooling is None and self.layers is None and body.frame_size is not None:
            assert isinstance(values, Tensor)
            frames, times = body.timed_frames(values)
            return torch.cat([times.unsqueeze(2), frames], dim=2).float()
        outputs = self._outputs(body, values)
        if self.pooling is None:
            assert isinstance(values, Tensor)
            layers = [self._frames(body, output) for output in outputs]
            span = body.unit_span(tuple(values.shape[1:]))
            return unit_frames(layers, 0.0 if span is None else span.length)
        pooling = self.pooling

        def statistics(output: Tensor) -> Tensor:
            return _unit_statistics(self._frames(body, output), pooling)

        return torch.cat([over_groups(statistics, output) for output in outputs], dim=2)

    def rows(self, units: Units, widths: Sequence[int]) -> Tensor:
        """Rows (n_rows, n_columns) of these statistics, `widths` features for each layer."""
        assert self.pooling is not None
        values = over_groups(lambda group: group, units.values)
        statistics = _row_statistics(values, units.counts(), self.pooling)
        layers = zip(
            *(statistic.split(list(widths), dim=1) for statistic in statistics), strict=True
        )
        return torch.cat([part for layer in layers for part in layer], dim=1)

    @property
    def n_statistics(self) -> int:
        """Columns of each feature."""
        return 1 if self.pooling is None else len(POOLINGS[self.pooling])

    @torch.no_grad()
    def widths(self, body: Backbone, row_shape: tuple[int, ...] | None) -> list[int]:
        """Features of each layer, on rows of this shape."""
        if self.layers is None:
            frame_size = body.frame_size if self.pooling is None else None
            return [frame_size or body.embedding_size]
        outputs = self._outputs(body, _example_unit(body, row_shape))
        return [self._frames(body, output).shape[2] for output in outputs]

    def names(self, prefix: str, widths: Sequence[int], added: bool = False) -> list[str]:
        """Names of the columns: network, block, statistic if there are two, feature.

        With `added`, the layers are one: "fused" stands for their blocks.
        """
        assert self.pooling is not None
        statistics = POOLINGS[self.pooling]
        blocks = [""] if self.layers is None else [f"_b{layer:02d}" for layer in self.layers]
        if added:
            blocks, widths = ["_fused"], widths[:1]
        return [
            f"{prefix}{block}{f'_{statistic}' if len(statistics) > 1 else ''}_{index:04d}"
            for block, width in zip(blocks, widths, strict=True)
            for statistic in statistics
            for index in range(width)
        ]

    def _outputs(self, body: Backbone, values: Values) -> list[Any]:
        """What each layer makes of units; the last of the network where it is not named."""
        if self.layers is None:
            return [_run(body, values)]
        found, start = {}, 0
        for layer in sorted(set(self.layers)):
            found[layer] = values = _run(body, values, start, layer + 1)
            start = layer + 1
        return [found[layer] for layer in self.layers]

    def _frames(self, body: Backbone, output: Tensor) -> Tensor:
        """Features of each frame: (n_units, n_frames, n_features)."""
        if self.layers is None:
            return _in_full(body.pool(output).unsqueeze(1))
        return _in_full(body.frames(output, self.local))


def _run(body: Backbone, values: Values, start: int = 0, stop: int | None = None) -> Values:
    if isinstance(values, Ragged):
        return body.run_ragged(values, start, stop)
    return body.run_blocks(values, start, stop)


def _in_full(values: Tensor) -> Tensor:
    """In float32 at least: statistics in half precision would lose digits."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _example_unit(body: Backbone, row_shape: tuple[int, ...] | None) -> Tensor:
    """One unit (1, ...) of silence, of rows of this shape."""
    if body.input_spec.kind != "waveform":
        return torch.zeros(1, *(row_shape or ()))
    n_samples = max(body.input_spec.min_samples, *(row_shape or ()), 1)
    return body.front_end([torch.zeros(n_samples)])[0][:1]


@torch.no_grad()
def span_of_units(
    body: Backbone, row_shape: tuple[int, ...] | None, name: str, needed: bool
) -> UnitSpan:
    """Where units lie; all at the beginning where that is neither known nor needed."""
    span = body.unit_span(tuple(_example_unit(body, row_shape).shape[1:]))
    if span is None and needed:
        reason = (
            "its units have no known place in time; let the method unit_span of the network say it"
            if body.input_spec.kind == "waveform"
            else f"it takes {body.input_spec.kind}, not clips"
        )
        raise ValueError(
            f"output='frames' gives frames with their times, but those of {name} are not known: "
            f"{reason}, or give output='rows' for the frames alone."
        )
    return span or UnitSpan(0.0, 0.0)


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
    kinds = ("max" if name == "max" else "mean" for name in POOLINGS[pooling])
    rows = [
        torch.segment_reduce(statistic, kind, lengths=counts, unsafe=True)
        for kind, statistic in zip(kinds, values.unbind(1), strict=True)
    ]
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
    listed = list(listed) if isinstance(listed, list | tuple | range) else [listed]
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


def names_several(layers: Any) -> bool:
    """Tell whether more than one layer is asked for, of a network that is not known yet."""
    if isinstance(layers, str):
        return layers == "all"
    listed = layers.tolist() if isinstance(layers, np.ndarray) else layers
    return isinstance(listed, list | tuple | range) and len(listed) > 1


def _is_number(layer: Any) -> bool:
    return isinstance(layer, Integral) and not isinstance(layer, bool)


def prefix_of(backbone: Any) -> str:
    """Beginning of the names of columns: "wav2vec2-base" of "hf:facebook/wav2vec2-base"."""
    name = name_of(backbone)
    if not name.startswith(PREFIXES):
        return name
    return Path(name.partition(":")[2].partition("?")[0]).name


def name_of(backbone: Any) -> str:
    """A backbone in a message."""
    if isinstance(backbone, str | os.PathLike):
        return Path(backbone).stem if is_saved(backbone) else str(backbone)
    return getattr(backbone, "__name__", type(backbone).__name__).lower()
