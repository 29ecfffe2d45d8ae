"""Joint maximum mean discrepancy over several layers, and discrepancies of several domains."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ._checks import check_matrix
from ._mmd import mean_kernel, signed_weights

__all__ = ["jmmd2", "pairwise_jmmd2"]

Widths = str | float | Sequence[float]


def jmmd2(
    source: Sequence[Tensor],
    target: Sequence[Tensor],
    bandwidths: Sequence[Widths] | None = None,
    source_weight: Tensor | None = None,
) -> Tensor:
    r"""Squared discrepancy between joint distributions of what several layers give.

    :func:`mmd2` with the product of a kernel for each layer,

    .. math:: k(x, y) = \prod_\ell k_\ell(x^\ell, y^\ell)

    so that with embeddings and predictions as layers, classes count beside features.

    Parameters
    ----------
    source : sequence of Tensor of shape (n_source, n_features_of_layer)
        A layer each, at least one, of the same rows.
    target : sequence of Tensor of shape (n_target, n_features_of_layer)
        The same layers of target rows.
    bandwidths : sequence of "median", float or sequence of float, default=None
        Kernel widths of each layer, as in :func:`mmd2`; None for "median" everywhere.
    source_weight : Tensor of shape (n_source,), default=None
        Weights of the source rows, at least 0.

    Returns
    -------
    Tensor of shape ()
        The squared discrepancy, between 0 and 2.

    References
    ----------
    .. [1] Long, Zhu, Wang and Jordan, "Deep transfer learning with joint adaptation networks",
       ICML 2017, equation 9; the biased estimate over all pairs.

    Examples
    --------
    >>> import torch
    >>> from sktl.losses import jmmd2, mmd2
    >>> source, target = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [4.0]])
    >>> bool(jmmd2([source], [target]) == mmd2(source, target))
    True
    """
    widths: Sequence[Widths] = ["median"] * len(source) if bandwidths is None else bandwidths
    if not len(source) == len(target) == len(widths) > 0:
        raise ValueError(
            f"source has {len(source)} layers, target {len(target)} and bandwidths "
            f"{len(widths)}; give as many of each, at least one."
        )
    rows = [torch.cat(pair) for pair in zip(source, target, strict=True)]
    signed = signed_weights(source[0], target[0], source_weight)
    return signed @ _product(rows, widths) @ signed


def pairwise_jmmd2(
    layers: Sequence[Tensor],
    domain: Tensor,
    bandwidths: Sequence[Widths],
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Mean of :func:`jmmd2` over all pairs of domains, from one matrix of distances a layer.

    Parameters
    ----------
    layers : sequence of Tensor of shape (n, n_features_of_layer)
        Rows of all domains; with one layer it is the mean of :func:`mmd2`.
    domain : LongTensor of shape (n,)
        Number of each row's domain, from 0 on.
    bandwidths : sequence of "median", float or sequence of float
        Kernel widths of each layer; the median is that of all rows.
    sample_weight : Tensor of shape (n,), default=None
        Weights of the rows, at least 0; within a domain they are divided by their sum.

    Returns
    -------
    Tensor of shape ()
        The mean; 0 where all rows are of one domain. A domain without weight has no part.

    Examples
    --------
    >>> import torch
    >>> from sktl.losses import mmd2, pairwise_jmmd2
    >>> rows, domain = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1])
    >>> torch.isclose(pairwise_jmmd2([rows], domain, ["median"]), mmd2(rows[:2], rows[2:]))
    tensor(True)
    """
    kernel = _product([check_matrix("layers", rows) for rows in layers], bandwidths)
    weight = kernel.new_ones(len(kernel)) if sample_weight is None else sample_weight.to(kernel)
    members = domain == torch.arange(int(domain.max()) + 1, device=domain.device)[:, None]
    shares = members * weight
    total = shares.sum(1, keepdim=True)
    shares = shares / torch.where(total > 0, total, 1)
    n_domains = (total > 0).sum()
    products = shares @ kernel @ shares.T
    # Of d_ij = p_ii + p_jj - 2 p_ij, over all pairs.
    distances = n_domains * products.diagonal().sum() - products.sum()
    n_pairs = n_domains * (n_domains - 1) / 2
    return distances / n_pairs.clamp(min=1)


def _product(layers: Sequence[Tensor], bandwidths: Sequence[Widths]) -> Tensor:
    kernels = [mean_kernel(*each) for each in zip(layers, bandwidths, strict=True)]
    kernel = kernels[0]
    for other in kernels[1:]:
        kernel = kernel * other
    return kernel
