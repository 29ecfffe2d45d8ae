"""How much predictions confuse classes with each other (MCC)."""

import torch
from torch import Tensor

from ._checks import check_matrix

__all__ = ["class_confusion"]


def class_confusion(logits: Tensor, temperature: float = 2.5) -> Tensor:
    r"""Share of the correlation between predictions that lies between different classes.

    With :math:`\hat Y = \mathrm{softmax}(Z / T)` of a batch, rows weighted by how certain they
    are, :math:`w_i \propto 1 + e^{-H(\hat y_i)}` with mean one,

    .. math:: C = \hat Y^\top \mathrm{diag}(w)\, \hat Y, \quad
        \ell = \frac{1}{K} \sum_j \sum_{j' \ne j} \frac{C_{jj'}}{\sum_k C_{jk}}

    Minimised over target rows it makes predictions certain without making them all one class.

    Parameters
    ----------
    logits : Tensor of shape (n, n_classes)
        Class scores before the softmax.
    temperature : float, default=2.5
        T, above 0; the authors' default.

    Returns
    -------
    Tensor of shape ()
        Between 0 and ``1 - 1 / n_classes``. No gradient flows through the weights.

    References
    ----------
    .. [1] Jin, Wang, Long and Wang, "Minimum class confusion for versatile domain adaptation",
       ECCV 2020, equations 2 to 7.

    Examples
    --------
    >>> import torch
    >>> from sktl.losses import class_confusion
    >>> class_confusion(torch.zeros(4, 2))
    tensor(0.5000)
    """
    if not 0 < temperature < float("inf"):
        raise ValueError(f"temperature={temperature}; give a finite number above 0.")
    log_p = torch.log_softmax(check_matrix("logits", logits) / temperature, dim=1)
    p = log_p.exp()
    certainty = 1 + (p * log_p).sum(1, keepdim=True).detach().exp()
    # C_jj / sum_k C_jk is a mean of p_ij with weights w_i p_ij, also where all p_ij are 0.
    weights = torch.softmax(log_p + certainty.log(), dim=0)
    return 1 - (weights * p).sum(0).mean()
