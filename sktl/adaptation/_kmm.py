"""Kernel mean matching."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from sklearn.kernel_approximation import Nystroem

from ._kernels import squared_distances

__all__ = ["kernel_mean_matching"]

MOST_STEPS = 2000


def kernel_mean_matching(
    source: np.ndarray,
    target: np.ndarray,
    gamma: float,
    bound: float,
    n_landmarks: int,
    random_state: np.random.RandomState,
    tol: float = 1e-6,
) -> np.ndarray:
    r"""Weights of source rows whose kernel mean is that of the target.

    .. math:: \min_w \tfrac12 w^\top K w - \kappa^\top w, \quad 0 \le w_i \le B, \quad
        |\sum_i w_i - n_S| \le n_S \epsilon

    with :math:`\kappa_i = \frac{n_S}{n_T} \sum_j k(x_i, z_j)` and :math:`\epsilon = (\sqrt{n_S}
    - 1) / \sqrt{n_S}` (Huang et al., NIPS 2006, equations 5 and 10). Solved by accelerated
    projected gradients (Beck and Teboulle, 2009), which multiply by K alone.

    Parameters
    ----------
    source : ndarray of shape (n_source, n_features)
    target : ndarray of shape (n_target, n_features)
    gamma : float
        Of the kernel ``exp(-gamma * d ** 2)``.
    bound : float
        B, above 0.
    n_landmarks : int
        Of more source rows than this, K is that of Nyström's method.
    random_state : RandomState
        Draws the landmarks.
    tol : float, default=1e-6
        Relative change of the weights at which to stop.

    Returns
    -------
    ndarray of shape (n_source,)
    """
    n = len(source)
    if n <= n_landmarks:
        kernel = np.exp(-gamma * squared_distances(source, source))
        pull = _kernel_sums(source, target, gamma) * (n / len(target))
        largest = np.linalg.eigvalsh(kernel)[-1]

        def times_kernel(w: np.ndarray) -> np.ndarray:
            return np.asarray(kernel @ w)
    else:
        nystroem = Nystroem(gamma=gamma, n_components=n_landmarks, random_state=random_state)
        columns = nystroem.fit_transform(source)
        pull = columns @ nystroem.transform(target).sum(axis=0) * (n / len(target))
        largest = np.linalg.norm(columns, 2) ** 2

        def times_kernel(w: np.ndarray) -> np.ndarray:
            return np.asarray(columns @ (columns.T @ w))

    slack = n * (np.sqrt(n) - 1) / np.sqrt(n)
    room = (max(n - slack, 0.0), min(n + slack, n * bound))
    return _minimise(times_kernel, pull, 1 / largest, bound, room, tol)


def _kernel_sums(source: np.ndarray, target: np.ndarray, gamma: float) -> np.ndarray:
    """Sum over target rows of the kernel with each source row, some of them at a time."""
    parts = np.array_split(target, -(-len(target) * len(source) // 2**24))
    return np.sum(
        [np.exp(-gamma * squared_distances(source, part)).sum(axis=1) for part in parts], axis=0
    )


def _minimise(
    times_kernel: Callable[[np.ndarray], np.ndarray],
    pull: np.ndarray,
    step: float,
    bound: float,
    room: tuple[float, float],
    tol: float,
) -> np.ndarray:
    w = ahead = _project(np.ones_like(pull), bound, room)
    momentum = 1.0
    for _ in range(MOST_STEPS):
        new = _project(ahead - step * (times_kernel(ahead) - pull), bound, room)
        change = new - w
        if (ahead - new) @ change > 0:  # momentum leads astray: begin again
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (momentum - 1) / following * change
        w, momentum = new, following
        if np.linalg.norm(change) <= tol * np.linalg.norm(w):
            break
    return w


def _project(w: np.ndarray, bound: float, room: tuple[float, float]) -> np.ndarray:
    """Nearest weights in [0, bound] whose sum lies in `room`."""
    inside = w.clip(0, bound)
    total = inside.sum()
    if room[0] <= total <= room[1]:
        return inside
    wanted = room[0] if total < room[0] else room[1]

    def excess(shift: float) -> float:
        return float((w + shift).clip(0, bound).sum() - wanted)

    lowest, highest = -w.max(), bound - w.min()
    return (w + brentq(excess, lowest, highest, xtol=1e-12)).clip(0, bound)
