"""Distance between covariances (Deep CORAL)."""

import torch
from torch import Tensor

from ._checks import check_pair

__all__ = ["coral_loss"]


def _covariance(rows: Tensor) -> Tensor:
    """Covariance over n - 1 rows; zero for a single row."""
    centred = rows - rows.mean(dim=0)
    return centred.T @ centred / max(len(rows) - 1, 1)


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
        difference = _covariance(source) - _covariance(target)
        return difference.square().sum() / (4 * source.shape[1] ** 2)
