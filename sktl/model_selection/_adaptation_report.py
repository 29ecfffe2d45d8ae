"""What adaptation gains, and how far choices without target labels fall behind the oracle."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.base import clone, is_classifier
from sklearn.model_selection import ParameterGrid, ParameterSampler
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.parallel import Parallel, delayed

from .._domains import check_sample_domain, is_masked, is_source
from .._random import integer_seed
from .._validation import _num_samples, _safe_indexing
from ..exceptions import NoAdaptationWarning
from ._adaptation_display import AdaptationDisplay
from ._calls import fit_masked
from ._outputs import Outputs
from ._scorers import SCORES, DomainScorer, target_accuracy
from ._splitters import DomainStratifiedKFold
from ._table import as_html, as_text

__all__ = ["AdaptationReport", "adaptation_report"]


@dataclass(frozen=True, eq=False, repr=False)
class AdaptationReport:
    """Scores of candidates without target labels, and their accuracy with them.

    :func:`adaptation_report` makes it; ``print`` shows it as a table, a notebook too, and
    :meth:`plot` draws it.

    Parameters
    ----------
    names : list of str
        The candidates.
    scores : dict of str to ndarray of shape (n_candidates, n_splits)
        By name of the score, which read no labels of the target; larger is better.
    target_accuracy : ndarray of shape (n_candidates, n_splits)
        Accuracy on target rows that were not trained on.
    source_only : ndarray of shape (n_splits,)
        The same of the estimator that saw source rows alone.
    """

    names: list[str]
    scores: dict[str, np.ndarray]
    target_accuracy: np.ndarray
    source_only: np.ndarray

    @property
    def choices(self) -> dict[str, int]:
        """By score, the index of the candidate whose mean score is largest."""
        return {name: int(values.mean(axis=1).argmax()) for name, values in self.scores.items()}

    @property
    def oracle(self) -> int:
        """Index of the candidate that is best on the target, which labels alone can tell."""
        return int(self.target_accuracy.mean(axis=1).argmax())

    def rows(self) -> list[dict[str, Any]]:
        """Give the table's numbers, of which ``pandas.DataFrame(report.rows())`` is a data frame.

        Returns
        -------
        list of dict
            One for source-only, one per score and one for the oracle, with the keys "chosen_by",
            "candidate", "target_accuracy", "behind_oracle" and "rank_correlation": Spearman's
            between the score and the accuracy over the candidates, NaN where it has none.
        """
        means = self.target_accuracy.mean(axis=1)
        best = float(means[self.oracle])
        found = [("source only", "", float(self.source_only.mean()), float("nan"))]
        for name, choice in self.choices.items():
            correlation = _rank_correlation(self.scores[name].mean(axis=1), means)
            found.append((name, self.names[choice], float(means[choice]), correlation))
        found.append(("oracle", self.names[self.oracle], best, float("nan")))
        return [
            {
                "chosen_by": chosen_by,
                "candidate": candidate,
                "target_accuracy": accuracy,
                "behind_oracle": best - accuracy,
                "rank_correlation": correlation,
            }
            for chosen_by, candidate, accuracy, correlation in found
        ]

    def plot(self, ax: Any = None, **kwargs: Any) -> AdaptationDisplay:
        """Draw the accuracy of each choice between source-only and the oracle.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs
            Passed to ``ax.scatter``.

        Returns
        -------
        display : sktl.plotting.AdaptationDisplay
        """
        return AdaptationDisplay.from_report(self, ax=ax, **kwargs)

    def _table(self) -> list[list[str]]:
        head = ["chosen by", "candidate", "target accuracy", "behind the oracle", "rank corr."]
        body = [
            [
                row["chosen_by"],
                row["candidate"],
                f"{row['target_accuracy']:.3f}",
                f"{row['behind_oracle']:.3f}",
                "" if np.isnan(row["rank_correlation"]) else f"{row['rank_correlation']:+.2f}",
            ]
            for row in self.rows()
        ]
        return [head, *body]

    def _caption(self) -> str:
        n_candidates, n_splits = self.target_accuracy.shape
        return (
            f"{n_candidates} candidates, mean over {n_splits} splits. Scores read no labels of the "
            "target;\nthe accuracies and the oracle do."
        )

    def __repr__(self) -> str:
        return f"{as_text(self._table())}\n{self._caption()}"

    def _repr_html_(self) -> str:
        return as_html(self._table(), self._caption())


def _rank_correlation(scores: np.ndarray, accuracy: np.ndarray) -> float:
    if len(scores) < 2 or np.ptp(scores) == 0 or np.ptp(accuracy) == 0:
        return float("nan")
    return float(spearmanr(scores, accuracy).statistic)


def adaptation_report(
    search_or_estimators: Any,
    X: Any,
    y: Any,
    sample_domain: Any,
    *,
    scoring: Sequence[str | DomainScorer] | None = None,
    source_only: Any = None,
    cv: Any = 5,
    groups: Any = None,
    n_jobs: int | None = None,
    random_state: Any = None,
) -> AdaptationReport:
    """Compare source-only, what each score would choose without target labels, and the oracle.

    Every candidate is trained on rows of both domains, labels of the target masked, and scored on
    rows that were left out. A score chooses the candidate with the largest mean; labels of the
    target then tell what that choice is worth.

    Parameters
    ----------
    search_or_estimators : GridSearchCV, RandomizedSearchCV, dict of str to classifier, or list
        Candidates: the settings of a search, or classifiers and Pipelines. Steps that take
        `sample_domain` are given it; those that do not, and read labels, see source rows alone.
    X : array-like of shape (n, ...) or sequence of clips or paths of length n
        Rows of both domains.
    y : array-like of shape (n,)
        Labels, also of target rows, of which accuracies alone are made; what is no label of the
        source is left out of them.
    sample_domain : array-like of int of shape (n,)
        0 and above for source rows, below 0 for target rows.
    scoring : list of str or DomainScorer, default=None
        Scores that choose; None for all that read no target labels.
    source_only : classifier, default=None
        What is trained on source rows alone; None for a search's estimator or the first candidate.
    cv : int, splitter or iterable of (train, test), default=5
        A number of folds of :class:`DomainStratifiedKFold`, shuffled; a splitter, which is given
        `groups` and, where it takes them, domains; or splits.
    groups : array-like of shape (n,), default=None
        Rows of one group stay on one side.
    n_jobs : int, default=None
        Fits at a time, in processes; None means 1 and -1 all processors.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds where `cv` is a number. The candidates have seeds of their own.

    Returns
    -------
    report : AdaptationReport

    Raises
    ------
    TypeError
        If there are no candidates, or one is no classifier.
    ValueError
        If a domain, labels of the target, or a score is missing; before anything is fitted.

    See Also
    --------
    transfer_report : What a pretrained start is worth.
    sktl.plotting.AdaptationDisplay : The picture of it.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sktl import CORALTransformer
    >>> from sktl.model_selection import adaptation_report
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(2, size=200)
    >>> X = rng.normal(size=(200, 2)) + 3 * y[:, None]
    >>> sample_domain = np.repeat([1, -1], 100)
    >>> X[100:] = X[100:] @ [[2, 1], [-1, 2]] - 8
    >>> candidates = {
    ...     f"reg={reg}": make_pipeline(CORALTransformer(reg), LogisticRegression())
    ...     for reg in (0.01, 1.0)
    ... }
    >>> report = adaptation_report(candidates, X, y, sample_domain, cv=2, random_state=0)
    >>> report.target_accuracy.mean(axis=1).max() > report.source_only.mean() + 0.2
    np.True_
    """
    names, candidates, plain = _candidates(search_or_estimators)
    plain = clone(source_only) if source_only is not None else plain
    _check_classifier(plain, "source_only")
    scorers = _scorers(scoring)
    domain = check_sample_domain(sample_domain, _num_samples(X))
    y = _check_labels(y, domain)
    folds = _folds(cv, X, y, groups, domain, integer_seed(random_state))
    found = Parallel(n_jobs=n_jobs)(
        delayed(_evaluate)(candidate, X, y, domain, fold, scorers, candidate is plain)
        for fold in folds
        for candidate in (*candidates, plain)
    )
    table = np.array(found).reshape(len(folds), len(candidates) + 1, len(scorers) + 1)
    scores = {scorer.name: table[:, :-1, column].T.copy() for column, scorer in enumerate(scorers)}
    return AdaptationReport(names, scores, table[:, :-1, -1].T.copy(), table[:, -1, -1].copy())


def _evaluate(
    candidate: Any,
    X: Any,
    y: np.ndarray,
    domain: np.ndarray,
    fold: tuple[np.ndarray, np.ndarray],
    scorers: list[DomainScorer],
    is_plain: bool,
) -> list[float]:
    """Scores of one candidate on one split, the accuracy on the target last."""
    train, test = fold
    if is_plain:
        train = train[is_source(domain[train])]
    with warnings.catch_warnings():
        if is_plain:
            warnings.simplefilter("ignore", NoAdaptationWarning)
        fitted = fit_masked(clone(candidate), _safe_indexing(X, train), y[train], domain[train])
    outputs = Outputs(fitted, _safe_indexing(X, test), y[test], domain[test])
    chosen = [float("nan") if is_plain else s.score_outputs(outputs) for s in scorers]
    return [*chosen, target_accuracy.score_outputs(outputs)]


def _candidates(given: Any) -> tuple[list[str], list[Any], Any]:
    """Names, estimators, and what to train on source rows alone."""
    plain = None
    if hasattr(given, "estimator") and hasattr(given, "refit"):
        if hasattr(given, "param_grid"):
            settings = list(ParameterGrid(given.param_grid))
        else:
            settings = list(
                ParameterSampler(
                    given.param_distributions,
                    given.n_iter,
                    random_state=integer_seed(given.random_state),
                )
            )
        names = [", ".join(f"{k}={_shown(v)}" for k, v in one.items()) for one in settings]
        found = [
            clone(given.estimator).set_params(**clone(setting, safe=False)) for setting in settings
        ]
        plain = given.estimator
    elif isinstance(given, Mapping):
        names, found = [str(name) for name in given], list(given.values())
    elif isinstance(given, Sequence) and not isinstance(given, str):
        found = list(given)
        names = [f"{i}: {type(each).__name__}" for i, each in enumerate(found)]
    else:
        raise TypeError(
            f"search_or_estimators is {given!r}; give a search, or a dict or list of classifiers."
        )
    if not found:
        raise TypeError("search_or_estimators holds no candidate; give one or more.")
    for name, candidate in zip(names, found, strict=True):
        _check_classifier(candidate, f"candidate {name!r}")
    return names, found, clone(found[0] if plain is None else plain)


def _shown(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    return f"{value:.4g}" if isinstance(value, float) else repr(value)


def _check_classifier(estimator: Any, name: str) -> None:
    if isinstance(estimator, type) or not hasattr(estimator, "fit"):
        raise TypeError(f"{name} is {estimator!r}; give an instance of a classifier.")
    if not is_classifier(estimator):
        raise TypeError(f"{name} is {type(estimator).__name__}, no classifier; give one.")


def _scorers(scoring: Any) -> list[DomainScorer]:
    if scoring is None:
        scoring = [name for name in SCORES if name != "target_accuracy"]
    if isinstance(scoring, str | DomainScorer):
        scoring = [scoring]
    found = [each if isinstance(each, DomainScorer) else DomainScorer(each) for each in scoring]
    for scorer in found:
        if scorer.reads_target_labels:
            raise ValueError(
                f"scoring holds {scorer.name!r}, which reads labels of the target and is in the "
                "report as the oracle; give scores that do not."
            )
    if not found:
        raise ValueError("scoring names no score; give 'prediction_entropy', say.")
    return found


def _check_labels(y: Any, domain: np.ndarray) -> np.ndarray:
    y = column_or_1d(y)
    check_consistent_length(domain, y)
    source = is_source(domain, allow_all_target=False)
    if source.all():
        raise ValueError(
            f"sample_domain marks all {len(y)} rows as source; give target rows, below 0, too."
        )
    classes = np.unique(y[source])
    if is_masked(y, source, classes)[~source].all():
        raise ValueError(
            "y holds no label of the source for any target row, but the report compares with the "
            "oracle, which reads them; to choose without labels use a search with scoring=."
        )
    return np.asarray(y)


def _folds(
    cv: Any, X: Any, y: np.ndarray, groups: Any, domain: np.ndarray, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    if isinstance(cv, int):
        cv = DomainStratifiedKFold(cv, shuffle=True, random_state=seed)
    if hasattr(cv, "split"):
        takes = "sample_domain" in signature(cv.split).parameters
        options = {"sample_domain": domain} if takes else {}
        cv = cv.split(np.zeros(len(y)), y, groups, **options)
    return [(np.asarray(train), np.asarray(test)) for train, test in cv]
