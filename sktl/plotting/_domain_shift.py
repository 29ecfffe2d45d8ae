"""Rows of both domains on a map, before adaptation and after."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.utils import check_consistent_length

from .._domains import check_sample_domain, is_source
from .._drawing import check_axes
from .._optional import import_optional
from .._random import integer_seed
from .._validation import _num_samples, check_array
from ..losses import mmd2
from ..model_selection._calls import call, embed
from ..model_selection._outputs import a_distance, odds_of_target

__all__ = ["DomainShiftDisplay"]


class DomainShiftDisplay:
    r"""Maps of source and target rows, and how far the domains lie apart.

    Make one with :meth:`from_estimator` or :meth:`from_embeddings`, which draw it at once. The
    parameters below are stored as attributes, and :meth:`plot` draws them again.

    Parameters
    ----------
    maps : dict of str to ndarray of shape (n, 2)
        Coordinates of the rows, by title.
    sample_domain : ndarray of int of shape (n,)
        0 and above for source rows, below 0 for target rows.
    mmd : dict of str to float
        Squared maximum mean discrepancy of the embeddings, as :func:`sktl.losses.mmd2` gives it.
    a_distance : dict of str to float
        Proxy A-distance: 0 where a linear classifier cannot tell the domains apart, 2 where it
        always can.
    y : ndarray of shape (n,), default=None
        Labels, by which source points are coloured.

    Attributes
    ----------
    points_ : dict of str to tuple of matplotlib PathCollection
        Source and target points of each map.
    axes_ : ndarray of matplotlib Axes
        One per map.
    figure_ : matplotlib Figure
        Figure that holds them.

    See Also
    --------
    sktl.model_selection.proxy_a_distance : The distance as a score.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from sktl import CORALTransformer
    >>> from sktl.plotting import DomainShiftDisplay
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3))
    >>> X[100:] = 4 + 2 * X[100:]
    >>> sample_domain = np.repeat([1, -1], 100)
    >>> coral = CORALTransformer().fit(X, sample_domain=sample_domain)
    >>> display = DomainShiftDisplay.from_estimator(coral, X, sample_domain)
    >>> display.mmd["after"] < 0.1 * display.mmd["before"]
    True
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        *,
        maps: dict[str, np.ndarray],
        sample_domain: np.ndarray,
        mmd: dict[str, float],
        a_distance: dict[str, float],
        y: np.ndarray | None = None,
    ) -> None:
        self.maps = maps
        self.sample_domain = sample_domain
        self.mmd = mmd
        self.a_distance = a_distance
        self.y = y

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        sample_domain: Any,
        *,
        before: Any = None,
        y: Any = None,
        projection: Any = "pca",
        random_state: Any = None,
        axes: Any = None,
        **kwargs: Any,
    ) -> "DomainShiftDisplay":
        """Draw rows as they are, or as another estimator sees them, and as an adapted one does.

        Parameters
        ----------
        estimator : classifier or transformer
            Fitted and adapted. Of a classifier what its last layer, or the last step of a
            Pipeline, sees is drawn, of a transformer what it makes of the rows.
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows of both domains.
        sample_domain : array-like of int of shape (n,)
            0 and above for source rows, below 0 for target rows.
        before : classifier or transformer, default=None
            A fitted estimator that was not adapted; None for the rows themselves, if they are an
            array.
        y : array-like of shape (n,), default=None
            Labels; those of source rows give points their colours.
        projection : {"pca", "tsne"} or transformer, default="pca"
            Makes two coordinates of the embeddings, of each on its own.
        random_state : int, RandomState instance or None, default=None
            Seed of "tsne".
        axes : sequence of two matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Passed to ``ax.scatter``.

        Returns
        -------
        display : DomainShiftDisplay

        Raises
        ------
        ValueError
            If a domain is missing, or `X` holds clips and `before` is None.
        """
        domain = check_sample_domain(sample_domain, _num_samples(X))
        first = _embed(before, X, domain)
        if first is None:
            raise ValueError(
                "before=None, but X is no array of rows; give an estimator whose embedding to draw "
                "before, such as one fitted to source rows alone."
            )
        embeddings = {"before": first, "after": _embed(estimator, X, domain)}
        return cls.from_embeddings(
            embeddings,
            domain,
            y=y,
            projection=projection,
            random_state=random_state,
            axes=axes,
            **kwargs,
        )

    @classmethod
    def from_embeddings(
        cls,
        embeddings: Mapping[str, Any],
        sample_domain: Any,
        *,
        y: Any = None,
        projection: Any = "pca",
        random_state: Any = None,
        axes: Any = None,
        **kwargs: Any,
    ) -> "DomainShiftDisplay":
        """Draw embeddings of the same rows, one beside the other.

        Parameters
        ----------
        embeddings : dict of str to array-like of shape (n, n_features)
            By title; numbers of features may differ.
        sample_domain : array-like of int of shape (n,)
            0 and above for source rows, below 0 for target rows.
        y : array-like of shape (n,), default=None
            Labels; those of source rows give points their colours.
        projection : {"pca", "tsne"} or transformer, default="pca"
            Makes two coordinates of the embeddings, of each on its own.
        random_state : int, RandomState instance or None, default=None
            Seed of "tsne".
        axes : sequence of matplotlib Axes, default=None
            Where to draw, one per embedding; None makes a figure.
        **kwargs
            Passed to ``ax.scatter``.

        Returns
        -------
        display : DomainShiftDisplay

        Raises
        ------
        ValueError
            If a domain is missing, or lengths differ.
        """
        if not embeddings:
            raise ValueError("embeddings is empty; give one or more, by title.")
        _check_axes(axes, len(embeddings))
        make = _projection(projection, random_state)
        rows = {
            name: check_array(each, dtype=np.float64, input_name=f"embeddings[{name!r}]")
            for name, each in embeddings.items()
        }
        check_consistent_length(*rows.values(), y)
        domain = check_sample_domain(sample_domain, len(next(iter(rows.values()))))
        source = is_source(domain)
        if source.all() or not source.any():
            raise ValueError(
                f"sample_domain marks {source.sum()} of {len(source)} rows as source; give rows of "
                "both domains."
            )
        return cls(
            maps={name: _two_columns(make, each) for name, each in rows.items()},
            sample_domain=domain,
            mmd={name: _mmd(each, source) for name, each in rows.items()},
            a_distance={name: _a_distance(each, source) for name, each in rows.items()},
            y=None if y is None else np.asarray(y),
        ).plot(axes, **kwargs)

    def plot(self, axes: Any = None, **kwargs: Any) -> Self:
        """Draw the maps, source as dots and target as crosses, distances in the titles.

        Parameters
        ----------
        axes : sequence of matplotlib Axes, default=None
            Where to draw, one per map; None makes a figure.
        **kwargs
            Passed to ``ax.scatter``.

        Returns
        -------
        self : DomainShiftDisplay

        Raises
        ------
        TypeError
            If one of `axes` is not matplotlib Axes.
        """
        _check_axes(axes, len(self.maps))
        if axes is None:
            pyplot = import_optional("matplotlib.pyplot", "plot", type(self).__name__)
            size = (4.5 * len(self.maps), 4)
            _, axes = pyplot.subplots(1, len(self.maps), figsize=size, layout="constrained")
        self.axes_ = np.atleast_1d(np.asarray(axes, dtype=object))
        source = is_source(self.sample_domain)
        of_source: dict[str, Any] = {"color": "C0"}
        if self.y is not None:
            classes = np.unique(self.y[source], return_inverse=True)[1]
            of_source = {"c": classes, "cmap": "tab10"}
        options = {"s": 12, "alpha": 0.7, **kwargs}
        self.points_ = {}
        for ax, (name, rows) in zip(self.axes_, self.maps.items(), strict=True):
            dots = ax.scatter(*rows[source].T, label="source", **of_source, **options)
            crosses = ax.scatter(
                *rows[~source].T, color="black", marker="x", label="target", **options
            )
            self.points_[name] = (dots, crosses)
            distances = f"MMD² {self.mmd[name]:.3f}, A-distance {self.a_distance[name]:.2f}"
            ax.set(title=f"{name}: {distances}", xticks=[], yticks=[])
        self.axes_[0].legend()
        self.figure_ = self.axes_[0].figure
        return self


def _check_axes(axes: Any, count: int) -> None:
    if axes is None:
        check_axes(None, "DomainShiftDisplay")
        return
    given = np.atleast_1d(np.asarray(axes, dtype=object))
    for ax in given:
        check_axes(ax, "DomainShiftDisplay")
    if len(given) != count:
        raise ValueError(f"axes holds {len(given)} Axes for {count} maps; give one each.")


def _embed(estimator: Any, X: Any, domain: np.ndarray) -> np.ndarray | None:
    if estimator is not None and not hasattr(estimator, "predict"):
        X = call(estimator, "transform", X, domain)
        estimator = None
    return embed(estimator, X, domain)


def _projection(given: Any, random_state: Any) -> Any:
    if isinstance(given, str) and given == "pca":
        return PCA(2, random_state=0)  # of many features it draws at random
    if isinstance(given, str) and given == "tsne":
        return TSNE(random_state=integer_seed(random_state))
    if not hasattr(given, "fit_transform"):
        raise ValueError(
            f"projection={given!r}; give 'pca', 'tsne', or a transformer to two columns."
        )
    return given


def _two_columns(projection: Any, rows: np.ndarray) -> np.ndarray:
    if rows.shape[1] == 1:
        rows = np.pad(rows, ((0, 0), (0, 1)))
    found = np.asarray(clone(projection).fit_transform(rows))
    if found.ndim != 2 or found.shape[1] < 2:
        raise ValueError(f"projection={projection!r} gives no two columns; set n_components=2.")
    return found[:, :2]


def _mmd(rows: np.ndarray, source: np.ndarray) -> float:
    return float(mmd2(torch.from_numpy(rows[source]), torch.from_numpy(rows[~source])))


def _a_distance(rows: np.ndarray, source: np.ndarray) -> float:
    return max(0.0, a_distance(odds_of_target(rows, source), source))
