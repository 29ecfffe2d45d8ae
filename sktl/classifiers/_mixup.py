"""Mixup: rows of a batch mixed in pairs, and the loss of what comes of it."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.distributions import Gamma
from torch.nn import functional

from ..backbones import Ragged, Units
from ..backbones._units import Values
from ._batches import RowSet

__all__ = ["Mix", "draw_shares", "mix_rows", "mixup_losses"]


@dataclass(frozen=True)
class Mix:
    """With which row each source row of a batch was mixed, and how much of it is left.

    Parameters
    ----------
    partner : LongTensor of shape (n_source,)
        Place of the other row in the batch.
    share : Tensor of shape (n_source,)
        λ, the part of a row's own; the partner's is 1 - λ.
    y : LongTensor of shape (n_source,)
        Class of the partner.
    weight : Tensor of shape (n_source,)
        Sample weight of the partner.
    teacher : Tensor of shape (n_source, n_classes) or None
        What a teacher says of the partner.
    """

    partner: Tensor
    share: Tensor
    y: Tensor
    weight: Tensor
    teacher: Tensor | None = None

    def take(self, index: Tensor) -> "Mix":
        """Of the source rows `index`; the places of their partners stay those of the batch."""
        known = {key: value for key, value in vars(self).items() if value is not None}
        return replace(self, **{key: value[index] for key, value in known.items()})

    def of_task(self, task: int) -> "Mix":
        """Where labels and weights have a column for each task: that one."""
        return replace(self, y=self.y[:, task], weight=self.weight[:, task])


def mix_rows(batch: RowSet, alpha: float) -> tuple[RowSet, Mix]:
    """Mix the source rows of a batch in pairs, x̃ = λ x_i + (1 - λ) x_j.

    Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018, eq. 1, with one λ from
    Beta(α, α) for each row and a permutation of the source rows as partners, both drawn from
    torch's CPU generator. Target rows stay as they are.

    Parameters
    ----------
    batch : RowSet
        Source rows first. It is not changed.
    alpha : float
        α, above 0: the larger, the more even the parts.

    Returns
    -------
    mixed : RowSet
        The batch with other units; labels and weights are those of the rows themselves. Of a row
        of several units, unit k is mixed with unit k modulo their number of the partner; a unit
        that differs in length from the partner's keeps its own, and the other one is repeated
        or cut.
    mix : Mix
        What :func:`mixup_losses` needs.
    """
    n_source, device = batch.n_source, batch.y.device
    partner = torch.randperm(n_source).to(device)
    share = draw_shares(alpha, n_source).to(device, batch.weight.dtype)
    teacher = None if batch.teacher is None else batch.teacher[partner]
    mix = Mix(partner, share, batch.y[partner], batch.weight[partner], teacher)
    target = torch.arange(n_source, len(batch), device=device)
    other, share = torch.cat([partner, target]), torch.cat([share, share.new_ones(len(target))])
    return batch.with_units(_mix_units(batch.units, other, share)), mix


def draw_shares(alpha: float, n: int) -> Tensor:
    """`n` draws from Beta(α, α) in float64, by torch's CPU generator."""
    # Of log-gammas: for a small α, both gammas are often 0.
    alphas = torch.full((2, n), float(alpha), dtype=torch.float64)
    uniform = 1.0 - torch.rand(2, n, dtype=torch.float64)
    first, second = Gamma(alphas + 1.0, torch.ones_like(alphas)).sample().log() + (
        uniform.log() / alphas
    )
    return torch.sigmoid(first - second)


def mixup_losses(
    logits: Tensor, y: Tensor, weight: Tensor, mix: Mix, label_smoothing: float = 0.0
) -> Tensor:
    """Loss of each mixed row: λ w_i CE(y_i) + (1 - λ) w_j CE(y_j).

    With equal weights it is the cross-entropy with the mixed label ỹ = λ y_i + (1 - λ) y_j.
    Each part carries the weight of the row that it comes from, so that on average a row counts
    as much as without mixing.

    Parameters
    ----------
    logits : Tensor of shape (n_source, n_classes)
        Of the mixed rows.
    y : LongTensor of shape (n_source,)
        Classes of the rows themselves.
    weight : Tensor of shape (n_source,)
        Sample weights of the rows themselves.
    mix : Mix
        The partners.
    label_smoothing : float, default=0.0
        As in :func:`torch.nn.functional.cross_entropy`.

    Returns
    -------
    Tensor of shape (n_source,)
    """
    own, other = (
        functional.cross_entropy(logits, label, reduction="none", label_smoothing=label_smoothing)
        for label in (y, mix.y)
    )
    return mix.share * weight * own + (1.0 - mix.share) * mix.weight * other


def _mix_units(units: Units, partner: Tensor, share: Tensor) -> Units:
    """Units of row i with those of row ``partner[i]``, of which ``1 - share[i]`` is taken."""
    values = units.values
    if units.offsets is not None:
        counts = units.counts()
        row = torch.arange(len(counts), device=counts.device)
        row = torch.repeat_interleave(row, counts, output_size=len(values))
        number = torch.arange(len(values), device=counts.device) - units.offsets[row]
        partner = partner[row]
        partner, share = units.offsets[partner] + number % counts[partner], share[row]
    return Units(_mix_values(values, partner, share), units.offsets)


def _mix_values(values: Values, partner: Tensor, share: Tensor) -> Values:
    if isinstance(values, Tensor):
        share = share.to(values.dtype).reshape(-1, *[1] * (values.ndim - 1))
        return share * values + (1.0 - share) * values.index_select(0, partner)
    every = values.one_by_one()
    mixed = [
        part * unit + (1.0 - part) * _fitted(every[other], unit.shape[1:])
        for unit, other, part in zip(
            every, partner.tolist(), share.to(every[0].dtype).unbind(), strict=True
        )
    ]
    return Ragged.concat(mixed)


def _fitted(unit: Tensor, shape: torch.Size) -> Tensor:
    """Repeated from its beginning, or cut, along each axis that differs: (1, ...) → (1, *shape)."""
    for axis, size in enumerate(shape, 1):
        if unit.shape[axis] != size:
            place = torch.arange(size, device=unit.device) % unit.shape[axis]
            unit = unit.index_select(axis, place)
    return unit
