"""A fitted classifier as a teacher: is it fitted, and what does it say of rows."""

import warnings
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import has_fit_parameter

from .._validation import _num_samples, _safe_indexing, check_is_fitted

__all__ = ["fitted_teacher", "is_fitted", "rows_of", "teacher_logits"]

N_SHOWN = 10


def is_fitted(teacher: Any) -> bool:
    """Whether it needs no more fitting."""
    try:
        check_is_fitted(teacher)
    except NotFittedError:
        return False
    return True


def rows_of(X: Any, index: np.ndarray) -> Any:
    """Rows `index`, in ascending order, of an X of any kind."""
    if len(index) == _num_samples(X):
        return X
    if isinstance(X, torch.Tensor):
        return X[torch.as_tensor(index, device=X.device)]
    if not (isinstance(X, list | tuple) or hasattr(X, "shape")):
        X = np.asarray(X)
    return _safe_indexing(X, index)


def fitted_teacher(teacher: Any, X: Any, y: np.ndarray, sample_weight: np.ndarray | None) -> Any:
    """A clone of an unfitted teacher, fitted.

    Weights go to teachers that take them, if they are not all one.
    """
    try:
        made = clone(teacher)
        if sample_weight is None or (sample_weight == 1).all():
            return made.fit(X, y)
        if has_fit_parameter(made, "sample_weight"):
            return made.fit(X, y, sample_weight=sample_weight)
        warnings.warn(
            f"teacher={_name(teacher)} takes no sample_weight and is fitted without; fit it before "
            "to weigh its rows.",
            UserWarning,
            stacklevel=7,
        )
        return made.fit(X, y)
    except NotFittedError as error:
        raise NotFittedError(
            f"teacher={_name(teacher)} cannot be fitted here: {error} A FrozenEstimator has to "
            "hold a fitted one."
        ) from error


def teacher_logits(teacher: Any, X: Any, n_rows: int, classes: np.ndarray) -> np.ndarray:
    """What a fitted teacher says of rows, as logits whose softmax is its probabilities.

    Parameters
    ----------
    teacher : classifier
        With `predict_proba`, of which logarithms are taken, or else `decision_function`.
    X : rows
        Whatever the teacher takes.
    n_rows : int
        Rows of X.
    classes : ndarray of shape (n_classes,)
        Those of the student, all of which the teacher has to know.

    Returns
    -------
    ndarray of shape (n_rows, n_classes)
        Minus infinity for a probability of 0; a row in which no class has any, is all 0.
    """
    columns = _columns(teacher, classes)
    n_known = len(teacher.classes_)
    if hasattr(teacher, "predict_proba"):
        method, scores = "predict_proba", np.asarray(teacher.predict_proba(X), dtype=np.float64)
    else:
        method, scores = "decision_function", np.asarray(teacher.decision_function(X))
        scores = scores.astype(np.float64)
        if scores.ndim == 1 and n_known == 2:
            scores = np.stack([np.zeros(len(scores)), scores], axis=1)
    if scores.shape != (n_rows, n_known):
        raise ValueError(
            f"{method} of teacher={_name(teacher)} returned shape {scores.shape} for {n_rows} rows "
            f"and {n_known} classes; it has to return one number for each of both"
            f"{_of_pairs(method)}."
        )
    wrong = ~np.isfinite(scores)
    if method == "predict_proba":
        wrong |= scores < 0
    if wrong.any():
        raise ValueError(
            f"{method} of teacher={_name(teacher)} returned {scores[wrong][0]} for row "
            f"{int(wrong.any(1).argmax())}; give a teacher that knows what to say of every row."
        )
    scores = scores[:, columns]
    if method == "predict_proba":
        with np.errstate(divide="ignore"):
            scores = np.log(scores)
        scores[np.isneginf(scores).all(1)] = 0.0
    return scores


def _of_pairs(method: str) -> str:
    return " (an SVC with decision_function_shape='ovr')" if method == "decision_function" else ""


def _columns(teacher: Any, classes: np.ndarray) -> list[int]:
    """Where the teacher has the student's classes."""
    known = getattr(teacher, "classes_", None)
    if known is None or isinstance(known, list):
        what = "no classes_" if known is None else "several tasks"
        raise ValueError(
            f"teacher={_name(teacher)} has {what}; give a classifier of the labels in y."
        )
    known = np.asarray(known).tolist()
    place = {label: i for i, label in enumerate(known)}
    if unknown := [label for label in classes.tolist() if label not in place]:
        shown = ", ".join(map(repr, known[:N_SHOWN])) + (", …" if len(known) > N_SHOWN else "")
        raise ValueError(
            f"y holds {unknown[0]!r}, which teacher={_name(teacher)} does not know (its classes "
            f"are {shown}); give a teacher that was trained on all labels in y."
        )
    return [place[label] for label in classes.tolist()]


def _name(teacher: Any) -> str:
    name = type(teacher).__name__
    return f"{name}({_name(teacher.estimator)})" if isinstance(teacher, FrozenEstimator) else name
