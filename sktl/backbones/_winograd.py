"""Convolutions of 3 × 3 with a quarter of the multiplications."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from ..features._workers import for_each
from ._products import linear, prefers_onednn

__all__ = ["conv3x3"]

# G of F(4, 3): A. Lavin and S. Gray, "Fast algorithms for convolutional neural networks",
# CVPR 2016, section 4.
WEIGHTS = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
# A step between matrices that is a power of two would put them all into the same cache lines.
GAP = 80
# Products of fewer rows than this may round differently.
LEAST_ROWS = 16


def conv3x3(images: Tensor, weight: Tensor, bias: Tensor | None, relu: bool = False) -> Tensor:
    """``conv2d(images, weight, bias, padding=1)`` in float32 on a CPU, channels last.

    An image's result does not depend on the others. Not differentiable.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
    weight : Tensor of shape (n_out, channels, 3, 3)
        Channels and `n_out` are multiples of 16.
    bias : Tensor of shape (n_out,) or None
    relu : bool, default=False
        Whether to take zero for what is negative.

    Returns
    -------
    Tensor of shape (n, n_out, height, width)
    """
    n, channels, height, width = images.shape
    n_out = len(weight)
    out = images.new_empty(n, height, width, n_out)
    factors = _spread(weight)
    offset = (images.new_zeros(n_out) if bias is None else bias).contiguous().numpy()
    tiles = -(-height // 4) * -(-width // 4)
    at_once = max(1, channels * n_out // (channels + n_out) // tiles)

    def convolve(start: int) -> None:
        part = slice(start, start + at_once)
        _convolve(images[part].permute(0, 2, 3, 1), factors, offset, relu, out[part])

    starts = range(0, n, at_once)
    for_each(convolve, starts, min(torch.get_num_threads(), len(starts)))
    return out.permute(0, 3, 1, 2)


def _spread(weight: Tensor) -> Tensor:
    """Weights (n_out, channels, 3, 3) as factors (36, n_out, channels)."""
    both = torch.from_numpy(np.kron(WEIGHTS, WEIGHTS)).to(weight)
    n_out, channels = weight.shape[:2]
    return (both @ weight.reshape(-1, 9).mT).view(36, n_out, channels)


def _convolve(images: Tensor, weights: Tensor, bias: np.ndarray, relu: bool, out: Tensor) -> None:
    """Convolve (n, height, width, channels): fills `out`."""
    from ._winograd_kernel import gather_kernel, scatter_kernel  # slow to import

    n, height, width, channels = images.shape
    rows, columns = -(-height // 4), -(-width // 4)
    padded = pad(images, (0, 0, 1, 4 * columns + 1 - width, 1, 4 * rows + 1 - height)).contiguous()
    n_tiles = max(n * rows * columns, LEAST_ROWS)
    step = n_tiles * channels + GAP
    flat = padded.new_empty(36 * step)
    scatter_kernel()(padded.numpy().ravel(), n, rows, columns, channels, step, flat.numpy())
    factors = flat.as_strided((36, n_tiles, channels), (step, channels, 1))
    products = _multiply(factors, weights)
    gather_kernel()(
        products.numpy().ravel(),
        n_tiles * len(bias),
        bias,
        relu,
        *out.shape,
        out.numpy().ravel(),
    )


def _multiply(factors: Tensor, weights: Tensor) -> Tensor:
    """Products (36, n_tiles, n_out) of (36, n_tiles, channels) and (36, n_out, channels)."""
    if not prefers_onednn():
        return torch.bmm(factors, weights.mT)
    products = factors.new_empty(36, factors.shape[1], weights.shape[1])
    for product, factor, weight in zip(products, factors, weights, strict=True):
        product[:] = linear(factor, weight)
    return products
