"""Maximum mean discrepancy with several Gaussian kernels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ._checks import check_pair

__all__ = ["mmd2"]

# Rates 2^-8, 2^-7.5, ... 2^8 of Long et al. 2015 as (first rate, length) of doubling chains.
# Short chains: every squaring doubles the relative rounding error.
_MEDIAN_CHAINS: tuple[tuple[float, int], ...] = (
    (2.0**-8, 6),
    (2.0**-7.5, 6),
    (2.0**-2, 6),
    (2.0**-1.5, 6),
    (2.0**4, 5),
    (2.0**4.5, 4),
)

# Below float64's resolution of 1; its square is still a normal float32, subnormals are slow.
_FLOOR = 1e-18


class _MeanKernel(torch.autograd.Function):
    """Mean of exp(-rate * distance) over chains of rates, with its derivative."""

    @staticmethod
    def forward(ctx: Any, distance: Tensor, chains: Sequence[tuple[float, int]]) -> Tensor:
        total, slope = torch.zeros_like(distance), torch.zeros_like(distance)
        for rate, length in chains:
            kernel = torch.mul(distance, -rate).exp_().clamp_(min=_FLOOR)
            for step in range(length):
                if step:
                    kernel.square_().clamp_(min=_FLOOR)
                total.add_(kernel)
                slope.sub_(kernel, alpha=rate * 2**step)
        n_kernels = sum(length for _, length in chains)
        ctx.save_for_backward(slope.div_(n_kernels))
        return total.div_(n_kernels)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return grad * slope, None


def _squared_distances(rows: Tensor) -> Tensor:
    """All squared Euclidean distances, shape (n, n)."""
    rows = rows - rows.detach().mean(dim=0)  # a common offset would cost digits
    norms = rows.square().sum(dim=1)
    return (norms[:, None] + norms - 2 * rows @ rows.T).clamp(min=0)


def _median(distance: Tensor) -> Tensor:
    """Median of the distances between different rows; never zero."""
    n = len(distance)
    pairs = distance.flatten()[1:].view(n - 1, n + 1)[:, :-1]  # all but the diagonal
    scale = pairs.median()
    scale = torch.where(scale > 0, scale, pairs.mean())
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def _explicit_chains(bandwidths: str | float | Sequence[float]) -> tuple[tuple[float, int], ...]:
    """One chain of length 1 for each sigma."""
    try:
        sigmas = [float(sigma) for sigma in np.ravel(bandwidths)]
    except (TypeError, ValueError):
        sigmas = []
    if not sigmas or not all(0 < sigma < float("inf") for sigma in sigmas):
        raise ValueError(
            f"bandwidths={bandwidths!r}; give 'median' or positive, finite standard "
            "deviations such as (0.5, 1.0, 2.0)."
        )
    return tuple((0.5 / sigma**2, 1) for sigma in sigmas)


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
    if source_weight is None:
        source_weight = source.new_ones(len(source))
    elif source_weight.shape != source.shape[:1]:
        raise ValueError(
            f"source_weight has shape {tuple(source_weight.shape)} but source has "
            f"{len(source)} rows; give one weight per row."
        )
    total = source_weight.to(source).sum()
    weight = source_weight.to(source) / torch.where(total > 0, total, 1)
    # Both halves sum to the same, 1 or, without any weight, 0.
    signed = torch.cat([weight, -(total > 0).to(target).expand(len(target)) / len(target)])
    with torch.autocast(source.device.type, enabled=False):
        distance = _squared_distances(torch.cat([source, target]))
        if isinstance(bandwidths, str) and bandwidths == "median":
            chains = _MEDIAN_CHAINS
            distance = distance / _median(distance.detach())
        else:
            chains = _explicit_chains(bandwidths)
        return signed @ _MeanKernel.apply(distance, chains) @ signed
