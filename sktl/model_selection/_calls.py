"""Methods of any estimator, called with domains where it takes them."""

from inspect import Parameter, signature
from itertools import count
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import get_routing_for_object

from .._validation import _safe_indexing
from ..audio import is_clips

__all__ = ["call", "embed", "fit_masked", "unwrap"]


def unwrap(estimator: Any) -> Any:
    """Best estimator of a search that was fitted; any other estimator as it is."""
    return getattr(estimator, "best_estimator_", estimator)


def call(estimator: Any, method: str, X: Any, sample_domain: np.ndarray) -> Any:
    """Result of a method for rows of both domains.

    A Pipeline is gone through step by step, since without metadata routing its transformers are
    told of no domains.
    """
    estimator = unwrap(estimator)
    if type(estimator) is Pipeline:
        rows = _before_last(estimator, X, sample_domain)
        return call(estimator.steps[-1][1], method, rows, sample_domain)
    options = {"sample_domain": sample_domain, "allow_source": True}
    taken = _taken(estimator, method, options)
    return getattr(estimator, method)(X, **{name: options[name] for name in taken})


def embed(estimator: Any, X: Any, sample_domain: np.ndarray) -> np.ndarray | None:
    """What the last layer, or the last step of a Pipeline, sees of each row: 2-D, or None."""
    estimator = unwrap(estimator)
    if type(estimator) is Pipeline:
        rows = _before_last(estimator, X, sample_domain)
        return embed(estimator.steps[-1][1], rows, sample_domain)
    if hasattr(estimator, "_infer"):
        return np.asarray(estimator._infer(X, sample_domain, True)[0])
    if hasattr(X, "toarray"):
        X = X.toarray()
    if is_clips(X) or np.ndim(X) < 2:
        return None
    rows = np.asarray(X)
    if rows.dtype.kind not in "fiub":
        return None
    return rows.reshape(len(rows), -1)


def fit_masked(estimator: Any, X: Any, y: np.ndarray, sample_domain: np.ndarray) -> Any:
    """Fit to rows of both domains without a look at labels of the target.

    What takes no domains but reads labels sees source rows alone. A Pipeline is gone through step
    by step.
    """
    if type(estimator) is Pipeline:
        for _, step in estimator.steps:
            if step is None or step == "passthrough":
                continue
            fit_masked(step, X, y, sample_domain)
            if step is not estimator.steps[-1][1]:
                X = call(step, "transform", X, sample_domain)
        return estimator
    source = sample_domain >= 0
    if _taken(estimator, "fit", {"sample_domain": sample_domain}):
        masked = np.where(source, y, _mask(y[source]))
        return estimator.fit(X, masked, sample_domain=sample_domain)
    if not get_tags(estimator).target_tags.required:
        return estimator.fit(X)
    return estimator.fit(_safe_indexing(X, np.flatnonzero(source)), y[source])


def _mask(labels: np.ndarray) -> Any:
    """Something that is no label, -1 where that is free."""
    if labels.dtype.kind in "OUS":
        known = set(labels.tolist())
        return next(mask for n in count(1) if (mask := "?" * n) not in known)
    return -1 if -1 not in labels else labels.min() - 1


def _before_last(pipeline: Pipeline, X: Any, sample_domain: np.ndarray) -> Any:
    for _, step in pipeline.steps[:-1]:
        if step is not None and step != "passthrough":
            X = call(step, "transform", X, sample_domain)
    return X


def _taken(estimator: Any, method: str, options: dict[str, Any]) -> list[str]:
    parameters = signature(getattr(estimator, method)).parameters
    named = [name for name in options if name in parameters]
    hidden = any(each.kind is Parameter.VAR_KEYWORD for each in parameters.values())
    if named or not (hidden and get_config()["enable_metadata_routing"]):
        return named
    routing = get_routing_for_object(estimator)
    return sorted(routing.consumes(method, list(options)))
