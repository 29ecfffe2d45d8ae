"""What a fitted classifier says of rows of both domains, computed when it is asked for."""

from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_consistent_length, column_or_1d

from .._domains import check_sample_domain, is_source
from .._validation import _num_samples
from ._calls import call, embed, unwrap

__all__ = ["Outputs", "a_distance", "odds_of_target"]

N_FOLDS = 5
# How near to 0 or 1 a probability may come, so that odds stay finite.
SMALLEST = 1e-6


class Outputs:
    """Probabilities, embedding and labels of the rows that a scorer is given.

    Parameters
    ----------
    estimator : classifier
        Fitted.
    X : array-like of shape (n, ...) or sequence of clips or paths of length n
        Rows of the source, the target, or both.
    y : array-like of shape (n,) or None
        Labels.
    sample_domain : array-like of int of shape (n,), default=None
        Without it every row counts as a target row, as in `predict`.
    """

    def __init__(self, estimator: Any, X: Any, y: Any = None, sample_domain: Any = None) -> None:
        self.estimator = unwrap(estimator)
        self.X = X
        n = _num_samples(X)
        if sample_domain is None:
            self.domain = np.full(n, -1)
        else:
            self.domain = check_sample_domain(sample_domain, n)
        self.source = is_source(self.domain)
        self.target = ~self.source
        self.y = None if y is None else column_or_1d(y)
        if self.y is not None:
            check_consistent_length(self.domain, self.y)

    def need(self, side: str, who: str) -> None:
        """Refuse rows among which the source or the target is missing."""
        mask = self.source if side == "source" else self.target
        if mask.any():
            return
        sign = "0 and above" if side == "source" else "below 0"
        raise ValueError(
            f"{who} needs {side} rows, but none of the {len(mask)} rows it was given is one; pass "
            f"sample_domain ({sign} for {side} rows), in a search by "
            "sklearn.set_config(enable_metadata_routing=True), and keep rows of both domains in "
            "every fold, as DomainStratifiedKFold does."
        )

    @cached_property
    def classes(self) -> np.ndarray:
        """Labels that can be predicted, in the order of the probabilities."""
        last = getattr(self.estimator, "steps", [("", self.estimator)])[-1][1]
        wrapped: Any = getattr(last, "base_estimator_", None)  # what skada puts around each step
        for each in (self.estimator, last, wrapped):
            if hasattr(each, "classes_"):
                return np.asarray(each.classes_)
        raise ValueError(f"{self.estimator!r} has no classes_; give a classifier that was fitted.")

    @cached_property
    def _of_network(self) -> tuple[Any, Any] | None:
        """Embedding and logits of a network, which it gives in one pass."""
        last = getattr(self.estimator, "steps", [("", self.estimator)])[-1][1]
        return self._call("_infer") if hasattr(last, "_infer") else None

    @cached_property
    def log_proba(self) -> np.ndarray:
        """Logarithms of the class probabilities (n, n_classes); of decision values, softmax."""
        if self._of_network is not None:
            return np.asarray(log_softmax(np.asarray(self._of_network[1], np.float64), axis=1))
        if hasattr(self.estimator, "predict_proba"):
            proba = np.asarray(self._call("predict_proba"), np.float64)
            with np.errstate(divide="ignore"):
                return np.log(proba).clip(min=np.log(np.finfo(float).tiny))
        if not hasattr(self.estimator, "decision_function"):
            raise ValueError(
                f"{type(self.estimator).__name__} has neither predict_proba nor "
                "decision_function; give a classifier that says how sure it is."
            )
        values = np.asarray(self._call("decision_function"), np.float64)
        if values.ndim == 1:
            values = np.stack([-values, values], axis=1) / 2
        return np.asarray(log_softmax(values, axis=1))

    @property
    def proba(self) -> np.ndarray:
        return np.exp(self.log_proba)

    @cached_property
    def predicted(self) -> np.ndarray:
        """Labels (n,)."""
        if self._of_network is not None:
            return np.asarray(self.classes[np.asarray(self._of_network[1]).argmax(axis=1)])
        return np.asarray(self._call("predict"))

    @cached_property
    def embedding(self) -> np.ndarray:
        """What the last layer or step sees (n, n_features), or probabilities."""
        if self._of_network is not None:
            return np.asarray(self._of_network[0], np.float64)
        found = embed(self.estimator, self.X, self.domain)
        return self.proba if found is None else np.asarray(found, np.float64)

    @cached_property
    def odds(self) -> np.ndarray:
        """p_T / p_S at each row of the embedding."""
        return odds_of_target(self.embedding, self.source)

    @cached_property
    def source_losses(self) -> np.ndarray:
        """Cross-entropy of each source row."""
        classes = self.classes.tolist()
        column = {label: i for i, label in enumerate(classes)}
        logs = self.log_proba[self.source]
        unknown = np.log(np.finfo(float).tiny)
        return -np.array(
            [
                row[column[label]] if label in column else unknown
                for row, label in zip(logs, self.labels("source").tolist(), strict=True)
            ]
        )

    def labels(self, side: str) -> np.ndarray:
        """Labels of the rows of one side."""
        if self.y is None:
            raise ValueError(f"y is None; give labels, of which those of {side} rows are read.")
        return np.asarray(self.y[self.source if side == "source" else self.target])

    def _call(self, method: str) -> Any:
        return call(self.estimator, method, self.X, self.domain)


def odds_of_target(rows: np.ndarray, source: np.ndarray) -> np.ndarray:
    """p_T(x) / p_S(x) at each row, by logistic regressions that were not fitted to it.

    Both domains weigh alike whatever their sizes, so the odds are the ratio of densities (Bickel
    et al., 2009). Rows are told apart by models of the other folds: a model's own rows would look
    easier than they are where features are many.
    """
    counts = np.bincount(source.astype(int), minlength=2)
    n_folds = min(N_FOLDS, counts.min())
    model = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000)
    )
    if n_folds < 2:
        return np.ones(len(rows))
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=0)
    proba = cross_val_predict(model, rows, ~source, cv=folds, method="predict_proba")[:, 1]
    proba = proba.clip(SMALLEST, 1 - SMALLEST)
    return np.asarray(proba / (1 - proba))


def a_distance(odds: np.ndarray, source: np.ndarray) -> float:
    """2 (1 - 2 ε), with ε the mean over both domains of the share that is told wrongly."""
    says_target = odds > 1
    error = (says_target[source].mean() + (~says_target[~source]).mean()) / 2
    return float(2 * (1 - 2 * error))
