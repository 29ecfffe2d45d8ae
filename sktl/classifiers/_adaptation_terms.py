"""Terms of the objective that need target rows: how far the domains are from each other."""

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from ..losses import (
    class_confusion,
    coral_loss,
    domain_cross_entropy,
    entropy,
    gradient_reversal,
    jmmd2,
    margin_disparity,
    mmd2,
    multilinear_map,
    pairwise_jmmd2,
)
from ._batches import RowSet
from ._module import TransferModule

__all__ = ["DISTANCES", "adversarial_term", "disparity_term"]

# Of probabilities: exp(-d² / 1.68), as Long et al. (2017) take it.
WIDTH_OF_PREDICTIONS = 0.84**0.5


def _mmd(objective: Any, embedding: Tensor, logits: Tensor, batch: RowSet) -> Tensor:
    return _kernel_distance([embedding], [objective.bandwidths], batch)


def _jmmd(objective: Any, embedding: Tensor, logits: Tensor, batch: RowSet) -> Tensor:
    layers = [embedding, logits.softmax(1)]
    return _kernel_distance(layers, [objective.bandwidths, WIDTH_OF_PREDICTIONS], batch)


def _kernel_distance(layers: list[Tensor], bandwidths: list[Any], batch: RowSet) -> Tensor:
    n = batch.n_source
    if batch.domain is not None:
        weight = torch.where(batch.source, batch.weight, 1.0)
        return pairwise_jmmd2(layers, batch.domain, bandwidths, weight)
    weight = batch.weight[:n]
    if len(layers) == 1:
        return mmd2(layers[0][:n], layers[0][n:], bandwidths[0], source_weight=weight)
    source, target = [rows[:n] for rows in layers], [rows[n:] for rows in layers]
    return jmmd2(source, target, bandwidths, source_weight=weight)


def _coral(objective: Any, embedding: Tensor, logits: Tensor, batch: RowSet) -> Tensor:
    pairs = combinations(_by_domain(embedding, batch), 2)
    distances = [coral_loss(*pair) for pair in pairs]
    return torch.stack(distances).mean() if distances else embedding.new_zeros(())


def _by_domain(rows: Tensor, batch: RowSet) -> Iterator[Tensor]:
    if batch.domain is None:
        yield from rows.split([batch.n_source, len(rows) - batch.n_source])
    else:
        yield from (rows[batch.domain == number] for number in batch.domain.unique())


def _entropy(objective: Any, embedding: Tensor, logits: Tensor, batch: RowSet) -> Tensor:
    return entropy(logits[batch.n_source :])


def _confusion(objective: Any, embedding: Tensor, logits: Tensor, batch: RowSet) -> Tensor:
    return class_confusion(logits[batch.n_source :], objective.mcc_temperature)


DISTANCES: dict[str, Callable[[Any, Tensor, Tensor, RowSet], Tensor]] = {
    "mmd": _mmd,
    "jmmd": _jmmd,
    "coral": _coral,
    "entropy": _entropy,
    "mcc": _confusion,
}
"""By the name that follows ``lambda_``."""


def adversarial_term(
    objective: Any,
    module: TransferModule,
    embedding: Tensor,
    logits: Tensor,
    batch: RowSet,
    scale: float,
) -> Tensor:
    """Loss of the domain classifier, whose gradient comes back times ``-scale``."""
    assert module.discriminator is not None
    weight = batch.weight
    if objective.conditional:
        probabilities = logits.softmax(1).detach()
        embedding = multilinear_map(embedding, probabilities)
        if objective.entropy_weighting:
            weight = weight * _certainty(probabilities)
    scores = module.discriminator(gradient_reversal(embedding, scale))
    domain = batch.source
    if batch.domain is not None and scores.shape[1] > 1:
        domain = batch.domain
    return domain_cross_entropy(scores, domain, weight)


def _certainty(probabilities: Tensor) -> Tensor:
    """``1 + exp(-H)`` of each row (Long et al., 2018, section 3.2)."""
    return 1 + torch.special.entr(probabilities).sum(1).neg().exp()


def disparity_term(
    objective: Any,
    module: TransferModule,
    embedding: Tensor,
    logits: Tensor,
    batch: RowSet,
    scale: float,
) -> Tensor:
    """Loss of the rival, whose gradient comes back times ``-scale``."""
    assert module.rival is not None
    rival = module.rival(gradient_reversal(embedding, scale))
    return margin_disparity(logits, rival, batch.source, objective.mdd_margin, batch.weight)
