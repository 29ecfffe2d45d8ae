"""Gaussian kernels for estimates of density ratios."""

import numpy as np
from sklearn.metrics.pairwise import euclidean_distances

__all__ = ["median_squared_distance", "squared_distances"]

# Rows of each side that the median is taken over.
MEDIAN_ROWS = 500


def squared_distances(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances (n_rows, n_others)."""
    return np.asarray(euclidean_distances(rows, others, squared=True))


def median_squared_distance(
    source: np.ndarray, target: np.ndarray, generator: np.random.RandomState
) -> float:
    """Median over pairs of different rows of both domains, or of some of them; never zero."""
    some = [_some(rows, MEDIAN_ROWS, generator) for rows in (source, target)]
    rows = np.concatenate(some)
    distances = squared_distances(rows, rows)[np.triu_indices(len(rows), 1)]
    scale = float(np.median(distances)) or float(distances.mean())
    return scale or 1.0


def _some(rows: np.ndarray, most: int, generator: np.random.RandomState) -> np.ndarray:
    if len(rows) <= most:
        return rows
    return rows[np.sort(generator.choice(len(rows), most, replace=False))]
