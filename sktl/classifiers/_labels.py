"""Labels and weights of the rows that count."""

from typing import Any

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length

from .._validation import _check_sample_weight, _check_y

__all__ = [
    "Classes",
    "as_tuple",
    "check_classes",
    "check_labels",
    "check_weights",
    "class_indices",
    "is_one_class",
    "number_domains",
]

Classes = np.ndarray | list[np.ndarray]
"""Of one task, or of each of several."""


def is_one_class(classes: Classes) -> bool:
    """Whether there is nothing to tell apart."""
    each = classes if isinstance(classes, list) else [classes]
    return all(len(found) == 1 for found in each)


def as_tuple(classes: Classes) -> tuple[Any, ...]:
    """Classes as values that can be compared."""
    if isinstance(classes, list):
        return tuple(map(as_tuple, classes))
    return tuple(classes.tolist())


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


def check_classes(known: np.ndarray | None, given: Any) -> np.ndarray:
    """Classes of a fit on several calls: those known already, else those given."""
    if given is None:
        if known is None:
            raise ValueError(
                "classes is None in the first call to partial_fit; give all labels that any call "
                "will bring."
            )
        return known
    classes = np.unique(column_or_1d(given))
    if known is not None and not np.array_equal(classes, known):
        raise ValueError(
            f"classes={classes.tolist()} are not those of the first call, {known.tolist()}; give "
            "the same, or None."
        )
    return classes


def class_indices(y: np.ndarray, classes: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Classes, those of `y` unless they are given, and the place of each label among them."""
    found, index = np.unique(y, return_inverse=True)
    if classes is None:
        return found, index
    if unknown := sorted(set(found.tolist()) - set(classes.tolist())):
        raise ValueError(
            f"y holds {unknown[0]!r}, which is none of classes={classes.tolist()}; give all labels "
            "in the first call to partial_fit."
        )
    return classes, np.searchsorted(classes, y)


def number_domains(
    domain: np.ndarray, known: tuple[int, ...] | None
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Number of each row's domain among all, in ascending order, and these.

    They are those `known` from the first call, where there was one.
    """
    found = np.unique(domain)
    domains = found if known is None else np.array(known)
    if unknown := sorted(set(found.tolist()) - set(domains.tolist())):
        raise ValueError(
            f"sample_domain holds {unknown[0]}, which is none of {domains.tolist()} of the first "
            "call; an adversary that tells domains apart needs all of them there."
        )
    return np.searchsorted(domains, domain), tuple(domains.tolist())
