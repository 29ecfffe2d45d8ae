"""A linear head on a frozen network, solved instead of trained."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from ._batches import RowSet
from ._module import TransferModule
from ._task_heads import TaskHeads

__all__ = ["fill_head", "solve_head"]

ROWS_AT_ONCE = 256

MAX_ITERATIONS = 1000
# Largest entry of the gradient of the mean loss at the end.
TOLERANCE = 1e-6


def solve_head(
    X: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    n_classes: int,
    *,
    weight_decay: float,
    label_smoothing: float = 0.0,
    start: np.ndarray | None = None,
) -> tuple[np.ndarray, float, int]:
    """Minimise the mean cross-entropy plus half of `weight_decay` times the squared weights.

    That is scikit-learn's logistic regression with ``C = 1 / (weight_decay * weight.sum())``; for
    two classes, of which that keeps one row of coefficients, with twice as large a C. The
    intercepts are not penalised.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
    y : ndarray of int of shape (n,)
        Class indices.
    weight : ndarray of shape (n,)
        Of the rows; the loss is their weighted mean.
    n_classes : int
    weight_decay : float
        0 and above.
    label_smoothing : float, default=0.0
        Share of each label that is spread over all classes.
    start : ndarray of shape (n_classes, n_features + 1), default=None
        Where to begin; zeros without it.

    Returns
    -------
    coefficients : ndarray of shape (n_classes, n_features + 1)
        The intercepts are the last column.
    loss : float
        Mean cross-entropy.
    n_iterations : int
    """
    X = np.column_stack([X.astype(np.float64, copy=False), np.ones(len(X))])
    share = weight.astype(np.float64) / weight.sum()
    aims = np.full((len(y), n_classes), label_smoothing / n_classes)
    aims[np.arange(len(y)), y] += 1.0 - label_smoothing
    shape = (n_classes, X.shape[1])

    def losses(coefficients: np.ndarray) -> np.ndarray:
        return log_softmax(X @ coefficients.T, axis=1)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        coefficients = flat.reshape(shape)
        logs = losses(coefficients)
        slopes = coefficients[:, :-1]
        value = -(share @ (aims * logs).sum(1)) + weight_decay / 2 * np.square(slopes).sum()
        gradient = ((np.exp(logs) - aims) * share[:, None]).T @ X
        gradient[:, :-1] += weight_decay * slopes
        return value, gradient.ravel()

    found = minimize(
        objective,
        np.zeros(shape).ravel() if start is None else start.astype(np.float64).ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": MAX_ITERATIONS, "gtol": TOLERANCE, "ftol": 1e-14, "maxcor": 20},
    )
    if found.nit >= MAX_ITERATIONS:
        warnings.warn(
            f"the linear head was not solved in {MAX_ITERATIONS} iterations; give a larger "
            f"weight_decay (it is {weight_decay}).",
            ConvergenceWarning,
            stacklevel=2,
        )
    coefficients = found.x.reshape(shape)
    loss = -float(share @ (aims * losses(coefficients)).sum(1))
    return coefficients, loss, int(found.nit)


def fill_head(
    module: TransferModule,
    rows: RowSet,
    weight_decay: float,
    label_smoothing: float = 0.0,
    from_present: bool = False,
    factors: Sequence[float] | None = None,
) -> tuple[float, int]:
    """Give a network the linear head that is best on the embeddings of source rows.

    Returns the mean loss and the largest number of iterations; `from_present` begins with the
    head as it is, and `factors` are the weights of several tasks.
    """
    index = rows.source.nonzero().squeeze(1)
    parts = [rows.take(part) for part in index.split(ROWS_AT_ONCE)]
    embedding = [module.infer(part.units, rows.start)[0] for part in parts]
    X = torch.cat(embedding).cpu().numpy()
    loss, n_iterations = 0.0, 0
    for layer, y, weight, factor in _layers(module.head, rows, factors):
        present = torch.cat([layer.weight, layer.bias[:, None]], 1).detach().cpu().numpy()
        coefficients, of_layer, n = solve_head(
            X,
            y[index].cpu().numpy(),
            weight[index].cpu().numpy(),
            len(layer.weight),
            weight_decay=weight_decay / factor,
            label_smoothing=label_smoothing,
            start=present if from_present else None,
        )
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(coefficients[:, :-1]))
            layer.bias.copy_(torch.from_numpy(coefficients[:, -1]))
        loss, n_iterations = loss + factor * of_layer, max(n_iterations, n)
    return loss, n_iterations


def _layers(
    head: Any, rows: RowSet, factors: Sequence[float] | None
) -> Iterator[tuple[Any, Tensor, Tensor, float]]:
    """Linear layers that learn, each with its labels, weights of rows, and weight in the sum."""
    if not isinstance(head, TaskHeads):
        yield head, rows.y, rows.weight, 1.0
        return
    for task, layer in enumerate(head.heads):
        factor = 1.0 if factors is None else factors[task]
        if factor > 0:
            yield layer, rows.y[:, task], rows.weight[:, task], factor
