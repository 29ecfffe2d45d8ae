"""Entropy of predictions."""

from torch import Tensor
from torch.nn import functional

from ._checks import check_matrix

__all__ = ["entropy"]


def entropy(logits: Tensor) -> Tensor:
    """Mean Shannon entropy of the softmax of each row, in nats.

    Minimised over target rows it moves the decision boundary out of dense regions.

    Parameters
    ----------
    logits : Tensor of shape (n, n_classes)
        Class scores before the softmax.

    Returns
    -------
    Tensor of shape ()
        The entropy, between 0 and ``log(n_classes)``.

    References
    ----------
    .. [1] Grandvalet and Bengio, "Semi-supervised learning by entropy minimization", NIPS
       2004, equation 6.

    Examples
    --------
    >>> import torch
    >>> from sktl.losses import entropy
    >>> entropy(torch.zeros(4, 2))
    tensor(0.6931)
    """
    log_p = functional.log_softmax(check_matrix("logits", logits), dim=1)
    return -(log_p.exp() * log_p).sum(dim=1).mean()
