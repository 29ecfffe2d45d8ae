"""The one convention for domains: ``sample_domain >= 0`` is source, ``< 0`` is target."""

from typing import Any

import numpy as np

__all__ = ["check_allowed", "check_sample_domain", "is_masked", "is_source", "known_accuracy"]


def check_sample_domain(sample_domain: Any, n_samples: int) -> np.ndarray:
    """Validate `sample_domain`; without one every row is source.

    Parameters
    ----------
    sample_domain : array-like of int of shape (n_samples,) or None
        Domain of each row: 0 and above for source domains, below 0 for targets.
    n_samples : int
        Number of rows the domains must match.

    Returns
    -------
    ndarray of int64 of shape (n_samples,)
    """
    if sample_domain is None:
        return np.ones(n_samples, dtype=np.int64)
    domain = np.asarray(sample_domain)
    if domain.shape != (n_samples,):
        raise ValueError(
            f"sample_domain has shape {domain.shape} but X has {n_samples} rows; "
            f"give one integer per row, shape ({n_samples},)."
        )
    if domain.dtype.kind not in "iuf":
        raise ValueError(
            f"sample_domain has dtype {domain.dtype}; give integers, 0 and above for "
            "source rows and below 0 for target rows."
        )
    bad = domain[~np.isfinite(domain) | (domain != np.floor(domain))]
    if bad.size:
        raise ValueError(
            f"sample_domain holds {bad[0]}, which is not a whole number; give integers, "
            "0 and above for source rows and below 0 for target rows."
        )
    return domain.astype(np.int64)


def is_source(domain: np.ndarray, *, allow_all_target: bool = True) -> np.ndarray:
    """Mask of source rows; `allow_all_target=False` refuses to go without any."""
    source = domain >= 0
    if not allow_all_target and not source.any():
        raise ValueError(
            f"sample_domain marks all {domain.size} rows as target (negative); fit needs "
            "at least one labelled source row with sample_domain >= 0."
        )
    return source


def check_allowed(domain: np.ndarray, given: Any, allow_source: bool) -> None:
    """Refuse source rows where the caller asked for target rows alone."""
    n_source = int((domain >= 0).sum())
    if not allow_source and given is not None and n_source:
        raise ValueError(
            f"allow_source=False but sample_domain marks {n_source} of {domain.size} rows as "
            "source; leave them out or give allow_source=True."
        )


def is_masked(y: np.ndarray, source: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Target rows whose label is none of the known classes: their label is withheld."""
    known = set(classes.tolist())
    return ~source & np.array([label not in known for label in y.tolist()], dtype=bool)


def known_accuracy(
    predicted: np.ndarray, y: Any, sample_weight: Any, sample_domain: Any, classes: np.ndarray
) -> float:
    """Accuracy over the rows whose label is known."""
    from sklearn.metrics import accuracy_score
    from sklearn.utils import column_or_1d

    y = column_or_1d(y)
    source = is_source(check_sample_domain(sample_domain, len(predicted)))
    known = ~is_masked(y, source, classes)
    if not known.any():
        raise ValueError(
            f"none of the {len(y)} labels in y is one of classes_; nothing can be scored."
        )
    if sample_weight is not None:
        sample_weight = np.asarray(sample_weight)[known]
    return float(accuracy_score(y[known], predicted[known], sample_weight=sample_weight))
