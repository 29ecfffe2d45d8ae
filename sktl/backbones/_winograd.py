"""Convolutions of 3 × 3 with a quarter of the multiplications."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ..features._workers import for_each
from ._kept import Kept
from ._products import prefers_onednn

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
# For fewer rows than this oneDNN orders weights differently.
LEAST_ROWS_ONEDNN = 64


def conv3x3(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    relu: bool = False,
    owner: nn.Module | None = None,
) -> Tensor:
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
    owner : nn.Module, default=None
        Whose weights they are: what is computed of them alone is kept as long as it lives.

    Returns
    -------
    Tensor of shape (n, n_out, height, width)
    """
    n, channels, height, width = images.shape
    n_out = len(weight)
    out = images.new_empty(n, height, width, n_out)
    factors = _spread(weight) if owner is None else _kept(owner, weight)
    offset = (images.new_zeros(n_out) if bias is None else bias).contiguous().numpy()
    tiles = -(-height // 4) * -(-width // 4)
    at_once = max(1, channels * n_out // (channels + n_out) // tiles)
    at_once = -(-n // -(-n // at_once))  # in equal parts

    def convolve(start: int) -> None:
        part = slice(start, start + at_once)
        _convolve(images[part].permute(0, 2, 3, 1), factors, offset, relu, out[part])

    starts = range(0, n, at_once)
    for_each(convolve, starts, min(torch.get_num_threads(), len(starts)))
    return out.permute(0, 3, 1, 2)


def _spread(weight: Tensor) -> Tensor:
    """Weights (n_out, channels, 3, 3) as factors (36, n_out, channels), or in oneDNN's order."""
    both = torch.from_numpy(np.kron(WEIGHTS, WEIGHTS)).to(weight)
    n_out, channels = weight.shape[:2]
    factors = (both @ weight.reshape(-1, 9).mT).view(36, n_out, channels)
    if not prefers_onednn():
        return factors
    as_conv, shape = factors.view(36 * n_out, channels, 1, 1), [1, 36 * channels, _least_rows(), 1]
    return torch.ops.mkldnn._reorder_convolution_weight(as_conv, *AS_36_GROUPS, shape)


def _least_rows() -> int:
    return LEAST_ROWS_ONEDNN if prefers_onednn() else LEAST_ROWS


# Padding, stride, dilation and groups.
AS_36_GROUPS = ([0, 0], [1, 1], [1, 1], 36)
_kept = Kept(_spread)


def _convolve(images: Tensor, weights: Tensor, bias: np.ndarray, relu: bool, out: Tensor) -> None:
    """Convolve (n, height, width, channels): fills `out`."""
    from ._winograd_kernel import gather_kernel, scatter_kernel  # slow to import

    n, height, width, channels = images.shape
    rows, columns = -(-height // 4), -(-width // 4)
    padded = pad(images, (0, 0, 1, 4 * columns + 1 - width, 1, 4 * rows + 1 - height)).contiguous()
    n_tiles = max(n * rows * columns, _least_rows())
    steps = _steps(n_tiles, channels)
    flat = padded.new_empty(n_tiles * 36 * channels + 36 * GAP)
    scatter_kernel()(padded.numpy().ravel(), n, rows, columns, channels, *steps, flat.numpy())
    products = _multiply(flat, n_tiles, channels, weights)
    gather_kernel()(
        products.numpy().ravel(),
        *_steps(n_tiles, len(bias), gap=0),
        bias,
        relu,
        *out.shape,
        out.numpy().ravel(),
    )


def _steps(n_tiles: int, channels: int, gap: int = GAP) -> tuple[int, int]:
    """From one factor of a tile to its next, and from a tile to the next."""
    if prefers_onednn():
        return channels, 36 * channels
    return n_tiles * channels + gap, channels


def _multiply(flat: Tensor, n_tiles: int, channels: int, weights: Tensor) -> Tensor:
    """36 products of each tile."""
    if not prefers_onednn():
        step, tile_step = _steps(n_tiles, channels)
        factors = flat.as_strided((36, n_tiles, channels), (step, tile_step, 1))
        return torch.bmm(factors, weights.mT)
    rows = flat[: n_tiles * 36 * channels].view(1, n_tiles, 1, 36 * channels).permute(0, 3, 1, 2)
    multiply = torch.ops.mkldnn._convolution_pointwise
    return multiply(rows, weights, None, *AS_36_GROUPS, "none", [], "").permute(0, 2, 3, 1)
