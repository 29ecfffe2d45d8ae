"""Scores that read labels of the source, weighted to stand for the target."""

import numpy as np

from ._outputs import Outputs, a_distance

__all__ = [
    "deep_embedded_validation_score",
    "importance_weighted_accuracy_score",
    "proxy_a_distance_score",
    "source_accuracy_score",
]


def source_accuracy_score(outputs: Outputs) -> float:
    """Accuracy over source rows."""
    return float(_correct(outputs).mean())


def importance_weighted_accuracy_score(outputs: Outputs) -> float:
    """Accuracy over source rows weighted by p_T / p_S of their embedding (Sugiyama et al., 2007).

    Weights are divided by their sum, so that the score lies in [0, 1].
    """
    return float(np.average(_correct(outputs), weights=outputs.odds[outputs.source]))


def deep_embedded_validation_score(outputs: Outputs) -> float:
    r"""Negative weighted cross-entropy, its variance reduced (You et al., ICML 2019, algorithm 1).

    With losses :math:`L = w \ell` and weights :math:`w` of source rows,
    :math:`-(\bar L + \eta \bar w - \eta)` where :math:`\eta = -\mathrm{Cov}(L, w) /
    \mathrm{Var}(w)`.
    """
    weights = outputs.odds[outputs.source]
    losses = weights * outputs.source_losses
    if len(weights) < 2 or weights.std() == 0:
        return -float(losses.mean())
    covariance = np.cov(losses, weights, ddof=1)
    eta = -covariance[0, 1] / covariance[1, 1]
    return -float(losses.mean() + eta * weights.mean() - eta)


def proxy_a_distance_score(outputs: Outputs) -> float:
    r"""Negative :math:`2 (1 - 2 \epsilon)` (Ben-David et al., NIPS 2006, section 5).

    :math:`\epsilon` is the error of a linear classifier that tells the domains apart by their
    embedding, each domain counting one half.
    """
    return -a_distance(outputs.odds, outputs.source)


def _correct(outputs: Outputs) -> np.ndarray:
    return np.asarray(outputs.predicted[outputs.source] == outputs.labels("source"))
