"""Maximum mean discrepancy with several Gaussian kernels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ._checks import check_pair

__all__ = ["mean_kernel", "mmd2", "signed_weights"]

# exp of less is below float64's resolution of 1, and soon a subnormal number, which is slow.
_LOWEST = -41.0
# Pairs of rows at once: what they need for 33 kernels stays in a processor's cache.
_PAIRS_AT_ONCE = 2**12
# 2^-8, 2^-7.5, ... 2^8 of Long et al. 2015.
_RATES = [2.0 ** (u / 2) for u in range(-16, 17)]


class _MeanKernel(torch.autograd.Function):
    """Mean of exp(-rate * distance) over all rates, for all pairs of rows.

    It is symmetric, and 1 where a row meets itself: only pairs above the diagonal are computed.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, bandwidths: str | float | Sequence[float]) -> Tensor:
        n = len(rows)
        rows = rows - rows.mean(dim=0)  # a common offset would cost digits
        norms = rows.square().sum(dim=1)
        distance = torch.addmm(norms, rows, rows.T, alpha=-2).add_(norms[:, None])
        first, second = torch.triu_indices(n, n, 1, device=rows.device)
        place = first * n + second
        pairs = distance.view(-1).index_select(0, place).clamp_(min=0)
        if isinstance(bandwidths, str) and bandwidths == "median":
            rates = rows.new_tensor(_RATES) / _median(pairs)
        else:
            rates = rows.new_tensor(_explicit_rates(bandwidths))
        kernel, slope = _mean_and_slope(pairs, rates)
        ctx.save_for_backward(rows, place, slope)
        return _symmetric(kernel, place, n).fill_diagonal_(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        rows, place, slope = ctx.saved_tensors
        pairs = (grad + grad.T).view(-1).index_select(0, place).mul_(slope)
        change = _symmetric(pairs, place, len(rows))
        # The squared distance of rows i and j has the derivative 2 (x_i - x_j) in x_i.
        return 2 * (change.sum(1, keepdim=True) * rows - change @ rows), None


def _mean_and_slope(pairs: Tensor, rates: Tensor) -> Tensor:
    """Mean of exp(-rate * distance) and its derivative, shape (2, n_pairs)."""
    shares = torch.stack([torch.ones_like(rates), -rates]) / len(rates)
    at_once = _PAIRS_AT_ONCE if pairs.is_cpu else len(pairs)
    parts = [
        shares @ torch.outer(-rates, part).clamp_(min=_LOWEST).exp_()
        for part in pairs.split(at_once)
    ]
    return torch.cat(parts, dim=1)


def _symmetric(pairs: Tensor, place: Tensor, n: int) -> Tensor:
    """(n, n) matrix of pairs above the diagonal, of which it has zeros."""
    upper = pairs.new_zeros(n * n).index_copy_(0, place, pairs).view(n, n)
    return upper + upper.T


def _median(pairs: Tensor) -> Tensor:
    """Median of distances; never zero."""
    scale = _lower_median(pairs)
    scale = torch.where(scale > 0, scale, pairs.mean())
    return torch.where(scale > 0, scale, 1)


def _lower_median(values: Tensor) -> Tensor:
    """As Tensor.median; on a CPU by numpy, which takes a tenth of the time."""
    if not values.is_cpu:
        return values.median()
    middle = (len(values) - 1) // 2
    return values.new_tensor(np.partition(values.numpy(), middle)[middle])


def _explicit_rates(bandwidths: str | float | Sequence[float]) -> list[float]:
    """1 / (2 sigma²) for each sigma."""
    try:
        sigmas = [float(sigma) for sigma in np.ravel(bandwidths)]
    except (TypeError, ValueError):
        sigmas = []
    if not sigmas or not all(0 < sigma < float("inf") for sigma in sigmas):
        raise ValueError(
            f"bandwidths={bandwidths!r}; give 'median' or positive, finite standard "
            "deviations such as (0.5, 1.0, 2.0)."
        )
    return [0.5 / sigma**2 for sigma in sigmas]


def mmd2(
    source: Tensor,
    target: Tensor,
    bandwidths: str | float | Sequence[float] = "median",
    source_weight: Tensor | None = None,
) -> Tensor:
    r"""Squared maximum mean discrepancy between two sets of rows.

    The kernel is the plain mean of Gaussians,

    .. math:: k(x, y) = \frac{1}{U} \sum_{u=1}^{U} \exp(-\|x - y\|^2 / (2 \sigma_u^2)),

    and the estimate is the biased one (equation 5 of [1]_, all pairs, each row with itself
    too): zero for equal sets, never negative beyond rounding, defined for a single row.

    Parameters
    ----------
    source : Tensor of shape (n_source, n_features)
        Source embeddings, at least one row.
    target : Tensor of shape (n_target, n_features)
        Target embeddings, at least one row.
    bandwidths : "median", float or sequence of float, default="median"
        Standard deviations :math:`\sigma_u`, in the unit of the embeddings. "median" takes
        the 33 kernels of [2]_: :math:`2 \sigma_u^2 = 2^{u/2} m`, u = -16 ... 16, where m is
        the median of the squared distances between different rows of both sets. No gradient
        flows through m. Where m is zero the mean takes its place.
    source_weight : Tensor of shape (n_source,), default=None
        Weights of the source rows, at least 0; they are divided by their sum. Where all are
        0 so is the result.

    Returns
    -------
    Tensor of shape ()
        The squared discrepancy, between 0 and 2.

    References
    ----------
    .. [1] Gretton, Borgwardt, Rasch, Schölkopf and Smola, "A kernel two-sample test", Journal
       of Machine Learning Research 13, 2012.
    .. [2] Long, Cao, Wang and Jordan, "Learning transferable features with deep adaptation
       networks", ICML 2015, section 4 and 5.

    Examples
    --------
    >>> import torch
    >>> from sktl.losses import mmd2
    >>> source = torch.tensor([[0.0], [1.0]])
    >>> round(mmd2(source, source).item(), 6)
    0.0
    >>> round(mmd2(source, source + 3, bandwidths=1.0).item(), 3)
    1.528
    """
    source, target = check_pair(source, target)
    signed = signed_weights(source, target, source_weight)
    kernel = mean_kernel(torch.cat([source, target]), bandwidths)
    with torch.autocast(source.device.type, enabled=False):
        return signed @ kernel @ signed


def mean_kernel(rows: Tensor, bandwidths: str | float | Sequence[float]) -> Tensor:
    """Kernel of :func:`mmd2` for all pairs of rows: (n, n)."""
    with torch.autocast(rows.device.type, enabled=False):
        return _MeanKernel.apply(rows, bandwidths)  # type: ignore[no-any-return]


def signed_weights(source: Tensor, target: Tensor, source_weight: Tensor | None) -> Tensor:
    """Weights of source rows, then those of target rows below zero; both sum to 1 in size."""
    if source_weight is None:
        source_weight = source.new_ones(len(source))
    elif source_weight.shape != source.shape[:1]:
        raise ValueError(
            f"source_weight has shape {tuple(source_weight.shape)} but source has "
            f"{len(source)} rows; give one weight per row."
        )
    total = source_weight.to(source).sum()
    weight = source_weight.to(source) / torch.where(total > 0, total, 1)
    # Or both to 0, without any weight.
    return torch.cat([weight, -(total > 0).to(target).expand(len(target)) / len(target)])
