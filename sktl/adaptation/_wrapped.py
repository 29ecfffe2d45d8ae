"""What classifiers share that train another one on rows of both domains."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets

from .._domains import check_allowed, check_sample_domain, known_accuracy
from .._validation import _check_y, check_is_fitted, validate_data

__all__ = ["WrappedClassifier"]


def _has(name: str) -> Any:
    def check(self: Any) -> bool:
        inner = getattr(self, "estimator_", self.estimator)
        return inner is None or hasattr(inner, name)

    return check


class WrappedClassifier(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Base of classifiers that hand their rows to a fitted `estimator_`."""

    __metadata_request__fit = {"sample_domain": True}
    __metadata_request__predict = {"sample_domain": True, "allow_source": True}
    __metadata_request__predict_proba = {"sample_domain": True, "allow_source": True}
    __metadata_request__decision_function = {"sample_domain": True, "allow_source": True}
    __metadata_request__score = {"sample_domain": True, "allow_source": True}

    estimator: Any
    estimator_: Any
    classes_: np.ndarray

    def _check_labels(self, y: Any, source: np.ndarray) -> np.ndarray:
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None; give "
                "one label per row (target rows may hold anything, -1 for instance)."
            )
        y = column_or_1d(y, warn=True)
        check_consistent_length(source, y)
        labels = _check_y(y[source], estimator=self)
        check_classification_targets(labels)
        return np.asarray(labels)

    def _check_rows(self, X: Any, sample_domain: Any, allow_source: bool) -> np.ndarray:
        check_is_fitted(self, "estimator_")
        rows = validate_data(self, X, reset=False)
        check_allowed(check_sample_domain(sample_domain, len(rows)), sample_domain, allow_source)
        return np.asarray(rows)

    def predict(
        self, X: ArrayLike, sample_domain: ArrayLike | None = None, allow_source: bool = True
    ) -> np.ndarray:
        """Predict the class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of any domain.
        sample_domain : array-like of int of shape (n_samples,), default=None
            Domains, looked at only with ``allow_source=False``.
        allow_source : bool, default=True
            Whether source rows are accepted; with False they raise an error.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        rows = self._check_rows(X, sample_domain, allow_source)
        return np.asarray(self.estimator_.predict(rows))

    @available_if(_has("predict_proba"))
    def predict_proba(
        self, X: ArrayLike, sample_domain: ArrayLike | None = None, allow_source: bool = True
    ) -> np.ndarray:
        """Probability of each class, where the estimator gives it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of any domain.
        sample_domain : array-like of int of shape (n_samples,), default=None
            Domains, looked at only with ``allow_source=False``.
        allow_source : bool, default=True
            Whether source rows are accepted; with False they raise an error.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        rows = self._check_rows(X, sample_domain, allow_source)
        return np.asarray(self.estimator_.predict_proba(rows))

    @available_if(_has("decision_function"))
    def decision_function(
        self, X: ArrayLike, sample_domain: ArrayLike | None = None, allow_source: bool = True
    ) -> np.ndarray:
        """Score of each class, where the estimator gives it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of any domain.
        sample_domain : array-like of int of shape (n_samples,), default=None
            Domains, looked at only with ``allow_source=False``.
        allow_source : bool, default=True
            Whether source rows are accepted; with False they raise an error.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
        """
        rows = self._check_rows(X, sample_domain, allow_source)
        return np.asarray(self.estimator_.decision_function(rows))

    def score(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        sample_domain: ArrayLike | None = None,
        allow_source: bool = True,
    ) -> float:
        """Accuracy over the rows whose label is known.

        A target row whose label is none of `classes_` is masked and does not count.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of any domain.
        y : array-like of shape (n_samples,)
            True labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        sample_domain : array-like of int of shape (n_samples,), default=None
            Domains; without them no row is masked.
        allow_source : bool, default=True
            False refuses source rows.

        Returns
        -------
        float
            Between 0 and 1.
        """
        predicted = self.predict(X, sample_domain, allow_source)
        return known_accuracy(predicted, y, sample_weight, sample_domain, self.classes_)
