"""Rows cut into units, of one shape or of several."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Ragged", "UnitSpan", "Units", "Values", "over_groups", "segment_mean"]


class UnitSpan(NamedTuple):
    """Where the units of a clip lie, in seconds from its first sample.

    Parameters
    ----------
    length : float
        What one unit covers; its frames share it evenly.
    hop : float
        From the beginning of a unit to that of the next.
    start : float, default=0.0
        Beginning of the first unit; below 0 where it reaches into silence before the clip.

    Examples
    --------
    >>> from sktl.backbones import make_backbone
    >>> make_backbone("crepe-tiny", weights=None).unit_span((1024,))
    UnitSpan(length=0.064, hop=0.01, start=-0.032)
    """

    length: float
    hop: float
    start: float = 0.0


class Ragged:
    """Units of several shapes, those of one shape in one tensor, the smaller shapes first.

    Parameters
    ----------
    groups : sequence of Tensor of shape (n_i, ...)
        Units of one shape each.
    order : LongTensor of shape (n_units,)
        Where each unit lies in all groups, one after another.

    Examples
    --------
    >>> import torch
    >>> from sktl.backbones import Ragged
    >>> units = Ragged.concat([torch.zeros(1, 3), torch.ones(1, 5), torch.ones(1, 3)])
    >>> [group.shape for group in units.groups], units.order
    ([torch.Size([2, 3]), torch.Size([1, 5])], tensor([0, 2, 1]))
    >>> units.map(lambda group: group.mean(1))
    tensor([0., 1., 1.])
    """

    def __init__(self, groups: Sequence[Tensor], order: Tensor) -> None:
        self.groups = tuple(groups)
        self.order = order.cpu()

    @classmethod
    def concat(cls, parts: "Sequence[Tensor | Ragged]") -> "Ragged":
        """All units of all parts, in order; within each group, too."""
        groups: dict[tuple[int, ...], list[Tensor]] = {}
        numbers: dict[tuple[int, ...], list[Tensor]] = {}
        n_units = 0
        for part in [part for part in parts if len(part)] or parts[:1]:
            ragged = part if isinstance(part, Ragged) else cls([part], torch.arange(len(part)))
            number = n_units + ragged.order.argsort()
            for group, own in zip(ragged.groups, number.split(ragged.sizes), strict=True):
                shape = tuple(group.shape[1:])
                groups.setdefault(shape, []).append(group)
                numbers.setdefault(shape, []).append(own)
            n_units += len(ragged)
        shapes = sorted(groups)
        order = torch.cat([own for shape in shapes for own in numbers[shape]]).argsort()
        return cls([torch.cat(groups[shape]) for shape in shapes], order)

    @property
    def device(self) -> torch.device:
        """Where the units are."""
        return self.groups[0].device

    @property
    def sizes(self) -> list[int]:
        """Units of each group."""
        return [len(group) for group in self.groups]

    def __len__(self) -> int:
        return len(self.order)

    def map(self, function: "Callable[[Tensor], Tensor]") -> "Tensor | Ragged":
        """`function` of each group; one tensor when the results are of one shape."""
        made = [function(group) for group in self.groups]
        shapes = [tuple(group.shape[1:]) for group in made]
        if len(set(shapes)) == 1:
            return torch.cat(made).index_select(0, self.order.to(made[0].device))
        mapped = Ragged(made, self.order)
        # The same groups, whichever the shapes before were.
        return mapped if shapes == sorted(set(shapes)) else Ragged.concat(mapped.one_by_one())

    def index_select(self, index: Tensor) -> "Ragged":
        """Units `index`, in that order."""
        place = self.order[index.cpu()]
        stops = torch.tensor(self.sizes).cumsum(0)
        group_of = torch.searchsorted(stops, place, right=True)
        groups, taken = [], []
        for number in group_of.unique().tolist():
            group = self.groups[number]
            taken.append((group_of == number).nonzero().squeeze(1))
            own = place[taken[-1]] - (stops[number] - len(group))
            groups.append(group.index_select(0, own.to(group.device)))
        return Ragged(groups, torch.cat(taken).argsort())

    def one_by_one(self) -> list[Tensor]:
        """Units of shape (1, ...)."""
        units = [unit for group in self.groups if len(group) for unit in group.split(1)]
        return [units[place] for place in self.order.tolist()]


Values = Tensor | Ragged


def over_groups(function: Callable[[Tensor], Tensor], values: Values) -> "Tensor":
    """`function` of a tensor, or of each of several, whose results are of one shape."""
    made = values.map(function) if isinstance(values, Ragged) else function(values)
    assert isinstance(made, Tensor)
    return made


@dataclass
class Units:
    """Rows cut into units: what block 0 takes.

    A waveform network sees each clip as one or more patches; any other row is one unit.

    Parameters
    ----------
    values : Tensor of shape (n_units, ...), or Ragged
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

    values: Values
    offsets: Tensor | None = None

    @classmethod
    def from_rows(cls, rows: Sequence[Values], varying: bool = False) -> "Units":
        """Concatenate rows of shape (n_units_i, ...); `varying` ones may differ in shape."""
        values = _concat(rows, varying)
        if all(len(row) == 1 for row in rows):
            return cls(values)
        counts = torch.tensor([0] + [len(row) for row in rows])
        return cls(values, counts.cumsum(0).to(values.device))

    @classmethod
    def concat(cls, parts: "list[Units]") -> "Units":
        """All rows of all parts, in order."""
        values = _concat([part.values for part in parts])
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
        counts = self.counts().tolist()
        if isinstance(self.values, Tensor):
            return self.values.split(counts)
        units, nothing = iter(self.values.one_by_one()), self.values.groups[0][:0]
        rows = ([next(units) for _ in range(count)] for count in counts)
        return tuple(torch.cat(row) if row else nothing for row in rows)

    def take(self, index: Tensor) -> "Units":
        """Rows `index`, in that order."""
        if self.offsets is None:
            return Units(_select(self.values, index))
        counts = self.offsets.diff()[index]
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        shift = torch.repeat_interleave(self.offsets[index] - offsets[:-1], counts)
        position = torch.arange(len(shift), device=index.device) + shift
        return Units(_select(self.values, position), offsets)

    def mean(self) -> Tensor:
        """Mean over the units of each row: (n_rows, d) for units of shape (d,)."""
        values = over_groups(lambda group: group, self.values)
        return values if self.offsets is None else segment_mean(values, self.offsets)

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


def _concat(parts: Sequence[Values], varying: bool = False) -> Values:
    if varying or any(isinstance(part, Ragged) for part in parts):
        return Ragged.concat(parts)
    return torch.cat([part for part in parts if isinstance(part, Tensor)])


def _select(values: Values, index: Tensor) -> Values:
    return (
        values.index_select(0, index) if isinstance(values, Tensor) else values.index_select(index)
    )
