"""Density ratios by the Kullback-Leibler importance estimation procedure."""

import numpy as np

from ._kernels import squared_distances

__all__ = ["kliep"]

N_FOLDS = 5
MOST_STEPS = 1000
# Widths are told apart long before shares have settled.
STEPS_TO_CHOOSE = 100
# Widths that are tried, in units of the square root of the median squared distance.
WIDTHS = (0.1, 0.25, 0.5, 1.0, 2.0)


def kliep(
    source: np.ndarray,
    target: np.ndarray,
    scale: float,
    n_centres: int,
    generator: np.random.RandomState,
) -> np.ndarray:
    r"""Estimate p_T(x) / p_S(x) of source rows.

    The ratio is :math:`\sum_l \alpha_l \exp(-\|x - c_l\|^2 / 2 \sigma^2)` with target rows as
    centres, its mean over the source 1, and the mean of its logarithm over the target as large
    as can be (Sugiyama et al., NIPS 2007, equation 5). With shares :math:`\alpha_l b_l`, where
    :math:`b_l` is the mean of a kernel over the source, that is the likelihood of a mixture, whose
    steps of expectation and maximisation stay within the bounds. The width is chosen by the
    likelihood of target rows held out.

    Parameters
    ----------
    source : ndarray of shape (n_source, n_features)
    target : ndarray of shape (n_target, n_features)
    scale : float
        Median squared distance.
    n_centres : int
        At most so many target rows are centres.
    generator : RandomState
        Draws centres and folds.

    Returns
    -------
    ndarray of shape (n_source,)
    """
    order = generator.permutation(len(target))
    centres = target[order[:n_centres]]
    from_source = squared_distances(source, centres) / (2 * scale)
    from_target = squared_distances(target, centres) / (2 * scale)
    folds = generator.permutation(len(target)) % min(N_FOLDS, len(target))
    best = WIDTHS[-2]
    if folds.max() > 0:
        best = max(WIDTHS, key=lambda width: _held_out(from_source, from_target, width, folds))
    return _ratios(from_source, from_target, from_source, best, MOST_STEPS)


def _held_out(
    from_source: np.ndarray, from_target: np.ndarray, width: float, folds: np.ndarray
) -> float:
    """Mean logarithm of the ratio over target rows that had no part in the estimate."""
    logs = [
        np.log(
            _ratios(
                from_source,
                from_target[folds != fold],
                from_target[folds == fold],
                width,
                STEPS_TO_CHOOSE,
            )
            + np.finfo(float).tiny
        )
        for fold in range(folds.max() + 1)
    ]
    return float(np.concatenate(logs).mean())


def _ratios(
    from_source: np.ndarray, from_target: np.ndarray, at: np.ndarray, width: float, most_steps: int
) -> np.ndarray:
    """Ratio at rows of these distances."""
    means = np.exp(-from_source / width**2).mean(axis=0)
    known = means > np.finfo(float).tiny  # a centre far from all of the source
    if not known.any():
        return np.zeros(len(at))
    columns = np.exp(-from_target[:, known] / width**2) / means[known]
    reached = columns.sum(axis=1) > 0
    shares = np.full(known.sum(), 1 / known.sum())
    for _ in range(most_steps if reached.any() else 0):
        parts = columns[reached] * shares
        new = (parts / parts.sum(axis=1, keepdims=True)).mean(axis=0)
        change, shares = np.abs(new - shares).sum(), new
        if change < 1e-6:
            break
    return np.asarray(np.exp(-at[:, known] / width**2) / means[known] @ shares)
