"""What a network that was fitted on several tasks says of rows."""

from typing import Any

import numpy as np
from sklearn.utils.metaestimators import available_if
from torch import Tensor

from .._domains import check_sample_domain, is_masked, is_source
from ._predict import NetworkPredictor
from ._task_labels import TaskLabels, is_table, stack_labels

__all__ = ["TaskPredictor"]


def _has_one_task(estimator: Any) -> bool:
    """Scores of several tasks have no common shape; scikit-learn knows no list of them."""
    if isinstance(getattr(estimator, "classes_", None), list):
        raise AttributeError("decision_function is that of one task; see predict_log_proba.")
    return True


class TaskPredictor(NetworkPredictor):
    """Predictions of every task; after a fit with a 1-D y, those of its base."""

    @property
    def _has_tasks(self) -> bool:
        return isinstance(getattr(self, "classes_", None), list)

    def _of_tasks(self, X: Any, sample_domain: Any, allow_source: bool) -> tuple[Tensor, ...]:
        """Logits of each task."""
        logits = self._infer(X, sample_domain, allow_source)[1]
        return self.net_.module_.head.split(logits)

    @available_if(_has_one_task)
    def decision_function(
        self, X: Any, sample_domain: Any = None, allow_source: bool = True
    ) -> np.ndarray:
        """Logits, after a fit with a 1-D `y`; for two classes, those of the second minus the first.

        Parameters
        ----------
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows, as in `fit`.
        sample_domain : array-like of int of shape (n,), default=None
            Domains; they do not change the result.
        allow_source : bool, default=True
            False refuses source rows.

        Returns
        -------
        ndarray of shape (n,) or (n, n_classes)
            Scores.
        """
        return super().decision_function(X, sample_domain, allow_source)

    def predict_log_proba(
        self, X: Any, sample_domain: Any = None, allow_source: bool = True
    ) -> Any:
        """Logarithm of the class probabilities of each task.

        Parameters
        ----------
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows, as in `fit`.
        sample_domain : array-like of int of shape (n,), default=None
            Domains; they do not change the result.
        allow_source : bool, default=True
            False refuses source rows.

        Returns
        -------
        list of ndarray of shape (n, n_classes)
            One for each task, columns as in `classes_`; of a 1-D `y` the array alone.
        """
        if not self._has_tasks:
            return super().predict_log_proba(X, sample_domain, allow_source)
        each = self._of_tasks(X, sample_domain, allow_source)
        return [logits.log_softmax(1).numpy() for logits in each]

    def predict_proba(self, X: Any, sample_domain: Any = None, allow_source: bool = True) -> Any:
        """Class probabilities of each task.

        Parameters
        ----------
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows, as in `fit`.
        sample_domain : array-like of int of shape (n,), default=None
            Domains; they do not change the result.
        allow_source : bool, default=True
            False refuses source rows.

        Returns
        -------
        list of ndarray of shape (n, n_classes)
            One for each task, columns as in `classes_`; of a 1-D `y` the array alone.
        """
        if not self._has_tasks:
            return super().predict_proba(X, sample_domain, allow_source)
        each = self._of_tasks(X, sample_domain, allow_source)
        return [logits.softmax(1).numpy() for logits in each]

    def predict(self, X: Any, sample_domain: Any = None, allow_source: bool = True) -> np.ndarray:
        """Most probable class of every row for each task.

        Parameters
        ----------
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows, as in `fit`.
        sample_domain : array-like of int of shape (n,), default=None
            Domains; they do not change the result.
        allow_source : bool, default=True
            False refuses source rows.

        Returns
        -------
        ndarray of shape (n, n_tasks)
            Labels, as objects if some tasks have numbers and others strings; of a 1-D `y`
            of shape (n,).
        """
        if not self._has_tasks:
            return super().predict(X, sample_domain, allow_source)
        each = self._of_tasks(X, sample_domain, allow_source)
        best = [logits.argmax(1).numpy() for logits in each]
        return stack_labels([c[i] for c, i in zip(self.classes_, best, strict=True)])

    def score(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        sample_domain: Any = None,
        allow_source: bool = True,
    ) -> float:
        """Share of the rows of which every known label is predicted.

        That is :class:`sklearn.multioutput.MultiOutputClassifier`'s score; `score_tasks` has the
        accuracy of each task. Rows without a known label do not count, nor do labels of target
        rows that are none of `classes_`.

        Parameters
        ----------
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows, as in `fit`.
        y : array-like of shape (n, n_tasks) or (n,)
            True labels, as in `fit`.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows.
        sample_domain : array-like of int of shape (n,), default=None
            Domains; without them no row is masked.
        allow_source : bool, default=True
            False refuses source rows.

        Returns
        -------
        float
            Between 0 and 1.
        """
        if not self._has_tasks:
            return super().score(X, y, sample_weight, sample_domain, allow_source)
        right, known = self._compare(X, y, sample_domain, allow_source)
        rows = known.any(1)
        weight = None if sample_weight is None else np.asarray(sample_weight)[rows]
        return float(np.average((right | ~known).all(1)[rows], weights=weight))

    def score_tasks(
        self, X: Any, y: Any, sample_weight: Any = None, sample_domain: Any = None
    ) -> np.ndarray:
        """Accuracy of each task over its known labels.

        As a scorer: ``scoring=lambda clf, X, y: clf.score_tasks(X, y).mean()``.

        Parameters
        ----------
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows, as in `fit`.
        y : array-like of shape (n, n_tasks) or (n,)
            True labels, as in `fit`.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows.
        sample_domain : array-like of int of shape (n,), default=None
            Domains; without them no row is masked.

        Returns
        -------
        ndarray of shape (n_tasks,)
            Between 0 and 1; NaN for a task without a known label.
        """
        if not self._has_tasks:
            return np.array([self.score(X, y, sample_weight, sample_domain)])
        right, known = self._compare(X, y, sample_domain, True)
        weight = np.ones(len(right)) if sample_weight is None else np.asarray(sample_weight)
        counts = known * weight[:, None]
        total = counts.sum(0)
        return np.where(total > 0, (right * counts).sum(0) / np.where(total > 0, total, 1), np.nan)

    def _compare(
        self, X: Any, y: Any, sample_domain: Any, allow_source: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which labels are predicted right, and which are known."""
        each = self._of_tasks(X, sample_domain, allow_source)
        if not is_table(y):
            raise ValueError(f"y is 1-D; give a column for each of the {len(each)} tasks.")
        labels, n_rows = TaskLabels(y), len(each[0])
        if (len(labels), len(labels.columns)) != (n_rows, len(each)):
            raise ValueError(
                f"y has shape ({len(labels)}, {len(labels.columns)}); give ({n_rows}, {len(each)}),"
                " a column for each task."
            )
        source = is_source(check_sample_domain(sample_domain, n_rows))
        known = labels.known()
        right = np.zeros_like(known)
        for task, (column, classes) in enumerate(zip(labels.columns, self.classes_, strict=True)):
            known[:, task] &= ~is_masked(column, source, classes)
            predicted = classes[each[task].argmax(1).numpy()]
            pairs = zip(predicted.tolist(), column.tolist(), known[:, task], strict=True)
            right[:, task] = [there and bool(own == true) for own, true, there in pairs]
        if not known.any():
            raise ValueError(
                f"none of the {known.size} labels in y is known; nothing can be scored."
            )
        return right, known
