"""Distance between covariances (Deep CORAL)."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ._checks import check_pair

__all__ = ["coral_loss"]


class _SquaredDistance(torch.autograd.Function):
    """Squared Frobenius distance of two covariances over n - 1 rows.

    Its gradient takes one product of matrices a side, where autograd would take two.
    """

    @staticmethod
    def forward(ctx: Any, source: Tensor, target: Tensor) -> Tensor:
        source, target = _scaled(source), _scaled(target)
        difference = source.T @ source - target.T @ target
        ctx.save_for_backward(source, target, difference)
        return difference.square().sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        source, target, difference = ctx.saved_tensors
        # Columns of these products sum to zero already, as centring demands.
        return (
            (source @ difference).mul_(4 * grad / _root(source)),
            (target @ difference).mul_(-4 * grad / _root(target)),
        )


def _scaled(rows: Tensor) -> Tensor:
    """Rows whose products make the covariance; zero for a single row."""
    return (rows - rows.mean(dim=0)).div_(_root(rows))


def _root(rows: Tensor) -> float:
    return max(len(rows) - 1, 1) ** 0.5


def coral_loss(source: Tensor, target: Tensor) -> Tensor:
    r"""Squared Frobenius distance between source and target covariance.

    .. math:: \ell = \frac{1}{4 d^2} \|C_S - C_T\|_F^2

    Parameters
    ----------
    source : Tensor of shape (n_source, n_features)
        Source embeddings. The covariance of a single row is zero.
    target : Tensor of shape (n_target, n_features)
        Target embeddings.

    Returns
    -------
    Tensor of shape ()
        The distance, at least 0.

    References
    ----------
    .. [1] Sun and Saenko, "Deep CORAL: correlation alignment for deep domain adaptation",
       ECCV 2016 workshops, equations 1 to 3.

    Examples
    --------
    >>> import torch
    >>> from sktl.losses import coral_loss
    >>> source = torch.tensor([[0.0], [2.0]])
    >>> coral_loss(source, 2 * source)  # variances 2 and 8: 6² / 4
    tensor(9.)
    """
    source, target = check_pair(source, target)
    with torch.autocast(source.device.type, enabled=False):
        distance = _SquaredDistance.apply(source, target)
        return distance / (4 * source.shape[1] ** 2)
