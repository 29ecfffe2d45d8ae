"""Labels and weights of the rows that count."""

from typing import Any

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length

from .._validation import _check_sample_weight, _check_y

__all__ = ["check_labels", "check_weights", "is_masked"]


def check_labels(estimator: Any, y: Any, source: np.ndarray) -> np.ndarray:
    """Return y as a 1-D array; only source labels are looked at."""
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None; "
            "give one label per row (target rows may hold anything, -1 for instance)."
        )
    y = column_or_1d(y, warn=True)
    check_consistent_length(source, y)
    known = _check_y(y[source], estimator=estimator)
    check_classification_targets(known)
    return y


def check_weights(sample_weight: Any, n_rows: int, source: np.ndarray) -> np.ndarray:
    """Return non-negative weights, some of them positive on source rows."""
    weight = _check_sample_weight(
        sample_weight, np.empty((n_rows, 1)), dtype=np.float64, ensure_non_negative=True
    )
    if not (weight[source] > 0).any():
        raise ValueError(
            "sample_weight is zero for every source row; at least one must be positive."
        )
    return weight


def is_masked(y: np.ndarray, source: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Target rows whose label is none of the known classes: their label is withheld."""
    known = set(classes.tolist())
    return ~source & np.array([label not in known for label in y.tolist()], dtype=bool)
