"""Margin disparity discrepancy between a classifier and its rival."""

import torch
from torch import Tensor
from torch.nn import functional

from ._checks import check_matrix

__all__ = ["margin_disparity"]


def margin_disparity(
    logits: Tensor,
    rival: Tensor,
    source: Tensor,
    margin: float = 4.0,
    sample_weight: Tensor | None = None,
) -> Tensor:
    r"""What a rival minimises that agrees with a classifier on source rows and not on target rows.

    With the classes :math:`h(x)` that the classifier predicts and the probabilities
    :math:`p'` of the rival,

    .. math:: \ell = -\gamma\, \mathrm{E}_S \log p'_{h(x)}(x)
        - \mathrm{E}_T \log \bigl(1 - p'_{h(x)}(x)\bigr)

    The lower it can be, the more the domains differ; the body learns to raise it, by
    :func:`gradient_reversal` before the rival.

    Parameters
    ----------
    logits : Tensor of shape (n, n_classes)
        Scores of the classifier, of which only the largest in each row counts.
    rival : Tensor of shape (n, n_classes)
        Scores of the rival.
    source : BoolTensor of shape (n,)
        True for source rows.
    margin : float, default=4.0
        :math:`\gamma`, above 0: the exponential of the margin. The authors took 2 to 4.
    sample_weight : Tensor of shape (n,), default=None
        Weights of the rows, at least 0; each domain's mean is weighted by them.

    Returns
    -------
    Tensor of shape ()
        The loss, at least 0. A domain without rows adds nothing.

    References
    ----------
    .. [1] Zhang, Liu, Long and Jordan, "Bridging theory and algorithm for domain adaptation",
       ICML 2019, equations 27 to 30.

    Examples
    --------
    >>> import torch
    >>> from sktl.losses import margin_disparity
    >>> logits, source = torch.zeros(2, 2), torch.tensor([True, False])
    >>> round(margin_disparity(logits, logits, source, margin=1.0).item(), 3)  # 2 log 2
    1.386
    """
    logits, rival = check_matrix("logits", logits), check_matrix("rival", rival)
    if logits.shape != rival.shape:
        raise ValueError(
            f"rival has shape {tuple(rival.shape)} but logits has {tuple(logits.shape)}; give "
            "scores of the same classes and rows."
        )
    if not 0 < margin < float("inf"):
        raise ValueError(f"margin={margin}; give a finite number above 0.")
    chosen = logits.argmax(1, keepdim=True)
    agreement = functional.log_softmax(rival, dim=1).gather(1, chosen)[:, 0]
    others = rival.scatter(1, chosen, -torch.inf)
    # log(1 - p) of the chosen class, without the difference.
    disagreement = others.logsumexp(1) - rival.logsumexp(1)
    weight = torch.ones_like(agreement) if sample_weight is None else sample_weight.to(agreement)
    return -(margin * _mean(agreement, weight * source) + _mean(disagreement, weight * ~source))


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values @ weight) / weight.sum().clamp(min=torch.finfo(weight.dtype).tiny)
