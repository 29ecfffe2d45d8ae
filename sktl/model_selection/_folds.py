"""Splits that every estimator of a comparison is given, checked before any of them trains."""

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, check_cv

__all__ = ["make_folds"]

Folds = list[tuple[np.ndarray, np.ndarray]]


def make_folds(cv: Any, X: Any, y: np.ndarray, groups: Any, seed: int) -> Folds:
    """Indices to train on and to test on, for each of at least two splits."""
    if groups is not None:
        groups = np.asarray(groups)
        if groups.shape != y.shape:
            raise ValueError(
                f"groups has shape {groups.shape} but y has {y.shape}; give one a row."
            )
    if cv is None or isinstance(cv, Integral):
        cv = _stratified(5 if cv is None else int(cv), y, groups, seed)
    given = check_cv(cv, y, classifier=True).split(X, y, groups)
    folds = [(_indices(train), _indices(test)) for train, test in given]
    if len(folds) < 2:
        raise ValueError(
            f"cv gives {len(folds)} split, of which nothing can be said how far it is from "
            "another; give 2 or more."
        )
    for number, fold in enumerate(folds):
        _check_fold(number, *fold, y, groups)
    return folds


def _indices(rows: Any) -> np.ndarray:
    rows = np.asarray(rows)
    return np.flatnonzero(rows) if rows.dtype == bool else rows


def _stratified(n_folds: int, y: np.ndarray, groups: Any, seed: int) -> Any:
    if n_folds < 2:
        raise ValueError(f"cv={n_folds}; give 2 folds or more, a splitter, or splits.")
    classes, counts = np.unique(y, return_counts=True)
    if counts.min() < n_folds:
        raise ValueError(
            f"y holds {classes.tolist()[counts.argmin()]!r} {counts.min()} times, too few for "
            f"cv={n_folds} folds; give at most as many folds as rows of a class, or a splitter."
        )
    if groups is None:
        return StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    n_groups = len(np.unique(groups))
    if n_groups < n_folds:
        raise ValueError(
            f"groups has {n_groups} distinct values, too few for cv={n_folds} folds; give "
            "at most as many folds as groups."
        )
    return StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)


def _check_fold(
    number: int, train: np.ndarray, test: np.ndarray, y: np.ndarray, groups: Any
) -> None:
    if not len(train) or not len(test):
        raise ValueError(
            f"split {number} of cv has {len(train)} rows to train on and {len(test)} to test on; "
            "give splits with some of both."
        )
    if len(np.unique(y[train])) < 2:
        raise ValueError(
            f"split {number} of cv trains on rows of the one class {y[train].tolist()[0]!r}; give "
            "splits with two classes or more."
        )
    if np.intersect1d(train, test).size:
        raise ValueError(f"split {number} of cv tests on rows that it trains on.")
    if groups is not None and (shared := np.intersect1d(groups[train], groups[test])).size:
        raise ValueError(
            f"split {number} of cv has rows of group {shared.tolist()[0]!r} on both sides; give a "
            "splitter that keeps groups together, such as StratifiedGroupKFold, or no groups."
        )
