"""Classifiers on source rows that are weighted to stand for the target."""

import warnings
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import has_fit_parameter

from .._domains import check_sample_domain, is_source
from .._random import integer_seed
from .._validation import (
    HasMethods,
    Interval,
    StrOptions,
    _check_sample_weight,
    _fit_context,
    validate_data,
)
from ..exceptions import NoAdaptationWarning
from ._kernels import median_squared_distance
from ._kliep import kliep
from ._kmm import kernel_mean_matching
from ._rulsif import rulsif
from ._wrapped import WrappedClassifier

__all__ = ["ImportanceWeightedClassifier"]

# What a probability may come near 0 or 1, so that odds stay finite.
SMALLEST = 1e-6


class ImportanceWeightedClassifier(WrappedClassifier):
    r"""Any classifier, trained on source rows weighted by :math:`p_T(x) / p_S(x)`.

    The weights make the source stand for the target where the two differ in how often rows are
    met, not in what class they are of (covariate shift, Shimodaira, 2000). They are estimated
    from rows alone: labels of target rows are never read. Several source domains are pooled into
    one, and so are several targets.

    Parameters
    ----------
    estimator : classifier, default=None
        Its `fit` takes `sample_weight`. None for ``LogisticRegression()``.
    method : {"kmm", "kliep", "rulsif", "classifier"}, default="kmm"
        "kmm" matches kernel means (Huang et al., 2006); "kliep" maximises the likelihood of the
        target (Sugiyama et al., 2008), its width by cross-validation; "rulsif" fits the relative
        ratio by least squares (Yamada et al., 2013), width and penalty by cross-validation;
        "classifier" takes the odds of a logistic regression that tells the domains apart (Bickel
        et al., 2009).
    gamma : float, default=None
        Of the kernel ``exp(-gamma * d ** 2)`` of "kmm", above 0; None for 1 over the median
        squared distance.
    bound : float, default=1000.0
        Largest weight of "kmm", above 0.
    alpha : float, default=0.1
        Share of the target in the denominator of "rulsif", in [0, 1): the larger, the more even
        the weights, which are at most ``1 / alpha``.
    n_landmarks : int, default=1000
        "kmm": of more source rows than this, so many, drawn at random, span the kernel's space,
        and memory grows with their number times that of the rows. "kliep" and "rulsif" have at
        most a tenth of this many target rows as centres.
    random_state : int, RandomState instance or None, default=None
        Seed of what is drawn.

    Attributes
    ----------
    weights_ : ndarray of shape (n_source,)
        Weights of the source rows, with mean 1; ones where there were no target rows.
    estimator_ : classifier
        Fitted on the source rows.
    classes_ : ndarray of shape (n_classes,)
        Labels of source rows.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Names of the features, where X had some.

    References
    ----------
    H. Shimodaira, "Improving predictive inference under covariate shift by weighting the
    log-likelihood function", Journal of Statistical Planning and Inference 90, 2000.

    J. Huang, A. Smola, A. Gretton, K. Borgwardt and B. Schölkopf, "Correcting sample selection
    bias by unlabeled data", NIPS 2006.

    M. Sugiyama, S. Nakajima, H. Kashima, P. von Bünau and M. Kawanabe, "Direct importance
    estimation with model selection and its application to covariate shift adaptation", NIPS 2007.

    M. Yamada, T. Suzuki, T. Kanamori, H. Hachiya and M. Sugiyama, "Relative density-ratio
    estimation for robust distribution comparison", Neural Computation 25, 2013.

    S. Bickel, M. Brückner and T. Scheffer, "Discriminative learning under covariate shift",
    Journal of Machine Learning Research 10, 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from sktl.adaptation import ImportanceWeightedClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 1))
    >>> X[200:] += 1
    >>> y = (X[:, 0] > 1).astype(int)
    >>> sample_domain = np.repeat([1, -1], [200, 100])
    >>> clf = ImportanceWeightedClassifier(method="classifier", random_state=0)
    >>> clf = clf.fit(X, y, sample_domain=sample_domain)
    >>> near, far = X[:200, 0] > 0.5, X[:200, 0] < -0.5
    >>> bool(clf.weights_[near].mean() > 3 * clf.weights_[far].mean())
    True
    """

    _parameter_constraints: dict[str, Any] = {
        "estimator": [HasMethods(["fit", "predict"]), None],
        "method": [StrOptions({"kmm", "kliep", "rulsif", "classifier"})],
        "gamma": [Interval(Real, 0, None, closed="neither"), None],
        "bound": [Interval(Real, 0, None, closed="neither")],
        "alpha": [Interval(Real, 0, 1, closed="left")],
        "n_landmarks": [Interval(Integral, 10, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any = None,
        method: str = "kmm",
        *,
        gamma: float | None = None,
        bound: float = 1000.0,
        alpha: float = 0.1,
        n_landmarks: int = 1000,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.gamma = gamma
        self.bound = bound
        self.alpha = alpha
        self.n_landmarks = n_landmarks
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_domain: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Weigh the source rows and train the classifier on them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of all domains.
        y : array-like of shape (n_samples,)
            Labels; those of target rows are never read.
        sample_domain : array-like of int of shape (n_samples,), default=None
            0 and above for source rows, below 0 for target rows. Without it, or without target
            rows, all weights are 1 and a `NoAdaptationWarning` is issued.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of one's own, by which the estimated ones are multiplied; rows of weight 0
            are left out.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If all rows are target rows, or the weights leave nothing to train on.
        TypeError
            If the estimator takes no `sample_weight`.
        """
        inner = LogisticRegression() if self.estimator is None else clone(self.estimator)
        if not has_fit_parameter(inner, "sample_weight"):
            raise TypeError(
                f"estimator={inner!r} takes no sample_weight in fit, by which source rows count; "
                "give a classifier that does."
            )
        rows = validate_data(self, X)
        source = is_source(check_sample_domain(sample_domain, len(rows)), allow_all_target=False)
        labels = self._check_labels(y, source)
        own = _check_sample_weight(sample_weight, rows, dtype=np.float64, ensure_non_negative=True)
        if not own[source].any():
            raise ValueError("sample_weight is zero for every source row; give some above 0.")
        target = rows[~source & (own > 0)]
        counts = own[source] > 0
        self.weights_ = np.zeros(int(source.sum()))
        self.weights_[counts] = self._weigh(rows[source][counts], target)
        weight = self.weights_ * own[source]
        # The mean of what is given, so that penalties of the classifier keep their share.
        weight *= own[source].sum() / weight.sum()
        given = {} if sample_weight is None and not len(target) else {"sample_weight": weight}
        self.estimator_ = inner.fit(rows[source], labels, **given)
        self.classes_ = self.estimator_.classes_
        return self

    def _weigh(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        if not len(target):
            warnings.warn(
                f"{type(self).__name__} saw no target rows and weighs all rows alike; pass "
                "sample_domain with negative entries for target rows.",
                NoAdaptationWarning,
                stacklevel=4,
            )
            return np.ones(len(source))
        source, target = source.astype(np.float64), target.astype(np.float64)
        generator = np.random.RandomState(integer_seed(self.random_state))
        weights = self._ratios(source, target, generator)
        if not (np.isfinite(weights).all() and weights.sum() > 0):
            raise ValueError(
                f"method={self.method!r} finds no source row near the target: all weights are 0; "
                "standardise the features, or give another method."
            )
        return np.asarray(weights / weights.mean())

    def _ratios(
        self, source: np.ndarray, target: np.ndarray, generator: np.random.RandomState
    ) -> np.ndarray:
        if self.method == "classifier":
            return _odds(source, target)
        scale = median_squared_distance(source, target, generator)
        n_centres = self.n_landmarks // 10
        if self.method == "kliep":
            return kliep(source, target, scale, n_centres, generator)
        if self.method == "rulsif":
            return rulsif(source, target, self.alpha, scale, n_centres, generator)
        gamma = self.gamma or 1 / scale
        return kernel_mean_matching(source, target, gamma, self.bound, self.n_landmarks, generator)


def _odds(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Odds of being a target row, over those of any row."""
    rows = np.concatenate([source, target])
    scale = rows.std(axis=0)
    rows = (rows - rows.mean(axis=0)) / np.where(scale > 0, scale, 1)
    is_target = np.repeat([0, 1], [len(source), len(target)])
    model = LogisticRegression(max_iter=1000).fit(rows, is_target)
    p = model.predict_proba(rows[: len(source)])[:, 1].clip(SMALLEST, 1 - SMALLEST)
    return np.asarray(p / (1 - p) * len(source) / len(target))
