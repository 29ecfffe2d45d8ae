"""Correlation alignment in closed form."""

import warnings
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin

from .._domains import check_sample_domain, is_source
from .._validation import (
    Interval,
    _fit_context,
    check_array,
    check_is_fitted,
    validate_data,
)
from ..exceptions import NoAdaptationWarning

__all__ = ["CORALTransformer", "coral_map"]


def _spectrum(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (r,) and eigenvectors (n_features, r) of the covariance, r <= n_features."""
    n_rows, n_features = rows.shape
    centred = rows - rows.mean(axis=0)
    if n_rows > n_features:
        values, vectors = linalg.eigh(centred.T @ centred / (n_rows - 1))
        return values.clip(min=0), vectors
    _, singular, vectors = linalg.svd(centred, full_matrices=False)
    return singular**2 / (n_rows - 1), vectors.T


def _covariance_power(rows: np.ndarray, reg: float, power: float) -> np.ndarray:
    """(C + reg * I) ** power; the pseudo-inverse's root where that is singular."""
    values, vectors = _spectrum(rows)
    n_features = len(vectors)
    if reg == 0:
        kept = values > values.max() * n_features * np.finfo(values.dtype).eps
        values, vectors = values[kept], vectors[:, kept]
    # Directions without variance keep the factor reg ** power.
    rest = reg**power if reg > 0 and vectors.shape[1] < n_features else 0.0
    result = vectors * ((values + reg) ** power - rest) @ vectors.T
    result.flat[:: n_features + 1] += rest
    return result


def _check_reg(reg: Any) -> None:
    if not isinstance(reg, Real) or not 0 <= float(reg) < np.inf:
        raise ValueError(f"reg={reg!r}; give a finite number, 0 or above.")


def coral_map(source: ArrayLike, target: ArrayLike, reg: float = 1.0) -> np.ndarray:
    r"""Matrix that gives source rows the covariance of the target rows.

    .. math:: A = (C_S + r I)^{-1/2} (C_T + r I)^{1/2}

    so that ``(source - source.mean(0)) @ A`` has nearly the target's covariance, exactly so
    for ``reg=0`` and a source of full rank.

    Parameters
    ----------
    source : array-like of shape (n_source, n_features)
        Source rows, at least two.
    target : array-like of shape (n_target, n_features)
        Target rows, at least two.
    reg : float, default=1.0
        Added to the variances, 0 or above, in the squared unit of the features: 1 suits
        standardised ones. With 0, directions in which the source does not vary are dropped.

    Returns
    -------
    ndarray of float64 of shape (n_features, n_features)
        The matrix A, to be multiplied from the right.

    References
    ----------
    .. [1] Sun, Feng and Saenko, "Return of frustratingly easy domain adaptation", AAAI 2016,
       algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sktl.adaptation import coral_map
    >>> source = np.array([[-1.0], [1.0]])
    >>> coral_map(source, 3 * source, reg=0)
    array([[3.]])
    """
    _check_reg(reg)
    matrices = {}
    for name, value in (("source", source), ("target", target)):
        rows = check_array(value, dtype=np.float64, input_name=name)
        if len(rows) < 2:
            raise ValueError(f"{name} has 1 row; a covariance needs at least 2.")
        matrices[name] = rows
    n_source, n_target = matrices["source"].shape[1], matrices["target"].shape[1]
    if n_source != n_target:
        raise ValueError(
            f"source has {n_source} features but target has {n_target}; give the same features."
        )
    whitening = _covariance_power(matrices["source"], reg, -0.5)
    return whitening @ _covariance_power(matrices["target"], reg, 0.5)


class CORALTransformer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Correlation alignment: source rows get the target's mean and covariance.

    The map is fitted without labels and in closed form [1]_. A classifier trained on the mapped
    source rows is then used on target rows as they are. Several source domains are pooled
    into one, and so are several targets.

    Parameters
    ----------
    reg : float, default=1.0
        Added to the variances of both domains, 0 or above, in the squared unit of the
        features. 1 is the authors' choice and suits standardised features.
    align_means : bool, default=True
        Whether source rows also get the target's mean: ``(x - m_source) @ A + m_target``.
        False is the authors' ``x @ A``, meant for features that were standardised in each
        domain separately, for which the two agree.

    Attributes
    ----------
    map_ : ndarray of shape (n_features, n_features)
        The matrix A of `coral_map`; the identity where there were no target rows.
    source_center_ : ndarray of shape (n_features,)
        Subtracted before the map: mean of the source rows, or zeros.
    target_center_ : ndarray of shape (n_features,)
        Added after the map: mean of the target rows, or zeros.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Names of the features, where X had some.

    References
    ----------
    .. [1] Sun, Feng and Saenko, "Return of frustratingly easy domain adaptation", AAAI 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from sktl.adaptation import CORALTransformer
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 2))
    >>> X[100:] = 5 + 3 * X[100:]
    >>> sample_domain = np.repeat([1, -1], 100)
    >>> aligned = CORALTransformer().fit_transform(X, sample_domain=sample_domain)
    >>> np.allclose(aligned[:100].mean(axis=0), X[100:].mean(axis=0))
    True
    >>> np.array_equal(aligned[100:], X[100:])
    True
    """

    __metadata_request__fit = {"sample_domain": True}
    __metadata_request__transform = {"sample_domain": True, "allow_source": True}

    _parameter_constraints: dict = {
        "reg": [Interval(Real, 0, None, closed="left")],
        "align_means": ["boolean"],
    }

    def __init__(self, reg: float = 1.0, align_means: bool = True) -> None:
        self.reg = reg
        self.align_means = align_means

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: Any = None, sample_domain: ArrayLike | None = None) -> Self:
        """Learn the map from source to target.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of all domains.
        y : object, default=None
            Not used.
        sample_domain : array-like of int of shape (n_samples,), default=None
            0 and above for source rows, below 0 for target rows. Without it, or without
            target rows, the map is the identity and a `NoAdaptationWarning` is issued.

        Returns
        -------
        CORALTransformer
            Itself.

        Raises
        ------
        ValueError
            If all rows are target rows, or one of the two sides has a single row.
        """
        rows = validate_data(self, X, dtype=[np.float64, np.float32])
        source = is_source(check_sample_domain(sample_domain, len(rows)), allow_all_target=False)
        self.map_ = np.eye(rows.shape[1], dtype=rows.dtype)
        self.source_center_ = np.zeros(rows.shape[1], dtype=rows.dtype)
        self.target_center_ = np.zeros(rows.shape[1], dtype=rows.dtype)
        if source.all():
            warnings.warn(
                "CORALTransformer saw no target rows and leaves every row as it is; pass "
                "sample_domain with negative entries for target rows.",
                NoAdaptationWarning,
                stacklevel=3,
            )
            return self
        self.map_ = coral_map(rows[source], rows[~source], self.reg).astype(rows.dtype)
        if self.align_means:
            self.source_center_ = rows[source].mean(axis=0, dtype=np.float64).astype(rows.dtype)
            self.target_center_ = rows[~source].mean(axis=0, dtype=np.float64).astype(rows.dtype)
        return self

    def fit_transform(
        self, X: ArrayLike, y: Any = None, sample_domain: ArrayLike | None = None
    ) -> np.ndarray:
        """Learn the map and apply it to the same rows with the same domains.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of all domains.
        y : object, default=None
            Not used.
        sample_domain : array-like of int of shape (n_samples,), default=None
            0 and above for source rows, below 0 for target rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Source rows mapped, target rows as they were.
        """
        return self.fit(X, y, sample_domain).transform(X, sample_domain)

    def transform(
        self, X: ArrayLike, sample_domain: ArrayLike | None = None, allow_source: bool = True
    ) -> np.ndarray:
        """Map source rows to the target; return all others as they are.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of any domain.
        sample_domain : array-like of int of shape (n_samples,), default=None
            0 and above for source rows, below 0 for target rows. Without it no row is
            mapped: rows met after fit are taken to come from the target.
        allow_source : bool, default=True
            Whether source rows are accepted; with False they raise an error.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Source rows mapped, all other rows as they were.

        Raises
        ------
        ValueError
            If there are source rows and `allow_source` is False.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=[np.float64, np.float32], copy=True, reset=False)
        if sample_domain is None:
            return rows
        source = is_source(check_sample_domain(sample_domain, len(rows)))
        if not source.any():
            return rows
        if not allow_source:
            raise ValueError(
                f"sample_domain marks {source.sum()} rows as source but allow_source=False; "
                "give target rows only, or allow_source=True."
            )
        rows[source] = (rows[source] - self.source_center_) @ self.map_ + self.target_center_
        return rows
