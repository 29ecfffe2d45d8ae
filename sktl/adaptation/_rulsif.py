"""Relative density ratios by least squares."""

from itertools import product

import numpy as np
from scipy import linalg

from ._kernels import squared_distances

__all__ = ["rulsif"]

N_FOLDS = 5
WIDTHS = (0.25, 0.5, 1.0, 2.0)
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)


def rulsif(
    source: np.ndarray,
    target: np.ndarray,
    alpha: float,
    scale: float,
    n_centres: int,
    generator: np.random.RandomState,
) -> np.ndarray:
    r"""Estimate p_T(x) / (α p_T(x) + (1 - α) p_S(x)) of source rows.

    The ratio is :math:`\theta^\top \phi(x)` with Gaussian kernels around target rows, and
    :math:`(H + \lambda I) \theta = h` with :math:`H = \alpha\, \mathrm{E}_T \phi \phi^\top +
    (1 - \alpha)\, \mathrm{E}_S \phi \phi^\top`, :math:`h = \mathrm{E}_T \phi` (Yamada et al.,
    Neural Computation 25, 2013, equations 5 and 6). Width and :math:`\lambda` are chosen by
    cross-validation of the squared error. It is at most :math:`1 / \alpha`, so that no weight
    outgrows the others.

    Parameters
    ----------
    source : ndarray of shape (n_source, n_features)
    target : ndarray of shape (n_target, n_features)
    alpha : float
        In [0, 1); 0 for the plain ratio (uLSIF).
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
    centres = target[generator.permutation(len(target))[:n_centres]]
    sides = [squared_distances(rows, centres) / (2 * scale) for rows in (source, target)]
    n_folds = min(N_FOLDS, *map(len, sides))
    width, penalty = WIDTHS[-2], PENALTIES[1]
    if n_folds > 1:
        folds = [generator.permutation(len(side)) % n_folds for side in sides]
        width, penalty = min(
            product(WIDTHS, PENALTIES), key=lambda pair: _error(sides, folds, alpha, *pair)
        )
    on_source, on_target = (np.exp(-side / width**2) for side in sides)
    theta = _solve(on_source, on_target, alpha, penalty)
    return np.asarray((on_source @ theta).clip(min=0))


def _solve(
    on_source: np.ndarray, on_target: np.ndarray, alpha: float, penalty: float
) -> np.ndarray:
    squares = alpha * on_target.T @ on_target / len(on_target)
    squares += (1 - alpha) * on_source.T @ on_source / len(on_source)
    squares.flat[:: len(squares) + 1] += penalty
    return np.asarray(linalg.solve(squares, on_target.mean(axis=0), assume_a="pos"))


def _error(
    sides: list[np.ndarray], folds: list[np.ndarray], alpha: float, width: float, penalty: float
) -> float:
    """Squared error of rows held out, up to a constant (equation 7)."""
    on_source, on_target = (np.exp(-side / width**2) for side in sides)
    errors = []
    for fold in range(folds[0].max() + 1):
        apart = [number == fold for number in folds]
        theta = _solve(on_source[~apart[0]], on_target[~apart[1]], alpha, penalty)
        r_source, r_target = on_source[apart[0]] @ theta, on_target[apart[1]] @ theta
        half = alpha * np.square(r_target).mean() + (1 - alpha) * np.square(r_source).mean()
        errors.append(half / 2 - r_target.mean())
    return float(np.mean(errors))
