"""Self-training on the target."""

import warnings
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import SelfTrainingClassifier

from .._domains import check_sample_domain, is_source
from .._validation import HasMethods, Interval, StrOptions, _fit_context, validate_data
from ..exceptions import NoAdaptationWarning
from ._wrapped import WrappedClassifier

__all__ = ["SelfTrainedClassifier"]

UNLABELLED = -1


class SelfTrainedClassifier(WrappedClassifier):
    """Any classifier, trained on the source, then also on what it is sure of in the target.

    :class:`sklearn.semi_supervised.SelfTrainingClassifier` with the target's rows as the unlabelled
    ones: the classifier labels those whose probability passes `threshold`, or the `k_best`, and is
    trained again, until none is left or `max_iter` is reached (Yarowsky, 1995). Labels of
    target rows are never read.

    Parameters
    ----------
    estimator : classifier, default=None
        It has `predict_proba`. None for ``LogisticRegression(max_iter=1000)``.
    threshold : float, default=0.75
        Probability above which a row is labelled, in [0, 1); with ``criterion="threshold"``.
    criterion : {"threshold", "k_best"}, default="threshold"
        What decides on the rows to label.
    k_best : int, default=10
        How many rows are labelled at a time, 1 or above; with ``criterion="k_best"``.
    max_iter : int or None, default=10
        Rounds, 0 or above; None until nothing new is labelled.

    Attributes
    ----------
    estimator_ : sklearn.semi_supervised.SelfTrainingClassifier
        Fitted, with classes by number.
    labeled_iter_ : ndarray of int of shape (n_samples,)
        Round in which each row was labelled: 0 for source rows, -1 for those that never were.
    n_iter_ : int
        Rounds, 1 at least.
    classes_ : ndarray of shape (n_classes,)
        Labels of source rows.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Names of the features, where X had some.

    References
    ----------
    D. Yarowsky, "Unsupervised word sense disambiguation rivaling supervised methods", ACL 1995.

    Examples
    --------
    >>> import numpy as np
    >>> from sktl.adaptation import SelfTrainedClassifier
    >>> X = np.arange(8.0)[:, None]
    >>> y, sample_domain = [0, 0, 1, 1, -1, -1, -1, -1], [1, 1, 1, 1, -1, -1, -1, -1]
    >>> clf = SelfTrainedClassifier().fit(X, y, sample_domain=sample_domain)
    >>> clf.labeled_iter_
    array([0, 0, 0, 0, 1, 1, 1, 1])
    >>> clf.predict([[7.0]])
    array([1])
    """

    _parameter_constraints: dict[str, Any] = {
        "estimator": [HasMethods(["fit", "predict_proba"]), None],
        "threshold": [Interval(Real, 0, 1, closed="left")],
        "criterion": [StrOptions({"threshold", "k_best"})],
        "k_best": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left"), None],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        threshold: float = 0.75,
        criterion: str = "threshold",
        k_best: int = 10,
        max_iter: int | None = 10,
    ) -> None:
        self.estimator = estimator
        self.threshold = threshold
        self.criterion = criterion
        self.k_best = k_best
        self.max_iter = max_iter

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_domain: ArrayLike | None = None) -> Self:
        """Train on source rows, then on target rows that were labelled too.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of all domains.
        y : array-like of shape (n_samples,)
            Labels; those of target rows are never read.
        sample_domain : array-like of int of shape (n_samples,), default=None
            0 and above for source rows, below 0 for target rows. Without it, or without target
            rows, a `NoAdaptationWarning` is issued and the classifier is trained once.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If all rows are target rows.
        """
        rows = validate_data(self, X)
        source = is_source(check_sample_domain(sample_domain, len(rows)), allow_all_target=False)
        self.classes_, numbers = np.unique(self._check_labels(y, source), return_inverse=True)
        labels = np.full(len(rows), UNLABELLED)
        labels[source] = numbers
        inner = self.estimator if self.estimator is not None else LogisticRegression(max_iter=1000)
        training = SelfTrainingClassifier(
            clone(inner),
            threshold=self.threshold,
            criterion=self.criterion,
            k_best=min(self.k_best, max(1, int((~source).sum()))),
            max_iter=self.max_iter,
        )
        if source.all():
            warnings.warn(
                "SelfTrainedClassifier saw no target rows and trains once; pass sample_domain with "
                "negative entries for target rows.",
                NoAdaptationWarning,
                stacklevel=3,
            )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "y contains no unlabeled samples", UserWarning)
            self.estimator_ = training.fit(rows, labels)
        self.labeled_iter_ = self.estimator_.labeled_iter_
        self.n_iter_ = max(1, self.estimator_.n_iter_)
        return self

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
        numbers = super().predict(X, sample_domain, allow_source)
        return np.asarray(self.classes_[numbers])
