"""Learning from the predictions of another model."""

import math

from torch import Tensor
from torch.nn import functional

from ._checks import check_matrix

__all__ = ["distillation_loss"]


def distillation_loss(
    logits: Tensor, teacher_logits: Tensor, temperature: float = 2.0, reduction: str = "mean"
) -> Tensor:
    r"""Divergence of the student's softened predictions from the teacher's.

    .. math:: \ell = T^2 \sum_k p_k \log \frac{p_k}{q_k},
        \quad p = \mathrm{softmax}(v / T), \quad q = \mathrm{softmax}(z / T)

    for logits z of the student and v of the teacher. The factor T² keeps the gradient from
    falling as the temperature T rises: for a high one it is nearly that of matching logits.

    Parameters
    ----------
    logits : Tensor of shape (n, n_classes)
        Class scores of the student before the softmax.
    teacher_logits : Tensor of shape (n, n_classes)
        Class scores of the teacher, or logarithms of its probabilities; minus infinity for a
        probability of 0.
    temperature : float, default=2.0
        T, above 0.
    reduction : {"mean", "none"}, default="mean"
        Mean over rows, or the divergence of each.

    Returns
    -------
    Tensor of shape () or (n,)
        The divergence, at least 0.

    Raises
    ------
    ValueError
        If the shapes differ, or for another temperature or reduction.

    References
    ----------
    .. [1] Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", NIPS 2014
       deep learning workshop, section 2.

    Examples
    --------
    >>> import torch
    >>> from sktl.losses import distillation_loss
    >>> teacher = torch.tensor([[2.0, 0.0]])
    >>> distillation_loss(teacher, teacher + 5)
    tensor(0.)
    >>> distillation_loss(torch.zeros(1, 2), teacher)
    tensor(0.4438)
    """
    logits = check_matrix("logits", logits)
    teacher_logits = check_matrix("teacher_logits", teacher_logits)
    if logits.shape != teacher_logits.shape:
        raise ValueError(
            f"logits has shape {tuple(logits.shape)} but teacher_logits has "
            f"{tuple(teacher_logits.shape)}; give one score per row and class in both."
        )
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature={temperature!r}; give a number above 0.")
    if reduction not in ("mean", "none"):
        raise ValueError(f"reduction={reduction!r}; give 'mean' or 'none'.")
    aims = functional.softmax(teacher_logits / temperature, dim=1)
    log_q = functional.log_softmax(logits / temperature, dim=1)
    losses = functional.kl_div(log_q, aims, reduction="none").sum(dim=1) * temperature**2
    return losses.mean() if reduction == "mean" else losses
