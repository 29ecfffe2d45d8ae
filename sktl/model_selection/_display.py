"""Scores with transfer beside those of the target data alone."""

from typing import Any, Self

import numpy as np

from .._drawing import axes_of
from ._interval import Estimate

__all__ = ["LABELS", "TransferDisplay", "name_of_metric"]

LABELS = {"scratch": "target data alone", "transfer": "transfer"}
METRICS = {"f1_macro": "macro F1"}
# Distance of the two from the middle of a metric, which has width 1.
APART = 0.15


def name_of_metric(metric: str) -> str:
    """Name of a scorer in words."""
    return METRICS.get(metric, metric.replace("_", " "))


class TransferDisplay:
    """Scores of an estimator with transfer and without, split by split.

    Make one with :meth:`sktl.model_selection.TransferReport.plot` or :meth:`from_report`, which
    draw it at once. The parameters below are stored as attributes, and :meth:`plot` draws them
    again.

    Parameters
    ----------
    scores : dict of str to dict of str to ndarray of shape (n_splits,)
        By metric, then by "scratch" and "transfer": a score per split.
    estimates : dict of str to dict of str to tuple of float
        By metric, then by "scratch", "transfer" and "gain": mean, lower and upper limit.

    Attributes
    ----------
    errorbars_ : dict of str to matplotlib ErrorbarContainer
        Means and intervals of "scratch" and "transfer".
    lines_ : list of matplotlib Line2D
        One per metric and split, from the score without transfer to that with it.
    texts_ : list of matplotlib Text
        The gain and its interval, one per metric.
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        Figure that holds `ax_`.

    See Also
    --------
    sktl.model_selection.transfer_report : Computes the scores.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from sktl.plotting import TransferDisplay
    >>> scores = {"scratch": np.array([0.5, 0.7]), "transfer": np.array([0.8, 0.9])}
    >>> estimates = {
    ...     "scratch": (0.6, 0.4, 0.8), "transfer": (0.85, 0.8, 0.9), "gain": (0.25, 0.1, 0.4)
    ... }
    >>> display = TransferDisplay(
    ...     scores={"accuracy": scores}, estimates={"accuracy": estimates}
    ... ).plot()
    >>> len(display.lines_)
    2
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        *,
        scores: dict[str, dict[str, np.ndarray]],
        estimates: dict[str, dict[str, Estimate]],
    ) -> None:
        self.scores = scores
        self.estimates = estimates

    @classmethod
    def from_report(cls, report: Any, *, ax: Any = None, **kwargs: Any) -> "TransferDisplay":
        """Draw what :func:`sktl.model_selection.transfer_report` has found.

        Parameters
        ----------
        report : TransferReport
            The scores of both estimators.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : TransferDisplay

        Raises
        ------
        TypeError
            If `ax` is not matplotlib Axes.
        """
        return cls(scores=report.scores, estimates=report.estimates).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the means with their intervals, and a thin line per split.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Passed to ``ax.errorbar``.

        Returns
        -------
        self : TransferDisplay

        Raises
        ------
        TypeError
            If `ax` is not matplotlib Axes.
        """
        ax = axes_of(ax, type(self).__name__, layout="constrained")
        middles = np.arange(len(self.scores))
        self.lines_, self.texts_, self.errorbars_ = [], [], {}
        for middle, both in zip(middles, self.scores.values(), strict=True):
            ends = np.stack([both["scratch"], both["transfer"]])
            across = middle + np.array([-APART, APART])
            self.lines_ += ax.plot(across, ends, color="0.8", linewidth=1, zorder=1)
        for side, trained in zip((-APART, APART), LABELS, strict=True):
            mean, low, high = np.transpose([e[trained] for e in self.estimates.values()])
            options = {"fmt": "o", "capsize": 3, "label": LABELS[trained], **kwargs}
            limits = [mean - low, high - mean]
            self.errorbars_[trained] = ax.errorbar(middles + side, mean, yerr=limits, **options)
        for middle, by_metric in zip(middles, self.estimates.values(), strict=True):
            mean, low, high = by_metric["gain"]
            self.texts_.append(
                ax.annotate(
                    f"{mean:+.3f}\n[{low:+.3f}, {high:+.3f}]",
                    (middle, 1),
                    xycoords=("data", "axes fraction"),
                    xytext=(0, 3),
                    textcoords="offset points",
                    horizontalalignment="center",
                )
            )
        ax.set_xticks(middles, [name_of_metric(metric) for metric in self.scores])
        ax.set_xlim(-0.5, len(middles) - 0.5)
        ax.set_ylabel("Score")
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self
