"""What transfer gains over the same estimator trained on the target data alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.model_selection import cross_validate
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_consistent_length

from .._random import integer_seed
from .._validation import Interval, _check_y, validate_params
from ._display import LABELS, TransferDisplay, name_of_metric
from ._folds import make_folds
from ._interval import Estimate, corrected_interval
from ._scratch import scratch_of
from ._table import as_html, as_text

__all__ = ["TransferReport", "transfer_report"]

COLUMNS = {"transfer": "transfer", "scratch": LABELS["scratch"], "gain": "gain"}


@dataclass(frozen=True, eq=False, repr=False)
class TransferReport:
    """Scores of an estimator with transfer and of one trained on the target data alone.

    :func:`transfer_report` makes it; ``print`` shows it as a table, a notebook too, and
    :meth:`plot` draws it.

    Parameters
    ----------
    scores : dict of str to dict of str to ndarray of shape (n_splits,)
        By metric, then by "transfer" and "scratch": a score per split, higher being better.
    n_train, n_test : ndarray of shape (n_splits,)
        Rows that each split trains and tests on.
    baseline : str, default=""
        What the estimator for the target data alone is.
    confidence : float, default=0.95
        Probability of the intervals.
    """

    scores: dict[str, dict[str, np.ndarray]]
    n_train: np.ndarray
    n_test: np.ndarray
    baseline: str = ""
    confidence: float = 0.95

    @property
    def estimates(self) -> dict[str, dict[str, Estimate]]:
        """By metric, then by "transfer", "scratch" and "gain": `mean`, `low` and `high`."""
        return {
            metric: {
                name: corrected_interval(values, self.n_train, self.n_test, self.confidence)
                for name, values in {**both, "gain": both["transfer"] - both["scratch"]}.items()
            }
            for metric, both in self.scores.items()
        }

    def rows(self) -> list[dict[str, Any]]:
        """Give the table's numbers, of which ``pandas.DataFrame(report.rows())`` is a data frame.

        Returns
        -------
        list of dict
            One per metric and column, with the keys "metric", "of" ("transfer", "scratch" or
            "gain"), "mean", "low" and "high".
        """
        return [
            {"metric": metric, "of": name, **by_name[name]._asdict()}
            for metric, by_name in self.estimates.items()
            for name in COLUMNS
        ]

    def plot(self, ax: Any = None, **kwargs: Any) -> TransferDisplay:
        """Draw the means with their intervals, and a thin line per split.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Passed to ``ax.errorbar``.

        Returns
        -------
        display : sktl.plotting.TransferDisplay
        """
        return TransferDisplay.from_report(self, ax=ax, **kwargs)

    def _table(self) -> list[list[str]]:
        """Head and body, as strings."""
        body = [
            [name_of_metric(metric), *(_in_words(by_name[name], name) for name in COLUMNS)]
            for metric, by_name in self.estimates.items()
        ]
        return [["", *COLUMNS.values()], *body]

    def _caption(self) -> str:
        percent = f"{100 * self.confidence:g} %"
        return (
            f"Mean over {len(self.n_train)} splits and its {percent} interval (Student's t, "
            f"corrected for\noverlapping training sets). {LABELS['scratch'].capitalize()}: "
            f"{self.baseline}"
        )

    def __repr__(self) -> str:
        return f"{as_text(self._table())}\n{self._caption()}"

    def _repr_html_(self) -> str:
        return as_html(self._table(), self._caption())


@validate_params(
    {
        "scoring": [str, list, tuple, dict],
        "confidence": [Interval(Real, 0, 1, closed="neither")],
        "params": [dict, None],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def transfer_report(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    scratch: Any = None,
    cv: Any = 5,
    groups: Any = None,
    scoring: Any = ("accuracy", "f1_macro"),
    confidence: float = 0.95,
    params: dict[str, Any] | None = None,
    n_jobs: int | None = None,
    random_state: Any = None,
) -> TransferReport:
    """Measure what transfer gains over training on the target data alone.

    Both estimators are cross-validated on the same splits.

    Parameters
    ----------
    estimator : classifier
        The one that transfers: a network classifier with pretrained weights, or a pipeline or
        search that holds one. It is cloned, not fitted.
    X : array-like of shape (n, ...) or sequence of clips or paths of length n
        Rows of the target data, as `estimator` takes them.
    y : array-like of shape (n,)
        Their labels, numbers or strings.
    scratch : classifier, default=None
        The one to compare with, which learns from the target data alone. None clones `estimator`
        and gives every network in it random weights (``weights=None``) and all of its blocks to
        train (``frozen_layers=0``); the levers that hold a network to its start (`unfreeze_every`,
        `layer_decay`, `l2_sp`, `head_epochs`, `batch_norm`, `lora`) go back to their defaults.
        The embedding of a :class:`~sktl.embedding.PretrainedEmbedding` becomes that of a random
        network, which nothing trains.
    cv : int, splitter or iterable of (train, test), default=5
        A number of folds, shuffled and with equal shares of the classes, which keep each of the
        `groups` on one side where these are given; or as in
        :func:`sklearn.model_selection.cross_validate`.
    groups : array-like of shape (n,), default=None
        Group of each row for the splits, the speaker for instance.
    scoring : str, list of str, or dict of str to callable, default=("accuracy", "f1_macro")
        Names of scikit-learn's scorers, or scorers; higher is better.
    confidence : float, default=0.95
        Probability of the intervals, in (0, 1).
    params : dict, default=None
        Arguments for the `fit` of both, as in :func:`sklearn.model_selection.cross_validate`.
    n_jobs : int, default=None
        Fits at a time, in processes; None means 1 and -1 all processors.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds where `cv` is a number. The estimators have seeds of their own.

    Returns
    -------
    report : TransferReport
        Scores per split, their means, and the intervals of those and of the gain.

    Raises
    ------
    TypeError
        If an estimator is no instance.
    ValueError
        If an estimator is no classifier, if it is not known what `estimator` would be without
        transfer, or if `y`, `groups` and the splits do not fit each other; before anything is
        fitted.

    See Also
    --------
    sktl.plotting.TransferDisplay : The picture of it.

    Notes
    -----
    The interval of the mean of J scores is that of Student's t with J - 1 degrees of freedom, and
    its variance (1 / J + n_test / n_train) S², where S² is the variance of the scores over the
    splits: the correction of Nadeau and Bengio (2003), made for repeated random splits, of which
    the training sets overlap. Folds overlap too, and are treated alike. The interval of the gain is
    that of the differences, split by split. Limits are not cut off at 0 and 1.

    References
    ----------
    C. Nadeau and Y. Bengio, "Inference for the generalization error", Machine Learning 52, 2003.

    Examples
    --------
    >>> from sktl import FineTunedClassifier
    >>> from sktl.datasets import load_voices
    >>> from sktl.model_selection import transfer_report
    >>> clips, digits, _ = load_voices(return_X_y=True)
    >>> probe = FineTunedClassifier(frozen_layers="all", lr=0.01, max_epochs=5, random_state=0)
    >>> report = transfer_report(probe, clips[:420:14], digits[:420:14] < 5, cv=2, random_state=0)
    >>> sorted(report.estimates)
    ['accuracy', 'f1_macro']
    """
    seed = integer_seed(random_state)
    _check_estimator(estimator, "estimator")
    if scratch is None:
        alone, changes = scratch_of(estimator)
        baseline = "the same with " + ", ".join(f"{k}={v!r}" for k, v in changes.items()) + "."
    else:
        _check_estimator(scratch, "scratch")
        alone, baseline = clone(scratch), f"{type(scratch).__name__}."
    y = _check_labels(X, y)
    folds = make_folds(cv, X, y, groups, seed)
    if isinstance(scoring, str):
        scoring = [scoring]
    elif not len(scoring):
        raise ValueError(f"scoring={scoring!r} names no score; give 'accuracy', say.")
    options: dict[str, Any] = {"params": params, "error_score": "raise"}
    options["scoring"] = dict(scoring) if isinstance(scoring, Mapping) else list(scoring)
    # Split by split, so that what either cannot do is known after the first.
    found = Parallel(n_jobs=n_jobs)(
        delayed(cross_validate)(candidate, X, y, cv=[fold], **options)
        for fold in folds
        for candidate in (estimator, alone)
    )
    scores = {
        metric: {
            "transfer": np.concatenate([result[f"test_{metric}"] for result in found[::2]]),
            "scratch": np.concatenate([result[f"test_{metric}"] for result in found[1::2]]),
        }
        for metric in scoring
    }
    n_train, n_test = (np.array([len(rows) for rows in side]) for side in zip(*folds, strict=True))
    return TransferReport(scores, n_train, n_test, baseline, float(confidence))


def _check_estimator(estimator: Any, name: str) -> None:
    if isinstance(estimator, type):
        raise TypeError(
            f"{name} is the class {estimator.__name__}; give an instance, {estimator.__name__}()."
        )
    if not hasattr(estimator, "fit") or not hasattr(estimator, "get_params"):
        raise TypeError(f"{name}={estimator!r} is no scikit-learn estimator; give a classifier.")
    if not is_classifier(estimator):
        raise ValueError(f"{name} is {type(estimator).__name__}, no classifier; give one.")


def _check_labels(X: Any, y: Any) -> np.ndarray:
    check_consistent_length(X, y)
    y = _check_y(y)
    try:
        n_classes = len(np.unique(y))
    except TypeError as error:
        raise ValueError(f"y mixes types that have no order ({error}); give one type.") from error
    check_classification_targets(y)
    if n_classes < 2:
        raise ValueError(f"y holds the one class {y.tolist()[0]!r}; give two or more.")
    return y


def _in_words(estimate: Estimate, name: str) -> str:
    sign = "+" if name == "gain" else ""
    return "{:{s}.3f} [{:{s}.3f}, {:{s}.3f}]".format(*estimate, s=sign)
