"""Labels of several tasks, a column for each, of which some may be missing."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils import compute_sample_weight

from ._labels import check_classes, check_labels, class_indices

__all__ = [
    "TaskLabels",
    "check_task_classes",
    "check_task_weights",
    "encode_tasks",
    "is_missing",
    "is_table",
    "stack_labels",
]

# Of pandas; its missing values compare as neither true nor false.
NOT_THERE = ("NAType", "NaTType")


def is_table(y: Any) -> bool:
    """Whether labels have columns, and are not one for each row."""
    if hasattr(y, "ndim"):
        return y.ndim == 2
    if not isinstance(y, Sequence) or not len(y):
        return np.ndim(np.asarray(y)) == 2
    return np.ndim(y[0]) == 1


class TaskLabels:
    """The columns of a table of labels, each with its own type where the table has any.

    Parameters
    ----------
    y : DataFrame, array-like or sequence of sequences, of shape (n, n_tasks)
        NaN, None and pandas' NA for labels that are not known.
    """

    def __init__(self, y: Any) -> None:
        self.columns = _columns(y)
        if not self.columns:
            raise ValueError(f"y has shape {np.shape(y)}; give a column for each task.")

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, index: np.ndarray) -> "TaskLabels":
        """Rows `index`."""
        taken = object.__new__(TaskLabels)
        taken.columns = [column[index] for column in self.columns]
        return taken

    def known(self) -> np.ndarray:
        """Which labels are there, as bools of shape (n, n_tasks)."""
        return np.stack([~is_missing(column) for column in self.columns], axis=1)


def _columns(y: Any) -> list[np.ndarray]:
    if hasattr(y, "items") and hasattr(y, "dtypes"):
        return [_column(series) for _, series in y.items()]
    if isinstance(y, list | tuple):
        lengths = {len(row) for row in y}
        if len(lengths) > 1:
            raise ValueError(
                f"y has rows of {min(lengths)} and of {max(lengths)} labels; give one for each "
                "task, None for those not known."
            )
        y = np.array(list(map(list, y)), dtype=object)
    return list(np.asarray(y).T)


def _column(series: Any) -> np.ndarray:
    """Of pandas' own types as objects: integers would become floats for the sake of NaN."""
    return np.asarray(series, dtype=object if hasattr(series.dtype, "na_value") else None)


def is_missing(labels: np.ndarray) -> np.ndarray:
    """Where a column holds NaN, None or pandas' NA."""
    if labels.dtype.kind == "f":
        return np.isnan(labels)
    if labels.dtype.kind != "O":
        return np.zeros(len(labels), dtype=bool)
    return np.array([_is_none(label) for label in labels], dtype=bool)


def _is_none(label: Any) -> bool:
    if label is None or type(label).__name__ in NOT_THERE:
        return True
    return isinstance(label, float | np.floating) and bool(np.isnan(label))


def _known_labels(estimator: Any, values: np.ndarray, task: int) -> np.ndarray:
    """Labels of a column, checked, as numbers if they are."""
    if values.dtype.kind == "O" and len(values):
        as_numbers = np.array(values.tolist())
        values = as_numbers if as_numbers.dtype.kind in "iufb" else values
    if not len(values):
        return values
    try:
        return check_labels(estimator, values, np.ones(len(values), dtype=bool))
    except TypeError as error:
        raise ValueError(
            f"column {task} of y holds labels of several kinds, which cannot be sorted ({error}); "
            "give strings or numbers alone."
        ) from error
    except ValueError as error:
        raise ValueError(f"column {task} of y: {error}") from error


def encode_tasks(
    estimator: Any,
    labels: TaskLabels,
    source: np.ndarray,
    weight: np.ndarray,
    classes: list[np.ndarray] | None,
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Class indices and weights of shape (n, n_tasks), and the classes of each task.

    Weights are those of the rows times those of the classes, 0 for labels that are not known.
    """
    n_tasks = len(labels.columns)
    class_weights = _class_weights(estimator.class_weight, n_tasks)
    y = np.zeros((len(source), n_tasks), dtype=np.int64)
    weights = np.zeros((len(source), n_tasks))
    found = []
    for task, column in enumerate(labels.columns):
        known = source & ~is_missing(column)
        values = _known_labels(estimator, column[known], task)
        if not len(values) and classes is None:
            raise ValueError(
                f"column {task} of y holds no label of a source row that counts; give at least "
                "one, or leave the column out."
            )
        own = None if classes is None else classes[task]
        if len(values):
            own, y[known, task] = _indices(values, own, task)
            weights[known, task] = weight[known] * _shares(class_weights[task], values, task)
            if not weights[:, task].any():
                raise ValueError(
                    f"class_weight={estimator.class_weight!r} leaves column {task} of y no label "
                    "with a positive weight."
                )
        assert own is not None
        found.append(own)
    return y, weights, found


def _indices(
    values: np.ndarray, classes: np.ndarray | None, task: int
) -> tuple[np.ndarray, np.ndarray]:
    try:
        return class_indices(values, classes)
    except ValueError as error:
        raise ValueError(f"column {task} of y: {error}") from error


def _shares(class_weight: Any, values: np.ndarray, task: int) -> np.ndarray:
    try:
        return compute_sample_weight(class_weight, values)
    except ValueError as error:
        raise ValueError(f"class_weight of column {task} of y: {error}") from error


def _class_weights(class_weight: Any, n_tasks: int) -> list[Any]:
    """Weights of the classes of each task."""
    if class_weight is None or class_weight == "balanced":
        return [class_weight] * n_tasks
    if not isinstance(class_weight, list) or len(class_weight) != n_tasks:
        given = "a dict" if isinstance(class_weight, dict) else f"{len(class_weight)} entries"
        raise ValueError(
            f"class_weight holds {given}, but y has {n_tasks} columns; give a list with a dict, "
            "'balanced' or None for each of them, or 'balanced' for all."
        )
    return class_weight


def check_task_weights(task_weights: Any) -> tuple[float, ...] | None:
    """Fixed weights of the tasks; None where there are none."""
    if task_weights is None or isinstance(task_weights, str):
        return None
    weights = np.asarray(task_weights, dtype=np.float64)
    if weights.ndim != 1 or not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError(
            f"task_weights={task_weights!r}; give a finite number, 0 or above, for each column of "
            "y, or 'uncertainty', or None."
        )
    if not weights.any():
        raise ValueError(f"task_weights={task_weights!r} leaves no task; give one above 0.")
    return tuple(weights.tolist())


def check_task_classes(known: Any, given: Any, n_tasks: int) -> list[np.ndarray]:
    """Classes of each task of a fit on several calls: those known already, else those given."""
    if given is None and isinstance(known, list):
        return known
    if given is not None and len(given) != n_tasks:
        raise ValueError(
            f"classes has {len(given)} entries, but y has {n_tasks} columns; give a list with the "
            "labels of each."
        )
    olds = known if isinstance(known, list) else [None] * n_tasks
    news = given if given is not None else [None] * n_tasks
    return [check_classes(old, new) for old, new in zip(olds, news, strict=True)]


def stack_labels(columns: list[np.ndarray]) -> np.ndarray:
    """Columns as a table (n, n_tasks), of objects where they are of several kinds."""
    kinds = {"n" if column.dtype.kind in "iufb" else column.dtype.kind for column in columns}
    dtype = np.result_type(*columns) if len(kinds) == 1 else np.dtype(object)
    return np.stack([column.astype(dtype) for column in columns], axis=1)
