"""Scorers for models that adapt to a target of which no labels are known."""

from collections.abc import Callable
from typing import Any

from sklearn.utils.metadata_routing import UNUSED

from .._validation import _MetadataRequester
from ._mixval import mixval_score
from ._outputs import Outputs
from ._source_scores import (
    deep_embedded_validation_score,
    importance_weighted_accuracy_score,
    proxy_a_distance_score,
    source_accuracy_score,
)
from ._target_scores import (
    batch_nuclear_norm_score,
    class_cluster_score,
    information_maximization_score,
    prediction_entropy_score,
    soft_neighborhood_density_score,
    target_accuracy_score,
)

__all__ = [
    "DomainScorer",
    "batch_nuclear_norm",
    "class_cluster",
    "deep_embedded_validation",
    "importance_weighted_accuracy",
    "information_maximization",
    "mixval",
    "prediction_entropy",
    "proxy_a_distance",
    "soft_neighborhood_density",
    "source_accuracy",
    "target_accuracy",
]

# By name: the function, and the rows and labels that it reads.
SCORES: dict[str, tuple[Callable[..., float], tuple[str, ...], str | None]] = {
    "source_accuracy": (source_accuracy_score, ("source",), "source"),
    "importance_weighted_accuracy": (
        importance_weighted_accuracy_score,
        ("source", "target"),
        "source",
    ),
    "deep_embedded_validation": (
        deep_embedded_validation_score,
        ("source", "target"),
        "source",
    ),
    "proxy_a_distance": (proxy_a_distance_score, ("source", "target"), None),
    "prediction_entropy": (prediction_entropy_score, ("target",), None),
    "information_maximization": (information_maximization_score, ("target",), None),
    "soft_neighborhood_density": (soft_neighborhood_density_score, ("target",), None),
    "batch_nuclear_norm": (batch_nuclear_norm_score, ("target",), None),
    "class_cluster": (class_cluster_score, ("target",), None),
    "mixval": (mixval_score, ("target",), None),
    "target_accuracy": (target_accuracy_score, ("target",), "target"),
}


class DomainScorer(_MetadataRequester):
    """Scorer of a fitted classifier on rows of both domains; larger is better.

    An object like those of :func:`sklearn.metrics.make_scorer`, for `scoring` in a search or a
    cross-validation, where ``sample_domain`` reaches it by metadata routing; or to be called.

    Parameters
    ----------
    name : str
        One of "source_accuracy", "importance_weighted_accuracy", "deep_embedded_validation",
        "proxy_a_distance", "prediction_entropy", "information_maximization",
        "soft_neighborhood_density", "batch_nuclear_norm", "class_cluster", "mixval" and
        "target_accuracy", which are also there ready made under these names.
    **options
        `temperature` of "soft_neighborhood_density" (default 0.05), `mix` of "mixval" (0.55, in
        (0.5, 1)), `random_state` of "mixval" and "class_cluster" (0).

    Raises
    ------
    ValueError
        If there is no such score, or an option means nothing.

    Notes
    -----
    Where the estimator has no `predict_proba`, probabilities are the softmax of its decision
    values. The embedding is what the last layer of a network, or the last step of a Pipeline, sees.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sktl.model_selection import DomainScorer
    >>> X, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), ["no", "no", "yes", "yes"]
    >>> clf = LogisticRegression().fit(X, y)
    >>> DomainScorer("source_accuracy")(clf, X, y, sample_domain=[1, 1, 1, -1])
    1.0
    >>> round(DomainScorer("mixval", mix=0.6)(clf, X), 2)
    0.88
    """

    # The first argument of a scorer is no metadata.
    __metadata_request__score = {"estimator": UNUSED, "sample_domain": True}

    def __init__(self, name: str, **options: Any) -> None:
        if name not in SCORES:
            raise ValueError(f"name={name!r} is no score; give one of {', '.join(SCORES)}.")
        _check_options(name, options)
        self.name = name
        self.options = options

    @property
    def reads_target_labels(self) -> bool:
        """Whether it is the oracle, which no choice may be made by."""
        return SCORES[self.name][2] == "target"

    def score(self, estimator: Any, X: Any, y: Any = None, sample_domain: Any = None) -> float:
        """Score a fitted classifier, as calling the scorer does.

        Parameters
        ----------
        estimator : classifier
            Fitted.
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows of both domains.
        y : array-like of shape (n,), default=None
            Labels; those of target rows may be masked.
        sample_domain : array-like of int of shape (n,), default=None
            0 and above for source rows, below 0 for target rows; without it all are target rows.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If rows or labels that the score reads are missing.
        """
        return self.score_outputs(Outputs(estimator, X, y, sample_domain))

    def __call__(self, estimator: Any, X: Any, y: Any = None, sample_domain: Any = None) -> float:
        """Score a fitted classifier; see :meth:`score`."""
        return self.score(estimator, X, y, sample_domain)

    def score_outputs(self, outputs: Outputs) -> float:
        """Score what an estimator said of rows, computed once for several scores."""
        score, sides, labels = SCORES[self.name]
        for side in sides:
            outputs.need(side, self.name)
        if labels:
            outputs.labels(labels)
        return score(outputs, **self.options)

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"DomainScorer({self.name!r}{options})"


def _check_options(name: str, options: dict[str, Any]) -> None:
    known = {
        "soft_neighborhood_density": {"temperature"},
        "mixval": {"mix", "random_state"},
        "class_cluster": {"random_state"},
    }.get(name, set())
    for option, value in options.items():
        if option not in known:
            takes = f"takes {', '.join(sorted(known))}" if known else "takes no options"
            raise ValueError(f"{option}={value!r} is no option of {name!r}, which {takes}.")
        if option == "temperature" and not value > 0:
            raise ValueError(f"temperature={value!r}; give a number above 0.")
        if option == "mix" and not 0.5 < value < 1:
            raise ValueError(f"mix={value!r}; give a number between 0.5 and 1.")


source_accuracy = DomainScorer("source_accuracy")
importance_weighted_accuracy = DomainScorer("importance_weighted_accuracy")
deep_embedded_validation = DomainScorer("deep_embedded_validation")
proxy_a_distance = DomainScorer("proxy_a_distance")
prediction_entropy = DomainScorer("prediction_entropy")
information_maximization = DomainScorer("information_maximization")
soft_neighborhood_density = DomainScorer("soft_neighborhood_density")
batch_nuclear_norm = DomainScorer("batch_nuclear_norm")
class_cluster = DomainScorer("class_cluster")
mixval = DomainScorer("mixval")
target_accuracy = DomainScorer("target_accuracy")
