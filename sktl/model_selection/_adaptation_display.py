"""What each score would have chosen, between source-only and the oracle."""

from typing import Any, Self

import numpy as np

from .._drawing import axes_of

__all__ = ["AdaptationDisplay"]


class AdaptationDisplay:
    """Accuracy on the target of what each score chose, between source-only and the oracle.

    Make one with :meth:`sktl.model_selection.AdaptationReport.plot` or :meth:`from_report`, which
    draw it at once. The parameters below are stored as attributes, and :meth:`plot` draws them
    again.

    Parameters
    ----------
    chosen : dict of str to float
        By score, the accuracy of its choice.
    candidates : ndarray of shape (n_candidates,)
        Accuracy of every candidate.
    source_only : float
        Accuracy without adaptation.

    Attributes
    ----------
    points_ : matplotlib PathCollection
        One per score.
    candidates_ : matplotlib PathCollection
        Every candidate, once per score.
    lines_ : dict of str to matplotlib Line2D
        "source only" and "oracle".
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        Figure that holds `ax_`.

    See Also
    --------
    sktl.model_selection.adaptation_report : Computes the accuracies.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from sktl.plotting import AdaptationDisplay
    >>> display = AdaptationDisplay(
    ...     chosen={"prediction_entropy": 0.8}, candidates=np.array([0.7, 0.8]), source_only=0.6
    ... ).plot()
    >>> sorted(display.lines_)
    ['oracle', 'source only']
    >>> plt.close(display.figure_)
    """

    def __init__(
        self, *, chosen: dict[str, float], candidates: np.ndarray, source_only: float
    ) -> None:
        self.chosen = chosen
        self.candidates = candidates
        self.source_only = source_only

    @classmethod
    def from_report(cls, report: Any, *, ax: Any = None, **kwargs: Any) -> "AdaptationDisplay":
        """Draw what :func:`sktl.model_selection.adaptation_report` has found.

        Parameters
        ----------
        report : AdaptationReport
            Scores and accuracies of the candidates.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : AdaptationDisplay

        Raises
        ------
        TypeError
            If `ax` is not matplotlib Axes.
        """
        means = report.target_accuracy.mean(axis=1)
        chosen = {name: float(means[i]) for name, i in report.choices.items()}
        source_only = float(report.source_only.mean())
        return cls(chosen=chosen, candidates=means, source_only=source_only).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw a point per score, and lines for source-only and the oracle.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Passed to ``ax.scatter`` for the scores.

        Returns
        -------
        self : AdaptationDisplay

        Raises
        ------
        TypeError
            If `ax` is not matplotlib Axes.
        """
        ax = axes_of(ax, type(self).__name__, layout="constrained")
        places = np.arange(len(self.chosen))
        every = np.meshgrid(self.candidates, places)
        self.candidates_ = ax.scatter(*every, color="0.8", s=12, zorder=1, label="candidates")
        options = {"zorder": 2, "label": "chosen without labels", **kwargs}
        self.points_ = ax.scatter(list(self.chosen.values()), places, **options)
        best = float(np.max(self.candidates))
        self.lines_ = {
            "source only": ax.axvline(
                self.source_only, color="0.4", linestyle="--", label="source only"
            ),
            "oracle": ax.axvline(best, color="0.4", label="oracle"),
        }
        ax.set_yticks(places, [name.replace("_", " ") for name in self.chosen])
        ax.invert_yaxis()
        ax.set_xlabel("Accuracy on the target")
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self
