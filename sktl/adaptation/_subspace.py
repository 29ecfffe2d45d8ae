"""Subspace alignment."""

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.decomposition import PCA

from .._domains import is_source
from .._validation import Interval
from ._base import DomainTransformer

__all__ = ["SubspaceAlignmentTransformer"]


class SubspaceAlignmentTransformer(ClassNamePrefixFeaturesOutMixin, DomainTransformer):
    r"""Principal axes of the source, turned to those of the target.

    With the principal axes of both domains as columns, :math:`P_S` and :math:`P_T` [1]_, source
    rows become :math:`(x - m_S) P_S P_S^\top P_T` and target rows :math:`(x - m_T) P_T`: both
    have coordinates along the target's axes, and a classifier for one is used on the other. No
    labels are read. Several source domains are pooled into one, and so are several targets.

    Parameters
    ----------
    n_components : int, default=None
        Number of axes, 1 or above. None takes as many as the smaller domain has directions in
        which it varies.

    Attributes
    ----------
    source_components_ : ndarray of shape (n_components, n_features)
        Principal axes of the source.
    target_components_ : ndarray of shape (n_components, n_features)
        Principal axes of the target; where it had no rows, those of the source.
    map_ : ndarray of shape (n_components, n_components)
        From coordinates along the source's axes to those along the target's.
    source_mean_, target_mean_ : ndarray of shape (n_features,)
        Means of the domains.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Names of the features, where X had some.

    References
    ----------
    .. [1] Fernando, Habrard, Sebban and Tuytelaars, "Unsupervised visual domain adaptation using
       subspace alignment", ICCV 2013, equations 1 and 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sktl.adaptation import SubspaceAlignmentTransformer
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3)) * [5, 2, 0.1]
    >>> X[100:] = X[100:, [1, 2, 0]]  # the target's columns are in another order
    >>> sample_domain = np.repeat([1, -1], 100)
    >>> aligned = SubspaceAlignmentTransformer(2).fit_transform(X, sample_domain=sample_domain)
    >>> aligned.shape
    (200, 2)
    """

    _parameter_constraints: dict[str, Any] = {
        "n_components": [Interval(Integral, 1, None, closed="left"), None]
    }

    def __init__(self, n_components: int | None = None) -> None:
        self.n_components = n_components

    def _fit(self, rows: np.ndarray, domain: np.ndarray) -> None:
        source = is_source(domain)
        sides = [rows[source], rows[source if source.all() else ~source]]
        for name, side in zip(("source", "target"), sides, strict=True):
            if len(side) < 2:
                raise ValueError(
                    f"X holds 1 sample of the {name}, which has no axes; give 2 or more of each "
                    "domain."
                )
        axes = [_principal_axes(side) for side in sides]
        most = min(map(len, axes))
        if self.n_components is not None and self.n_components > most:
            counts = " and ".join(str(len(side)) for side in sides)
            raise ValueError(
                f"n_components={self.n_components}, but {counts} rows of source and target with "
                f"{rows.shape[1]} features have {most} principal axes in common; give at most "
                "that."
            )
        count = self.n_components or most
        self.source_components_, self.target_components_ = (each[:count] for each in axes)
        self.source_mean_, self.target_mean_ = (side.mean(axis=0) for side in sides)
        self.map_ = self.source_components_ @ self.target_components_.T

    def _map(self, rows: np.ndarray, domain: np.ndarray | None) -> np.ndarray:
        mapped = (rows - self.target_mean_) @ self.target_components_.T
        source = np.zeros(len(rows), bool) if domain is None else is_source(domain)
        if source.any():
            axes = self.source_components_.T @ self.map_
            mapped[source] = (rows[source] - self.source_mean_) @ axes
        return mapped

    @property
    def _n_features_out(self) -> int:
        return len(self.target_components_)


def _principal_axes(rows: np.ndarray) -> np.ndarray:
    """Directions (n_axes, n_features) in which rows vary, at least one."""
    pca = PCA(svd_solver="full").fit(rows)
    tiny = pca.singular_values_[0] * max(rows.shape) * np.finfo(rows.dtype).eps
    return pca.components_[: max(1, int((pca.singular_values_ > tiny).sum()))]
