"""Several layers as one: standardised, then side by side, averaged or weighted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length

from .._domains import check_sample_domain, is_source
from .._validation import _check_y

__all__ = [
    "FUSIONS",
    "Fusion",
    "LayerFusion",
    "check_labels",
    "check_widths",
    "layer_weights",
    "learn_fusion",
]

Fusion = Literal["concat", "mean", "weighted"]
FUSIONS = ("concat", "mean", "weighted")

# Deviations of so many units in the last place of the mean are rounding.
ROUNDING = 4 * float(np.finfo(np.float32).eps)
MAX_ITERATIONS = 1000


@dataclass(frozen=True)
class LayerFusion:
    """What is done to the columns of several layers.

    Parameters
    ----------
    columns : tuple of int
        Number of columns of each layer.
    center, scale : ndarray of float64 of shape (n_columns,)
        Subtracted from, and divided out of, each column.
    weights : ndarray of float64 of shape (n_layers,) or None
        Of the sum of layers; None leaves them side by side.
    """

    columns: tuple[int, ...]
    center: np.ndarray
    scale: np.ndarray
    weights: np.ndarray | None

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Rows (n_rows, n_columns) fused, float32."""
        standardised = (rows - self.center) / self.scale
        if self.weights is None:
            return standardised.astype(np.float32)
        layers = np.split(standardised, np.cumsum(self.columns)[:-1], axis=1)
        # Term by term: a matrix product may round by the number of rows.
        return sum(w * z for w, z in zip(self.weights, layers, strict=True)).astype(np.float32)


class _Moments:
    """Mean and deviation of columns, block by block.

    Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
    variances", COMPSTAT 1982.
    """

    def __init__(self, n_columns: int) -> None:
        self.count = 0
        self.mean = np.zeros(n_columns)
        self.squares = np.zeros(n_columns)

    def add(self, block: np.ndarray, mean: np.ndarray) -> None:
        """Add rows (m, n_columns) with the mean `mean`."""
        total = self.count + len(block)
        shift = mean - self.mean
        self.squares += np.square(block - mean).sum(0)
        self.squares += np.square(shift) * (self.count * len(block) / total)
        self.mean += shift * (len(block) / total)
        self.count = total

    def scale(self) -> np.ndarray:
        """Deviation of each column; 1 where it is constant."""
        deviation = np.sqrt(self.squares / self.count)
        return np.where(deviation > ROUNDING * np.abs(self.mean), deviation, 1.0)


def learn_fusion(
    fusion: Fusion,
    columns: Sequence[int],
    rows: Iterable[np.ndarray],
    labels: np.ndarray | None = None,
) -> LayerFusion:
    """Learn the statistics of columns, and the weights of layers if they are asked for.

    Parameters
    ----------
    fusion : {"concat", "mean", "weighted"}
    columns : sequence of int
        Number of columns of each layer.
    rows : iterable of ndarray of shape (n_frames_i, n_columns)
        The frames of each row, one if they were pooled. Rows with NaN are left out. The result
        does not depend on how many rows are computed at once.
    labels : ndarray of int of shape (n_rows,), default=None
        Classes, as `check_labels` gives them; only for "weighted".

    Returns
    -------
    LayerFusion
    """
    moments = _Moments(sum(columns))
    means: list[np.ndarray] = []
    kept: list[int] = []
    for number, frames in enumerate(rows):
        block = frames.astype(np.float64)
        if np.isnan(block).any():
            continue
        mean = block.mean(0)
        moments.add(block, mean)
        if labels is not None and labels[number] >= 0:
            means.append(mean)
            kept.append(number)
    if not moments.count:
        raise ValueError(
            "None of the rows of X could be read: there is nothing to standardise the layers by."
        )
    center, scale = moments.mean, moments.scale()
    weights = None
    if fusion == "mean":
        weights = np.full(len(columns), 1.0 / len(columns))
    elif fusion == "weighted":
        assert labels is not None
        # The mean over frames and the weighted sum may change places.
        standardised = (np.reshape(means, (-1, len(center))) - center) / scale
        layers = np.split(standardised, np.cumsum(columns)[:-1], axis=1)
        weights = layer_weights(layers, labels[kept])
    return LayerFusion(tuple(columns), center, scale, weights)


def layer_weights(layers: Sequence[np.ndarray], y: Any, C: float = 1.0) -> np.ndarray:
    """Weights of a sum of layers by which a linear head tells classes apart best.

    The weighted sum of hidden states of Yang et al., "SUPERB: speech processing universal
    performance benchmark", Interspeech 2021: the softmax of one number per layer, learned together
    with a multinomial logistic regression on the sum, in float64.

    Parameters
    ----------
    layers : sequence of array-like of shape (n_rows, n_columns)
        Rows of each layer, standardised: all columns of mean 0 and deviation 1.
    y : array-like of shape (n_rows,)
        Classes, two at least.
    C : float, default=1.0
        Inverse strength of the L2 penalty on the head, as in scikit-learn's LogisticRegression.

    Returns
    -------
    ndarray of shape (n_layers,)
        Positive; they sum to one.

    Examples
    --------
    The second of two layers knows the classes:

    >>> import numpy as np
    >>> from sktl.embedding import layer_weights
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(100) % 2
    >>> layers = [rng.normal(size=(100, 3)), rng.normal(size=(100, 3)) + 3 * y[:, None]]
    >>> layer_weights(layers, y).round(1)
    array([0., 1.])
    """
    stack = np.stack([np.asarray(layer, dtype=np.float64) for layer in layers])
    classes, labels = np.unique(np.asarray(y), return_inverse=True)
    if stack.ndim != 3 or labels.shape != stack.shape[1:2]:
        raise ValueError(
            f"The layers together have shape {stack.shape} and y has shape {np.shape(y)}; give "
            "layers of shape (n_rows, n_columns) and y of shape (n_rows,)."
        )
    _check_several(classes)
    n_layers, n_rows, n_columns = stack.shape
    n_classes = len(classes)
    targets = np.eye(n_classes)[labels]
    penalty = 1.0 / (C * n_rows)
    bounds = np.cumsum([n_layers, n_columns * n_classes])

    def objective(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        logits, flat, bias = np.split(parameters, bounds)
        head, weights = flat.reshape(n_columns, n_classes), softmax(logits)
        fused = np.tensordot(weights, stack, 1)
        log_proba = log_softmax(fused @ head + bias, axis=1)
        loss = 0.5 * penalty * flat @ flat - (targets * log_proba).sum() / n_rows
        error = (np.exp(log_proba) - targets) / n_rows
        by_weight = np.tensordot(stack, error @ head.T, 2)
        gradient = (
            weights * (by_weight - weights @ by_weight),
            (fused.T @ error + penalty * head).ravel(),
            error.sum(0),
        )
        return loss, np.concatenate(gradient)

    start = np.zeros(bounds[-1] + n_classes)
    found = minimize(
        objective, start, jac=True, method="L-BFGS-B", options={"maxiter": MAX_ITERATIONS}
    )
    return softmax(found.x[:n_layers])


def check_widths(fusion: str, layers: Sequence[int], widths: Sequence[int], name: str) -> None:
    """Refuse to add layers of different widths, and say which could be."""
    if fusion == "concat" or len(set(widths)) == 1:
        return
    found = ", ".join(f"{layer}: {width}" for layer, width in zip(layers, widths, strict=True))
    agreeing = [
        [layer for layer, other in zip(layers, widths, strict=True) if other == width]
        for width in dict.fromkeys(widths)
    ]
    groups = [f"layers={group}" for group in agreeing if len(group) > 1]
    advice = f"give {' or '.join(groups)}, or fusion='concat'" if groups else "use fusion='concat'"
    raise ValueError(
        f"fusion={fusion!r} adds layers of one width, but the blocks of {name} have different "
        f"ones ({found}); {advice}."
    )


def check_labels(y: Any, sample_domain: Any, n_rows: int) -> np.ndarray:
    """Classes counted from 0; -1 for target rows, whose labels are not read."""
    if y is None:
        raise ValueError(
            "PretrainedEmbedding with fusion='weighted' requires y to be passed, but the target y "
            "is None: the weights of the layers are learned from labels. fusion='mean' and "
            "fusion='concat' need none."
        )
    source = is_source(check_sample_domain(sample_domain, n_rows), allow_all_target=False)
    given = column_or_1d(y, warn=True)
    check_consistent_length(source, given)
    known = _check_y(given[source])
    check_classification_targets(known)
    classes, codes = np.unique(known, return_inverse=True)
    _check_several(classes)
    labels = np.full(n_rows, -1)
    labels[source] = codes
    return labels


def _check_several(classes: np.ndarray) -> None:
    if len(classes) < 2:
        raise ValueError(
            f"y holds {'1 class' if len(classes) else 'no class'}; the weights of layers are "
            "learned by telling classes apart: give two at least, in rows that can be read."
        )
