"""Losses and scores of a network over the epochs of its training, and what was frozen."""

from collections.abc import Sequence
from numbers import Real
from typing import Any, Self

import numpy as np
from sklearn.pipeline import Pipeline

from .._drawing import axes_of, check_axes
from .._optional import import_optional
from .._validation import check_is_fitted

__all__ = ["TrainingDisplay"]

PARTS = {"train": "training", "valid": "validation"}
TERMS = {
    "cls": "classification",
    "adv": "adversarial",
    "mmd": "MMD",
    "coral": "CORAL",
    "entropy": "entropy",
    "l2_sp": "L2-SP",
}
# The staircase of frozen blocks has the lowest part of the axes.
PART_FROZEN = 0.25


class TrainingDisplay:
    """Training of a network, epoch by epoch: losses, scores and frozen blocks.

    Make one with :meth:`from_estimator`, which draws it at once. The parameters below are stored
    as attributes, and :meth:`plot` draws them again.

    Parameters
    ----------
    losses : dict of str to ndarray of shape (n_epochs,)
        By their names in ``history_``, such as "train_loss", "valid_loss" and, of an objective
        with several terms, "train_loss_cls"; NaN for an epoch without.
    scores : dict of str to ndarray of shape (n_epochs,), default=None
        By their names in ``history_``, such as "valid_accuracy".
    n_frozen : ndarray of int of shape (n_epochs,), default=None
        Blocks that were frozen in each epoch; None where that is not known.
    n_blocks : int, default=None
        Blocks of the network; None means the largest of `n_frozen`.

    Attributes
    ----------
    lines_ : dict of str to matplotlib Line2D
        Losses and scores that were drawn, by name.
    frozen_ : matplotlib StepPatch or None
        Staircase of the frozen blocks; None where none were.
    ax_ : matplotlib Axes
        Where it was drawn; its vertical axis is that of the losses.
    score_ax_ : matplotlib Axes or None
        Axes of the scores, labelled on the right; None without scores.
    frozen_ax_ : matplotlib Axes or None
        Axes of the staircase, behind the others; None without it.
    figure_ : matplotlib Figure
        Figure that holds `ax_`.

    See Also
    --------
    sktl.classifiers.FineTunedClassifier : Network classifier with a history.
    sklearn.model_selection.LearningCurveDisplay : Scores against the number of rows.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import make_classification
    >>> from sktl import FineTunedClassifier
    >>> from sktl.plotting import TrainingDisplay
    >>> X, y = make_classification(random_state=0)
    >>> classifier = FineTunedClassifier(early_stopping=True, max_epochs=5, random_state=0)
    >>> display = TrainingDisplay.from_estimator(classifier.fit(X, y))
    >>> sorted(display.losses)
    ['train_loss', 'valid_loss']
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        *,
        losses: dict[str, np.ndarray],
        scores: dict[str, np.ndarray] | None = None,
        n_frozen: np.ndarray | None = None,
        n_blocks: int | None = None,
    ) -> None:
        self.losses = losses
        self.scores = scores
        self.n_frozen = n_frozen
        self.n_blocks = n_blocks

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        scores: Sequence[str] | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> "TrainingDisplay":
        """Draw the history of a fitted network.

        Parameters
        ----------
        estimator : estimator
            Fitted network classifier. Of a pipeline, the last step is drawn; of a search, its
            best estimator.
        scores : sequence of str, default=None
            Entries of ``history_`` to draw as scores, those of callbacks included. None takes the
            numbers that begin with "train" or "valid" and are no losses.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : TrainingDisplay

        Raises
        ------
        NotFittedError
            If `estimator` is not fitted.
        TypeError
            If `estimator` keeps no history, or `ax` is not matplotlib Axes.
        ValueError
            If the history is empty or lacks one of `scores`.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import make_classification
        >>> from sktl import DANNClassifier
        >>> from sktl.plotting import TrainingDisplay
        >>> X, y = make_classification(random_state=0)
        >>> dann = DANNClassifier(max_epochs=5, random_state=0)
        >>> dann = dann.fit(X, y, sample_domain=[1] * 50 + [-1] * 50)
        >>> display = TrainingDisplay.from_estimator(dann, linewidth=2)
        >>> display.lines_["train_loss_adv"].get_label()
        'training loss: adversarial'
        >>> plt.close(display.figure_)
        """
        check_axes(ax, cls.__name__)
        network = _network_in(estimator)
        history = list(network.history_)
        if not history:
            raise ValueError(
                f"history_ of {type(network).__name__} is empty: nothing was trained, as where y "
                "has one class alone, and there is nothing to draw."
            )
        names = list(dict.fromkeys(name for epoch in history for name in epoch))
        losses = [name for name in names if name.startswith(("train_loss", "valid_loss"))]
        losses = [name for name in losses if not name.endswith("_best")]
        chosen = _check_scores(scores, history, names)
        if not losses and not chosen:
            raise ValueError(
                f"history_ of {type(network).__name__} holds {', '.join(map(repr, names))} but no "
                "loss and no score to draw."
            )
        n_frozen = None
        if all("n_frozen" in epoch for epoch in history):
            n_frozen = np.array([epoch["n_frozen"] for epoch in history])
        blocks = getattr(getattr(network, "backbone_", None), "blocks", None)
        display = cls(
            losses={name: _values(history, name) for name in losses},
            scores={name: _values(history, name) for name in chosen},
            n_frozen=n_frozen,
            n_blocks=None if blocks is None else len(blocks),
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax: Any = None, *, terms: bool = True, **kwargs: Any) -> Self:
        """Draw losses, scores and frozen blocks over the epochs, which count from 1.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        terms : bool, default=True
            Whether to draw the terms of the loss as well, dashed, where there are several.
        **kwargs
            Passed to ``ax.plot`` for every line.

        Returns
        -------
        self : TrainingDisplay

        Raises
        ------
        TypeError
            If `ax` is not matplotlib Axes.
        """
        ax = axes_of(ax, type(self).__name__, layout="constrained")
        losses = {name: v for name, v in self.losses.items() if terms or not _is_term(name)}
        scores = self.scores or {}
        self.ax_, self.figure_ = ax, ax.figure
        self.frozen_ = self.frozen_ax_ = self.score_ax_ = None
        self.lines_: dict[str, Any] = {}
        n_epochs = max((len(values) for values in [*losses.values(), *scores.values()]), default=0)
        for name, values in losses.items():
            self._draw(ax, name, values, "--" if _is_term(name) else "-", kwargs)
        if scores:
            self.score_ax_ = ax.twinx()
            self.score_ax_.set_ylabel("Score")
            for name, values in scores.items():
                self._draw(self.score_ax_, name, values, "-.", kwargs)
        if self.n_frozen is not None and np.any(self.n_frozen):
            self._draw_frozen(np.asarray(self.n_frozen))
            n_epochs = max(n_epochs, len(self.n_frozen))
        ticker = import_optional("matplotlib.ticker", "plot", type(self).__name__)
        ax.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, min_n_ticks=1))
        ax.set_xlim(0.5, n_epochs + 0.5)
        ax.set_xlabel("Epoch")
        ax.set_ylabel("Loss")
        handles = [*self.lines_.values(), *([self.frozen_] if self.frozen_ else [])]
        # Losses fall and scores rise; "best" sees the lines of one axes alone.
        place = "best" if self.score_ax_ is None else "center right"
        (self.score_ax_ or ax).legend(handles=handles, loc=place)
        # A twin becomes the current axes.
        ax.get_figure(root=True).sca(ax)
        return self

    def _draw(
        self, ax: Any, name: str, values: np.ndarray, linestyle: str, options: dict[str, Any]
    ) -> None:
        own: dict[str, Any] = {
            "color": f"C{len(self.lines_)}",
            "linestyle": linestyle,
            "label": _label(name),
        }
        # A value without neighbours is no line.
        own["marker"] = "o" if np.isfinite(values).sum() == 1 else None
        epochs = 1 + np.arange(len(values))
        (self.lines_[name],) = ax.plot(epochs, values, **{**own, **options})

    def _draw_frozen(self, n_frozen: np.ndarray) -> None:
        """Fill a staircase behind the lines, with the number of blocks on each step."""
        n_blocks = int(n_frozen.max() if self.n_blocks is None else self.n_blocks)
        behind = self.frozen_ax_ = self.ax_.twinx()
        behind.set_zorder(self.ax_.get_zorder() - 1)
        behind.set_facecolor(self.ax_.get_facecolor())
        behind.patch.set_visible(True)
        self.ax_.patch.set_visible(False)
        behind.yaxis.set_visible(False)
        behind.set_ylim(0, n_blocks / PART_FROZEN)
        edges = np.arange(len(n_frozen) + 1) + 0.5
        label = f"frozen blocks (of {n_blocks})"
        self.frozen_ = behind.stairs(n_frozen, edges, fill=True, color="0.9", label=label)
        starts = np.flatnonzero(np.diff(n_frozen, prepend=n_frozen[0] - 1))
        for start, stop in zip(starts, [*starts[1:], len(n_frozen)], strict=True):
            if count := n_frozen[start]:
                middle = (edges[start] + edges[stop]) / 2
                behind.text(middle, count, f"{count}", color="0.4", ha="center", va="bottom")


def _network_in(estimator: Any) -> Any:
    """Fitted network at the end of a pipeline, or the best one of a search."""
    if isinstance(estimator, type):
        raise TypeError(
            f"estimator is the class {estimator.__name__}; give a fitted instance, "
            f"{estimator.__name__}().fit(X, y)."
        )
    if isinstance(estimator, Pipeline):
        return _network_in(estimator[-1])
    if hasattr(estimator, "best_estimator_"):
        return _network_in(estimator.best_estimator_)
    if hasattr(estimator, "history_"):
        return estimator
    check_is_fitted(estimator)
    name = type(estimator).__name__
    if hasattr(estimator, "best_index_"):
        raise TypeError(f"{name} has no best_estimator_, which refit=True keeps.")
    raise TypeError(
        f"{name} keeps no history_ of epochs; give a fitted network, such as FineTunedClassifier, "
        "or a pipeline that ends in one."
    )


def _check_scores(scores: Any, history: list[dict[str, Any]], names: list[str]) -> list[str]:
    """Names of the scores to draw."""
    numeric = [
        name
        for name in names
        if all(
            isinstance(epoch.get(name, 0.0), Real) and not isinstance(epoch.get(name), bool)
            for epoch in history
        )
    ]
    if scores is None:
        return [
            name
            for name in numeric
            if name.startswith(("train_", "valid_"))
            and not name.startswith(("train_loss", "valid_loss"))
            and not name.endswith("_batch_count")
        ]
    scores = [scores] if isinstance(scores, str) else list(scores)
    if missing := [name for name in scores if name not in numeric]:
        raise ValueError(
            f"scores={missing!r}, but history_ holds {', '.join(map(repr, numeric))}; give some of "
            "these."
        )
    return scores


def _values(history: list[dict[str, Any]], name: str) -> np.ndarray:
    return np.array([epoch.get(name, np.nan) for epoch in history], dtype=np.float64)


def _is_term(name: str) -> bool:
    return name not in ("train_loss", "valid_loss")


def _label(name: str) -> str:
    """Name of an entry of the history in words."""
    part, _, rest = name.partition("_")
    if part not in PARTS or not rest:
        return name.replace("_", " ")
    if rest.startswith("loss_"):
        term = rest.removeprefix("loss_")
        return f"{PARTS[part]} loss: {TERMS.get(term, term.replace('_', ' '))}"
    return f"{PARTS[part]} {rest.replace('_', ' ')}"
