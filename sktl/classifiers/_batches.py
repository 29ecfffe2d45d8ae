"""Rows on the device, and the order in which an epoch visits them."""

from collections.abc import Iterator

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
    """

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

    def take(self, index: Tensor, n_source: int | None = None) -> "RowSet":
        """Rows `index`, in that order."""
        return RowSet(
            self.units.take(index),
            self.y.index_select(0, index),
            self.weight.index_select(0, index),
            self.source.index_select(0, index),
            self.start,
            n_source,
        )


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
    """

    def __init__(self, rows: RowSet, batch_size: int, seed: int | None) -> None:
        self.rows = rows
        self.seed = seed
        self.epoch = 0
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
        device = self.rows.y.device
        sides = [_cycle(side, self.longest, generator) for side in (self.source, self.target)]
        for i in range(len(self)):
            stop = None if i == len(self) - 1 else (i + 1) * self.size
            source, target = (side[i * self.size : stop] for side in sides)
            yield self.rows.take(torch.cat([source, target]).to(device), len(source))


def _cycle(index: Tensor, length: int, generator: torch.Generator | None) -> Tensor:
    """Repeat `index` up to `length`, each round in a new order."""
    if not len(index):
        return index
    rounds = -(-length // len(index))
    if generator is None:
        return index.repeat(rounds)[:length]
    orders = [index[torch.randperm(len(index), generator=generator)] for _ in range(rounds)]
    return torch.cat(orders)[:length]
