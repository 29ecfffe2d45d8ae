"""Rows on the device, and the order in which an epoch visits them."""

from collections.abc import Iterator
from copy import copy
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..backbones import Units

__all__ = ["Batches", "RowSet"]


class RowSet(Dataset):
    """Training rows as tensors: units, labels, weights, domains.

    Parameters
    ----------
    units : Units
        Units that have passed ``blocks[:start]``.
    y : LongTensor of shape (n_rows,)
        Class indices; never read for target rows.
    weight : Tensor of shape (n_rows,)
        Sample weights with mean one over the source rows.
    source : BoolTensor of shape (n_rows,)
        True for labelled source rows.
    start : int
        Depth of the cached prefix.
    n_source : int, default=None
        In a batch: its source rows, which come first.

    Attributes
    ----------
    mix : Mix or None
        In a batch whose rows are mixed: with which ones.
    teacher : Tensor of shape (n_rows, n_classes) or None
        Logits of a teacher.
    domain : LongTensor of shape (n_rows,) or None
        Number of each row's domain, where there are more than two.
    known : BoolTensor of shape (n_rows,) or None
        True for target rows whose label is read.
    """

    mix: Any = None
    teacher: Tensor | None = None
    domain: Tensor | None = None
    known: Tensor | None = None

    def __init__(
        self,
        units: Units,
        y: Tensor,
        weight: Tensor,
        source: Tensor,
        start: int = 0,
        n_source: int | None = None,
    ) -> None:
        self.units = units
        self.y = y
        self.weight = weight
        self.source = source
        self.start = start
        self.n_source = len(y) if n_source is None else n_source

    def __len__(self) -> int:
        return len(self.y)

    @property
    def further(self) -> dict[str, Tensor]:
        """What is known besides of each row, by name."""
        found = {name: getattr(self, name) for name in ("teacher", "domain", "known")}
        return {name: values for name, values in found.items() if values is not None}

    def take(self, index: Tensor, n_source: int | None = None) -> "RowSet":
        """Rows `index`, in that order."""
        return self.at(index, self.units.take(index), n_source)

    def at(self, index: Tensor, units: Units, n_source: int | None = None) -> "RowSet":
        """What is known of the rows `index`, with those units."""
        rows = RowSet(
            units,
            self.y.index_select(0, index),
            self.weight.index_select(0, index),
            self.source.index_select(0, index),
            self.start,
            n_source,
        )
        for name, values in self.further.items():
            setattr(rows, name, values.index_select(0, index))
        return rows

    def with_units(self, units: Units) -> "RowSet":
        """The same rows, of other units."""
        made = copy(self)
        made.units = units
        return made

    def split(self, size: int) -> Iterator["RowSet"]:
        """A batch of source rows in parts of at most `size` rows, as equal as can be."""
        index = torch.arange(len(self), device=self.y.device)
        for part in index.tensor_split(-(-len(self) // size)):
            rows = self.take(part)
            rows.mix = None if self.mix is None else self.mix.take(part)
            yield rows


class Batches:
    """Batches of one epoch after another, each row in exactly one batch of an epoch.

    With target rows a batch holds half source and half target; the shorter side is
    reshuffled and cycled until the longer one has been seen once.

    Parameters
    ----------
    rows : RowSet
        All rows.
    batch_size : int
        Rows per batch.
    seed : int or None
        Seed of the order together with the epoch; None keeps the rows in order.
    epoch : int, default=0
        Epochs that came before.
    """

    def __init__(self, rows: RowSet, batch_size: int, seed: int | None, epoch: int = 0) -> None:
        self.rows = rows
        self.seed = seed
        self.epoch = epoch
        index = torch.arange(len(rows))
        source = rows.source.cpu()
        self.source, self.target = index[source], index[~source]
        self.size = batch_size if not len(self.target) else max(1, batch_size // 2)

    @property
    def longest(self) -> int:
        """Rows of the longer side."""
        return max(len(self.source), len(self.target))

    def __len__(self) -> int:
        # A batch of one row is refused by batch normalisation: it joins the one before.
        n_batches, rest = divmod(self.longest, self.size)
        return max(1, n_batches + (rest > 0 if self.size == 1 or rest != 1 else 0))

    def __iter__(self) -> Iterator[RowSet]:
        generator = None
        if self.seed is not None:
            generator = torch.Generator().manual_seed(self.seed + self.epoch)
        self.epoch += 1
        sides = [_cycle(side, self.longest, generator) for side in (self.source, self.target)]
        counts = [self.size] * (len(self) - 1)
        counts.append(self.longest - sum(counts))
        parts = zip(*(side.split(counts) for side in sides if len(side)), strict=True)
        # One copy to the device for the whole epoch.
        order = torch.cat([part for batch in parts for part in batch]).to(self.rows.y.device)
        n_sides = 1 + (len(self.target) > 0)
        sizes = [n_sides * count for count in counts]
        for index, n_source in zip(order.split(sizes), counts, strict=True):
            yield self.rows.take(index, n_source)


def _cycle(index: Tensor, length: int, generator: torch.Generator | None) -> Tensor:
    """Repeat `index` up to `length`, each round in a new order."""
    if not len(index):
        return index
    rounds = -(-length // len(index))
    if generator is None:
        return index.repeat(rounds)[:length]
    orders = [index[torch.randperm(len(index), generator=generator)] for _ in range(rounds)]
    return torch.cat(orders)[:length]
