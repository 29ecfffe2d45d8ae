"""How far the mean over the splits of a cross-validation can be trusted."""

from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

__all__ = ["Estimate", "corrected_interval"]


class Estimate(NamedTuple):
    """Mean and the limits of its confidence interval."""

    mean: float
    low: float
    high: float


def corrected_interval(
    scores: np.ndarray, n_train: np.ndarray, n_test: np.ndarray, confidence: float = 0.95
) -> Estimate:
    """Mean over splits with the corrected interval of Nadeau and Bengio (2003).

    Training sets of a cross-validation overlap, so that its J scores are not independent and
    their variance S² over J is too small for that of their mean. It is replaced by
    (1 / J + n_test / n_train) S², and the interval is that of Student's t with J - 1 degrees of
    freedom.

    Parameters
    ----------
    scores : ndarray of shape (n_splits,)
        One score, or difference of scores, per split.
    n_train, n_test : ndarray of shape (n_splits,)
        Rows per split; where splits differ in size, the ratio of the sums is taken.
    confidence : float, default=0.95
        Probability, in (0, 1).

    References
    ----------
    C. Nadeau and Y. Bengio, "Inference for the generalization error", Machine Learning 52,
    2003.
    """
    n_splits = len(scores)
    mean = float(np.mean(scores))
    variance = (1 / n_splits + np.sum(n_test) / np.sum(n_train)) * np.var(scores, ddof=1)
    half = float(stdtrit(n_splits - 1, (1 + confidence) / 2) * np.sqrt(variance))
    return Estimate(mean, mean - half, mean + half)
