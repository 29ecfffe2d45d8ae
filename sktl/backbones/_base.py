"""The contract every backbone keeps: an input, ordered blocks, an embedding."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["Backbone", "InputSpec", "Units", "segment_mean"]


@dataclass(frozen=True)
class InputSpec:
    """What a backbone takes.

    Parameters
    ----------
    kind : {"waveform", "spectrogram", "features"}
        Clips; arrays of shape (n, n_bands, n_frames); or arrays of any other shape.
    sr : int, default=None
        Sample rate in Hz, for waveforms.
    min_samples : int, default=1
        Shortest clip, in samples, that is not padded with zeros.

    Examples
    --------
    >>> from sktl.backbones import InputSpec
    >>> InputSpec("waveform", sr=16000)
    InputSpec(kind='waveform', sr=16000, min_samples=1)
    """

    kind: Literal["waveform", "spectrogram", "features"]
    sr: int | None = None
    min_samples: int = 1


@dataclass
class Units:
    """Rows cut into units of one shape: what block 0 takes.

    A waveform network sees each clip as one or more patches; any other row is one unit.

    Parameters
    ----------
    values : Tensor of shape (n_units, ...)
        All units, row after row.
    offsets : LongTensor of shape (n_rows + 1,), default=None
        Row i owns ``values[offsets[i]:offsets[i + 1]]``; None for one unit per row.

    Examples
    --------
    >>> import torch
    >>> from sktl.backbones import Units
    >>> units = Units.from_rows([torch.zeros(2, 3), torch.ones(1, 3)])
    >>> len(units), units.offsets, units.mean()[1]
    (2, tensor([0, 2, 3]), tensor([1., 1., 1.]))
    """

    values: Tensor
    offsets: Tensor | None = None

    @classmethod
    def from_rows(cls, rows: list[Tensor]) -> "Units":
        """Concatenate rows of shape (n_units_i, ...)."""
        values = torch.cat(rows)
        if all(len(row) == 1 for row in rows):
            return cls(values)
        counts = torch.tensor([0] + [len(row) for row in rows])
        return cls(values, counts.cumsum(0).to(values.device))

    @classmethod
    def concat(cls, parts: "list[Units]") -> "Units":
        """All rows of all parts, in order."""
        values = torch.cat([part.values for part in parts])
        if all(part.offsets is None for part in parts):
            return cls(values)
        counts = torch.cat([part.counts() for part in parts])
        return cls(values, torch.cat([counts.new_zeros(1), counts.cumsum(0)]))

    def counts(self) -> Tensor:
        """Count the units of each row."""
        if self.offsets is None:
            return torch.ones(len(self.values), dtype=torch.long, device=self.values.device)
        return self.offsets.diff()

    def rows(self) -> tuple[Tensor, ...]:
        """One tensor of shape (n_units_i, ...) per row."""
        if self.offsets is None:
            return self.values.split(1)
        return self.values.split(self.offsets.diff().tolist())

    def take(self, index: Tensor) -> "Units":
        """Rows `index`, in that order."""
        if self.offsets is None:
            return Units(self.values.index_select(0, index))
        counts = self.offsets.diff()[index]
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        shift = torch.repeat_interleave(self.offsets[index] - offsets[:-1], counts)
        position = torch.arange(len(shift), device=index.device) + shift
        return Units(self.values.index_select(0, position), offsets)

    def mean(self) -> Tensor:
        """Mean over the units of each row: (n_rows, d) for units of shape (d,)."""
        return self.values if self.offsets is None else segment_mean(self.values, self.offsets)

    def __len__(self) -> int:
        return len(self.values) if self.offsets is None else len(self.offsets) - 1


def segment_mean(values: Tensor, offsets: Tensor) -> Tensor:
    """Average the units of each row.

    Parameters
    ----------
    values : Tensor of shape (n_units, d)
        All units, row after row.
    offsets : Tensor of shape (n_rows + 1,)
        Where each row's units begin; the last entry is n_units.

    Returns
    -------
    Tensor of shape (n_rows, d)
        NaN for a row without units.

    Examples
    --------
    >>> import torch
    >>> from sktl.backbones import segment_mean
    >>> segment_mean(torch.tensor([[1.0], [3.0], [7.0]]), torch.tensor([0, 2, 3]))
    tensor([[2.],
            [7.]])
    """
    counts = offsets.diff()
    row = torch.repeat_interleave(
        torch.arange(len(counts), device=values.device), counts, output_size=len(values)
    )
    total = values.new_zeros(len(counts), *values.shape[1:]).index_add(0, row, values)
    return total / counts.to(values.dtype).unsqueeze(1)


class Backbone(nn.Module):
    """Base class of every network body: ordered `blocks`, then an embedding.

    A subclass sets `input_spec`, `blocks` and `embedding_size`, and may override
    `front_end` (deterministic, before block 0) and `pool` (after the last block).
    Freezing, layer-wise learning rates and the frozen-prefix cache work on `blocks` alone.

    Attributes
    ----------
    input_spec : InputSpec
        What the network takes.
    blocks : nn.ModuleList
        Run in order; each takes the output of the one before.
    embedding_size : int
        Width of the embedding.
    cuttable : bool
        False for a user's module that could not be cut: its one block is frozen whole or
        not at all.
    uncut_reason : str
        Why it could not be cut.
    fixed_statistics : bool
        Whether batch normalisation keeps its loaded statistics in training, which small or
        mixed batches would spoil. Its scale and shift are trained either way.

    Examples
    --------
    A network with a front end of its own, on clips at 8 kHz:

    >>> import torch
    >>> from torch import nn
    >>> from sktl.backbones import Backbone, InputSpec
    >>> class Envelope(Backbone):
    ...     input_spec = InputSpec("waveform", sr=8000, min_samples=800)
    ...     embedding_size = 16
    ...
    ...     def __init__(self):
    ...         super().__init__()
    ...         sizes = [(10, 16), (16, 16)]
    ...         self.blocks = nn.ModuleList(
    ...             nn.Sequential(nn.Linear(*size), nn.ReLU()) for size in sizes
    ...         )
    ...
    ...     def front_end(self, clips):
    ...         clips = [nn.functional.pad(c, (0, max(0, 800 - len(c)))) for c in clips]
    ...         return [c.unfold(0, 800, 800).reshape(-1, 10, 80).std(2) for c in clips]
    >>> body = Envelope()
    >>> [unit.shape for unit in body.front_end([torch.rand(100), torch.rand(4000)])]
    [torch.Size([1, 10]), torch.Size([5, 10])]
    """

    input_spec: InputSpec
    blocks: nn.ModuleList
    embedding_size: int
    cuttable: bool = True
    uncut_reason: str = ""
    fixed_statistics: bool = False

    def train(self, mode: bool = True) -> Self:
        """Set training or eval mode; see `fixed_statistics`."""
        super().train(mode)
        if self.fixed_statistics:
            for module in self.modules():
                if isinstance(module, _BatchNorm) and module.track_running_stats:
                    module.training = False
        return self

    def front_end(self, clips: list[Tensor]) -> list[Tensor]:
        """Turn 1-D waveforms into one tensor of units (n_units_i, ...) per clip."""
        raise NotImplementedError(
            f"{type(self).__name__} takes {self.input_spec.kind}, not waveforms."
        )

    def pool(self, activations: Tensor) -> Tensor:
        """Turn the last block's output into (n_units, embedding_size)."""
        return activations.flatten(1)

    def run_blocks(self, values: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Run ``blocks[start:stop]``."""
        for block in self.blocks[start:stop]:
            values = block(values)
        return values

    def forward(self, values: Tensor, offsets: Tensor | None = None, start: int = 0) -> Tensor:
        """Embed units that have already passed ``blocks[:start]``.

        Parameters
        ----------
        values : Tensor of shape (n_units, ...)
            Units, or the activations of block ``start - 1``.
        offsets : Tensor of shape (n_rows + 1,), default=None
            Where each row's units begin; None for one unit per row.
        start : int, default=0
            First block to run.

        Returns
        -------
        Tensor of shape (n_rows, embedding_size)
        """
        embedding = self.pool(self.run_blocks(values, start))
        return embedding if offsets is None else segment_mean(embedding, offsets)

    @staticmethod
    def import_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename the keys of a published checkpoint to this network's; ours stay."""
        return dict(state)
