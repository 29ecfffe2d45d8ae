"""Adversarial adaptation: gradient reversal, the domain loss and its schedule."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ._checks import check_matrix

__all__ = ["dann_schedule", "domain_cross_entropy", "gradient_reversal", "multilinear_map"]


class _Reversal(torch.autograd.Function):
    """Identity whose gradient is multiplied by -scale."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad * -ctx.scale, None


def gradient_reversal(x: Tensor, scale: float = 1.0) -> Tensor:
    """Return `x` as it is and send its gradient back times ``-scale``.

    Parameters
    ----------
    x : Tensor of any shape
        What the domain classifier sees.
    scale : float, default=1.0
        How strongly the layers below learn to confuse the domains.

    Returns
    -------
    Tensor
        `x`, same shape and values.

    References
    ----------
    .. [1] Ganin et al., "Domain-adversarial training of neural networks", Journal of Machine
       Learning Research 17, 2016, equations 17 and 18.

    Examples
    --------
    >>> import torch
    >>> from sktl.losses import gradient_reversal
    >>> x = torch.ones(2, requires_grad=True)
    >>> gradient_reversal(x, 0.5).sum().backward()
    >>> x.grad
    tensor([-0.5000, -0.5000])
    """
    return _Reversal.apply(x, float(scale))


def domain_cross_entropy(
    logits: Tensor, domain: Tensor, sample_weight: Tensor | None = None
) -> Tensor:
    """Cross-entropy of telling source rows from target rows, or each of several domains.

    The mean over the source rows plus the mean over the target rows (equation 9 of [1]_), so
    that neither domain counts more for having more rows. Chance is ``2 log 2 = 1.386``. A
    domain without rows adds nothing. Of K domains it is the mean over their means, twice, so
    that chance is ``2 log K``.

    Parameters
    ----------
    logits : Tensor of shape (n,), (n, 1) or (n, n_domains)
        Log-odds of being a target row: one number per row, before any sigmoid; or a score for
        each domain, before the softmax.
    domain : Tensor of shape (n,)
        Integers, 0 and above for source rows and below 0 for target rows; or booleans, True
        for source rows. With a score for each domain: its number, from 0 on.
    sample_weight : Tensor of shape (n,), default=None
        Weights of the rows, at least 0; each domain's mean is weighted by them.

    Returns
    -------
    Tensor of shape ()
        The loss, at least 0.

    References
    ----------
    .. [1] Ganin et al., "Domain-adversarial training of neural networks", Journal of Machine
       Learning Research 17, 2016.

    Examples
    --------
    >>> import torch
    >>> from sktl.losses import domain_cross_entropy
    >>> round(domain_cross_entropy(torch.zeros(3, 1), torch.tensor([1, 1, -1])).item(), 3)
    1.386
    """
    if logits.ndim == 2 and logits.shape[1] == 1:
        logits = logits[:, 0]
    if logits.ndim not in (1, 2):
        raise ValueError(
            f"logits has shape {tuple(logits.shape)}; give one log-odds per row, "
            "shape (n,) or (n, 1), or a score for each domain, shape (n, n_domains)."
        )
    for name, value in (("domain", domain), ("sample_weight", sample_weight)):
        if value is not None and value.shape != logits.shape[:1]:
            raise ValueError(
                f"{name} has shape {tuple(value.shape)} but logits has {len(logits)} rows; "
                "give one value per row."
            )
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    if logits.ndim == 2:
        return _of_several(logits, domain, sample_weight)
    target = (~domain if domain.dtype == torch.bool else domain < 0).to(logits.dtype)
    share = _shares(torch.stack([1 - target, target]), sample_weight).sum(0)
    return functional.binary_cross_entropy_with_logits(logits, target, share, reduction="sum")


def _of_several(logits: Tensor, domain: Tensor, sample_weight: Tensor | None) -> Tensor:
    members = functional.one_hot(domain.long(), logits.shape[1]).T.to(logits.dtype)
    share = _shares(members, sample_weight).sum(0) * (2 / len(members))
    return share @ functional.cross_entropy(logits, domain.long(), reduction="none")


def _shares(members: Tensor, sample_weight: Tensor | None) -> Tensor:
    """Weights (n_domains, n) that sum to one in each domain that has any."""
    weights = members if sample_weight is None else members * sample_weight.to(members)
    return weights / weights.sum(1, keepdim=True).clamp(min=torch.finfo(members.dtype).tiny)


def multilinear_map(embedding: Tensor, probabilities: Tensor) -> Tensor:
    """Outer product of embedding and class probabilities, row by row, flattened.

    What the domain classifier of CDAN takes in place of the embedding: it sees which features
    go with which class.

    Parameters
    ----------
    embedding : Tensor of shape (n, n_features)
        Embeddings.
    probabilities : Tensor of shape (n, n_classes)
        Class probabilities. Gradients flow through them too; detach them to stop that.

    Returns
    -------
    Tensor of shape (n, n_features * n_classes)
        Column ``i * n_classes + c`` is feature i times probability of class c.

    References
    ----------
    .. [1] Long, Cao, Wang and Jordan, "Conditional adversarial domain adaptation", NeurIPS
       2018, equation 5.

    Examples
    --------
    >>> import torch
    >>> from sktl.losses import multilinear_map
    >>> multilinear_map(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 0.5]]))
    tensor([[0.5000, 0.5000, 1.0000, 1.0000]])
    """
    embedding = check_matrix("embedding", embedding)
    probabilities = check_matrix("probabilities", probabilities)
    if len(embedding) != len(probabilities):
        raise ValueError(
            f"embedding has {len(embedding)} rows but probabilities has {len(probabilities)}; "
            "give one row of each per sample."
        )
    return (embedding[:, :, None] * probabilities[:, None, :]).flatten(1)


def dann_schedule(progress: float) -> float:
    """Weight of the adversary, rising from 0 to 1 over the training.

    Parameters
    ----------
    progress : float
        Share of the training that is done, between 0 and 1.

    Returns
    -------
    float
        ``2 / (1 + exp(-10 * progress)) - 1``.

    References
    ----------
    .. [1] Ganin et al., "Domain-adversarial training of neural networks", Journal of Machine
       Learning Research 17, 2016, section 5.2.2.

    Examples
    --------
    >>> from sktl.losses import dann_schedule
    >>> [round(dann_schedule(progress), 3) for progress in (0, 0.1, 0.5, 1)]
    [0.0, 0.462, 0.987, 1.0]
    """
    if not 0 <= progress <= 1:
        raise ValueError(
            f"progress={progress}; give the share of the training that is done, 0 to 1."
        )
    return 2 / (1 + math.exp(-10 * progress)) - 1
