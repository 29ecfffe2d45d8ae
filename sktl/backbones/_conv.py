"""A convolution, its batch normalisation and ReLU as one step, where its statistics stay."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from ._products import can_fuse, conv2d_relu, linear, prefers_onednn
from ._winograd import LEAST_ROWS, conv3x3

__all__ = ["ArrangedConv2d", "channels_last", "conv_norm_relu"]

# Fewer tiles at once would not repay what their weights cost.
LEAST_TILES = 64
# Smaller images are rows of a matrix, sooner than images.
SMALLEST = 8


def conv_norm_relu(conv: Any, bn: Any, images: Tensor, usual: int = 1) -> Tensor:
    """``relu(bn(conv(images)))``; where statistics stay, one convolution whose weights hold both.

    Images are read and written once less, which takes as long as a small convolution; gradients
    go through the weights to those of both layers. `bn` may be None; of the images there are
    `usual` ones at once, or more.
    """
    if not _keep_statistics(conv, bn):
        values = conv(images)
        return (values if bn is None else bn(values)).relu_()
    weight, bias = (conv.weight, conv.bias) if bn is None else _folded(conv, bn)
    learns = torch.is_grad_enabled() and (images.requires_grad or weight.requires_grad)
    if _is_plain(conv, images):
        is_small = images[0, 0].numel() <= SMALLEST
        if _is_1x1(conv) and (is_small or (prefers_onednn() and not learns)):
            return _product(images, weight, bias)
        n_tiles = -(-images.shape[2] // 4) * -(-images.shape[3] // 4)
        if _is_3x3(conv) and n_tiles * usual >= LEAST_TILES and not learns:
            return conv3x3(images, weight, bias, relu=True, owner=conv)
    if isinstance(conv, ArrangedConv2d) and not learns and can_fuse(images, weight):
        images, weight, padding = conv.arranged(images, weight)
        return conv2d_relu(images, weight, bias, conv.stride, padding, conv.groups)
    return conv._conv_forward(images, weight, bias).relu_()


class ArrangedConv2d(nn.Conv2d):
    """A convolution without dilation that says what is to be convolved with what."""

    def arranged(self, images: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, list[int]]:
        """Images, weights and padding."""
        raise NotImplementedError

    def _conv_forward(self, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        images, weight, padding = self.arranged(images, weight)
        return functional.conv2d(images, weight, bias, self.stride, padding, 1, self.groups)


def channels_last(images: Tensor) -> Tensor:
    """Images, or spectrograms (n, height, width) as such: faster on a CPU, but in float64."""
    if images.dtype == torch.float64:
        return images.unsqueeze(1) if images.ndim == 3 else images
    if images.ndim == 3:  # of one channel, which torch takes for channels first otherwise
        return images.unsqueeze(3).permute(0, 3, 1, 2)
    return images.contiguous(memory_format=torch.channels_last)


def _keep_statistics(conv: Any, bn: Any) -> bool:
    """Whether both are plain layers that only compute; of others, forward() may do more."""
    if not isinstance(conv, _ConvNd) or not isinstance(bn, _BatchNorm | None):
        return False
    if bn is not None and (bn.training or bn.running_mean is None):
        return False
    return not any(layer._forward_hooks for layer in (conv, bn) if layer is not None)


def _folded(conv: Any, bn: Any) -> tuple[Tensor, Tensor]:
    """Weights and bias of a convolution that also normalises."""
    assert bn.running_mean is not None
    assert bn.running_var is not None
    scale = (bn.running_var + bn.eps).rsqrt()
    scale = scale if bn.weight is None else scale * bn.weight
    bias = -bn.running_mean if conv.bias is None else conv.bias - bn.running_mean
    bias = bias * scale if bn.bias is None else torch.addcmul(bn.bias, bias, scale)
    return conv.weight * scale.reshape(-1, *(1 for _ in conv.weight.shape[1:])), bias


def _is_plain(conv: Any, images: Tensor) -> bool:
    """Whether this is a dense convolution of step one that nothing else than its result asks of."""
    return (
        isinstance(conv, nn.Conv2d)
        and conv.stride == conv.dilation == (1, 1)
        and conv.groups == 1
        and conv.padding_mode == "zeros"
        and images.is_cpu
        and images.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
    )


def _is_3x3(conv: nn.Conv2d) -> bool:
    whole = conv.in_channels % 16 == 0 and conv.out_channels % 16 == 0
    return whole and conv.kernel_size == (3, 3) and conv.padding == (1, 1)


def _is_1x1(conv: nn.Conv2d) -> bool:
    return conv.kernel_size == (1, 1) and conv.padding in ((0, 0), "valid")


def _product(images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution of 1 × 1 and ReLU as a product of matrices."""
    n, _, height, width = images.shape
    rows = images.permute(0, 2, 3, 1).flatten(0, 2)
    n_rows = len(rows)
    if n_rows < LEAST_ROWS:
        rows = functional.pad(rows, (0, 0, 0, LEAST_ROWS - n_rows))
    made = linear(rows, weight.flatten(1), bias, relu=True)[:n_rows]
    return made.view(n, height, width, -1).permute(0, 3, 1, 2)
