"""Transfer component analysis."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy import linalg
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.kernel_approximation import Nystroem

from .._domains import is_source
from .._random import integer_seed
from .._validation import Interval, StrOptions
from ._base import DomainTransformer

__all__ = ["TCATransformer"]


class TCATransformer(ClassNamePrefixFeaturesOutMixin, DomainTransformer):
    r"""Transfer components: where the domains' means agree and rows still vary.

    With the kernel matrix :math:`K` of all rows, :math:`e` with :math:`1 / n_S` for source and
    :math:`-1 / n_T` for target rows, and :math:`H` that takes means off [1]_, the components
    :math:`K W` are the leading solutions of

    .. math:: K H K w = \lambda (K e e^\top K + \mu I) w

    Rows of all domains go through the same map, so that `transform` needs no domains. No labels
    are read. Several source domains are pooled into one, and so are several targets.

    The solution costs a singular value decomposition of n rows by p columns: the features, or for
    other kernels than the linear one the `n_landmarks` of Nyström's method.

    Parameters
    ----------
    n_components : int, default=None
        Number of components, 1 or above; None for all there are.
    kernel : {"linear", "rbf", "laplacian", "poly", "sigmoid", "cosine"}, default="linear"
        Kernel of two rows, as in :func:`sklearn.metrics.pairwise.pairwise_kernels`.
    gamma : float, default=None
        Coefficient of "rbf", "laplacian", "poly" and "sigmoid", above 0; None for
        ``1 / n_features``.
    mu : float, default=1.0
        :math:`\mu`, above 0: the larger, the less the distance of the means counts.
    n_landmarks : int, default=1000
        Of more rows than this, so many, drawn at random, span the kernel's space (kernels other
        than "linear").
    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Attributes
    ----------
    components_ : ndarray of shape (n_columns, n_components)
        From features, or Nyström's columns, to components.
    nystroem_ : sklearn.kernel_approximation.Nystroem or None
        What makes these columns; None for the linear kernel.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Names of the features, where X had some.

    References
    ----------
    .. [1] Pan, Tsang, Kwok and Yang, "Domain adaptation via transfer component analysis", IEEE
       Transactions on Neural Networks 22, 2011, equation 9 and section III.

    Examples
    --------
    >>> import numpy as np
    >>> from sktl.adaptation import TCATransformer
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3))
    >>> X[100:, 0] += 5  # a shift that no component should show
    >>> sample_domain = np.repeat([1, -1], 100)
    >>> tca = TCATransformer(2, mu=1e-3)
    >>> components = tca.fit_transform(X, sample_domain=sample_domain)
    >>> gap = components[:100].mean(axis=0) - components[100:].mean(axis=0)
    >>> bool(np.abs(gap).max() < 0.1 * components.std())
    True
    """

    _parameter_constraints: dict[str, Any] = {
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "kernel": [StrOptions({"linear", "rbf", "laplacian", "poly", "sigmoid", "cosine"})],
        "gamma": [Interval(Real, 0, None, closed="neither"), None],
        "mu": [Interval(Real, 0, None, closed="neither")],
        "n_landmarks": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_components: int | None = None,
        kernel: str = "linear",
        gamma: float | None = None,
        mu: float = 1.0,
        n_landmarks: int = 1000,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.kernel = kernel
        self.gamma = gamma
        self.mu = mu
        self.n_landmarks = n_landmarks
        self.random_state = random_state

    def _fit(self, rows: np.ndarray, domain: np.ndarray) -> None:
        source = is_source(domain)
        self.nystroem_ = self._make_nystroem(rows)
        columns = self._columns(rows)
        # K = columns @ columns.T; all that it leaves free of w lies in the span of `left`.
        left, singular, right = linalg.svd(columns, full_matrices=False)
        tiny = singular[0] * max(columns.shape) * np.finfo(columns.dtype).eps
        rank = max(1, int((singular > tiny).sum()))
        if self.n_components is not None and self.n_components > rank:
            raise ValueError(
                f"n_components={self.n_components}, but {len(rows)} rows of {rows.shape[1]} "
                f"features give {rank} components with this kernel; give at most that."
            )
        left, singular, right = left[:, :rank], singular[:rank], right[:rank]
        products = left * singular**2
        gap = np.zeros(rank) if source.all() else _gap(products, source)
        centred = products - products.mean(axis=0)
        penalty = np.outer(gap, gap) + self.mu * np.eye(rank, dtype=products.dtype)
        count = self.n_components or rank
        _, vectors = linalg.eigh(
            centred.T @ centred, penalty, subset_by_index=[rank - count, rank - 1]
        )
        components = (right.T * singular) @ vectors[:, ::-1]
        self.components_ = components * _signs(components)

    def _make_nystroem(self, rows: np.ndarray) -> Nystroem | None:
        if self.kernel == "linear":
            return None
        takes_gamma = self.kernel != "cosine"
        gamma = (self.gamma or 1.0 / rows.shape[1]) if takes_gamma else None
        return Nystroem(
            kernel=self.kernel,
            gamma=gamma,
            n_components=min(len(rows), self.n_landmarks),
            random_state=integer_seed(self.random_state),
        ).fit(rows)

    def _columns(self, rows: np.ndarray) -> np.ndarray:
        if self.nystroem_ is None:
            return rows
        return np.asarray(self.nystroem_.transform(rows), dtype=rows.dtype)

    def _map(self, rows: np.ndarray, domain: np.ndarray | None) -> np.ndarray:
        return np.asarray(self._columns(rows) @ self.components_)

    @property
    def _n_features_out(self) -> int:
        return int(self.components_.shape[1])


def _gap(rows: np.ndarray, source: np.ndarray) -> np.ndarray:
    return rows[source].mean(axis=0) - rows[~source].mean(axis=0)


def _signs(components: np.ndarray) -> np.ndarray:
    """Signs that make the largest weight of each component positive."""
    largest = np.abs(components).argmax(axis=0)
    return np.where(components[largest, np.arange(components.shape[1])] < 0, -1.0, 1.0).astype(
        components.dtype
    )
