"""Group normalisation, ReLU and maximum of windows; on a CPU in one go."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ..features._workers import for_each
from ._conv import channels_last

__all__ = ["PooledConvolution", "norm_relu_pool"]

# Numbers that the largest register holds.
LANES = 16
# About a millisecond of work.
VALUES_PER_THREAD = 2**19


class PooledConvolution(nn.Module):
    """3×3 convolution, group normalisation, ReLU and maximum.

    Parameters
    ----------
    n_in, n_out : int
        Channels.
    step : int, default=2
        Width of a window of the maximum, 1 or 2; it is 2 high. Sizes are rounded up.
    """

    def __init__(self, n_in: int, n_out: int, step: int = 2) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(4, n_out)
        self.step = step

    def forward(self, images: Tensor) -> Tensor:
        """(n, c, h, w), or (n, h, w) of one channel, → (n, c', h / 2, w / step)."""
        if images.is_cpu:
            images = channels_last(images)
        elif images.ndim == 3:  # of a GPU, group normalisation takes channels first alone
            images = images.unsqueeze(1)
        return norm_relu_pool(self.conv(images), self.norm, self.step)


def norm_relu_pool(images: Tensor, norm: nn.GroupNorm, step: int = 2) -> Tensor:
    """``max_pool2d(relu(norm(images)), (2, step), ceil_mode=True)``.

    In float32 on a CPU images are read twice, where each layer by itself would read and write
    them; most of what a small network takes in training is that. An image's result does not depend
    on the others.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
        Channels last are best.
    norm : GroupNorm
    step : int, default=2
        Width of a window, 1 or 2.

    Returns
    -------
    Tensor of shape (n, channels, height / 2, width / step), sizes rounded up
    """
    if _is_plain(images, norm):
        return _NormReluPool.apply(
            images.float(), norm.weight, norm.bias, norm.num_groups, norm.eps, step
        )
    # ReLU after the maximum is the same and less.
    return functional.max_pool2d(norm(images), (2, step), ceil_mode=True).relu_()


def _is_plain(images: Tensor, norm: nn.GroupNorm) -> bool:
    return (
        type(norm) is nn.GroupNorm
        and norm.affine
        and not (norm._forward_hooks or norm._forward_pre_hooks)
        and images.is_cpu
        and images.dtype in (torch.float32, torch.bfloat16)  # of autocast
        and norm.weight.dtype == torch.float32
        and images.shape[1] % LANES == 0
    )


class _NormReluPool(torch.autograd.Function):
    """The same with its derivative; both by compiled loops."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, step: int
    ) -> Tensor:
        from ._norm_pool_kernel import forward_kernel  # slow to import

        rows = images.permute(0, 2, 3, 1).contiguous()
        n, height, width, channels = rows.shape
        pooled = rows.new_empty(n, -(-height // 2), -(-width // step), channels)
        statistics = rows.new_empty(n, groups, 2)
        ctx.save_for_backward(rows, weight, bias, statistics)
        ctx.step = step
        kernel, sizes = forward_kernel(), (height, width, channels, step, groups)
        affine = _flat(slice(None), weight, bias)

        def run(part: slice) -> None:
            images, *made = _flat(part, rows, pooled, statistics)
            kernel(images, *sizes, len(rows[part]), eps, *affine, *made)

        _for_parts(run, rows)
        return pooled.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        from ._norm_pool_kernel import backward_kernel

        rows, weight, bias, statistics = ctx.saved_tensors
        (n, height, width, channels), groups = rows.shape, statistics.shape[1]
        slopes = grad.permute(0, 2, 3, 1).contiguous()
        of_rows = torch.empty_like(rows)
        of_weight, of_bias = rows.new_empty(n, channels), rows.new_empty(n, channels)
        kernel, sizes = backward_kernel(), (height, width, channels, ctx.step, groups)
        affine = _flat(slice(None), weight, bias)

        def run(part: slice) -> None:
            images, *others = _flat(part, rows, statistics, slopes, of_rows, of_weight, of_bias)
            kernel(images, *sizes, len(rows[part]), *affine, *others)

        _for_parts(run, rows)
        return of_rows.permute(0, 3, 1, 2), of_weight.sum(0), of_bias.sum(0), None, None, None


def _flat(part: slice, *tensors: Tensor) -> list[Any]:
    return [tensor.detach()[part].numpy().ravel() for tensor in tensors]


def _for_parts(run: Callable[[slice], None], rows: Tensor) -> None:
    """Images shared out among as many threads as torch has, or as are worth their start."""
    n = len(rows)
    n_threads = max(1, min(torch.get_num_threads(), n, rows.numel() // VALUES_PER_THREAD))
    size = max(1, -(-n // n_threads))
    parts = [slice(i, i + size) for i in range(0, n, size)]
    for_each(run, parts, n_threads, uses_torch=False)
