"""What transformers share that give rows of both domains other columns."""

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin

from .._domains import check_allowed, check_sample_domain, is_source
from .._validation import _fit_context, _num_samples, check_is_fitted, validate_data
from ..exceptions import NoAdaptationWarning

__all__ = ["DomainTransformer"]


class DomainTransformer(TransformerMixin, BaseEstimator):
    """Base of transformers with a map for each domain; rows without a domain are target rows.

    A subclass says in `_fit` what it learns and in `_map` what becomes of rows.
    """

    __metadata_request__fit = {"sample_domain": True}
    __metadata_request__transform = {"sample_domain": True, "allow_source": True}

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: Any = None, sample_domain: ArrayLike | None = None) -> Self:
        """Learn the map of each domain.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of all domains.
        y : object, default=None
            Not used.
        sample_domain : array-like of int of shape (n_samples,), default=None
            0 and above for source rows, below 0 for target rows. Without it, or without target
            rows, nothing is adapted and a `NoAdaptationWarning` is issued.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If all rows are target rows.
        """
        rows = self._check_rows(X, reset=True)
        domain = check_sample_domain(sample_domain, len(rows))
        if is_source(domain, allow_all_target=False).all():
            warnings.warn(
                f"{type(self).__name__} saw no target rows and adapts nothing; pass sample_domain "
                "with negative entries for target rows.",
                NoAdaptationWarning,
                stacklevel=3,
            )
        self._fit(rows, domain)
        return self

    def fit_transform(
        self, X: ArrayLike, y: Any = None, sample_domain: ArrayLike | None = None
    ) -> np.ndarray:
        """Learn the maps and apply them to the same rows with the same domains.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of all domains.
        y : object, default=None
            Not used.
        sample_domain : array-like of int of shape (n_samples,), default=None
            0 and above for source rows, below 0 for target rows; without it all are source rows.

        Returns
        -------
        ndarray of shape (n_samples, n_columns)
            Rows of all domains, mapped.
        """
        self.fit(X, y, sample_domain)
        return self.transform(X, check_sample_domain(sample_domain, _num_samples(X)))

    def transform(
        self, X: ArrayLike, sample_domain: ArrayLike | None = None, allow_source: bool = True
    ) -> np.ndarray:
        """Map rows of any domain.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        sample_domain : array-like of int of shape (n_samples,), default=None
            0 and above for source rows, below 0 for target rows. Without it all are taken to
            come from the target.
        allow_source : bool, default=True
            Whether source rows are accepted; with False they raise an error.

        Returns
        -------
        ndarray of shape (n_samples, n_columns)

        Raises
        ------
        ValueError
            If there are source rows and `allow_source` is False.
        """
        check_is_fitted(self)
        rows = self._check_rows(X, reset=False)
        if sample_domain is None:
            return self._map(rows, None)
        domain = check_sample_domain(sample_domain, len(rows))
        check_allowed(domain, sample_domain, allow_source)
        return self._map(rows, domain)

    def _check_rows(self, X: Any, reset: bool) -> Any:
        return validate_data(self, X, dtype=[np.float64, np.float32], reset=reset)

    def _fit(self, rows: Any, domain: np.ndarray) -> None:
        raise NotImplementedError

    def _map(self, rows: Any, domain: np.ndarray | None) -> np.ndarray:
        """Rows, of which `domain` is not known or known."""
        raise NotImplementedError
