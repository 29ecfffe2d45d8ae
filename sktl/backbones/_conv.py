"""A convolution and its batch normalisation as one step, where neither is trained."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

__all__ = ["conv_norm"]


def conv_norm(conv: Any, bn: Any, images: Tensor) -> Tensor:
    """``bn(conv(images))``; with frozen weights, one convolution whose weights hold both.

    Images are read and written once less, which takes as long as a small convolution.
    """
    if not _is_frozen(conv, bn):
        return bn(conv(images))
    assert bn.running_mean is not None
    assert bn.running_var is not None
    scale = (bn.running_var + bn.eps).rsqrt()
    scale = scale if bn.weight is None else scale * bn.weight
    bias = -bn.running_mean if conv.bias is None else conv.bias - bn.running_mean
    bias = bias * scale if bn.bias is None else torch.addcmul(bn.bias, bias, scale)
    weight = conv.weight * scale.reshape(-1, *(1 for _ in conv.weight.shape[1:]))
    return conv._conv_forward(images, weight, bias)


def _is_frozen(conv: Any, bn: Any) -> bool:
    """Whether both are plain layers that only compute; of others, forward() may do more."""
    if not isinstance(conv, _ConvNd) or not isinstance(bn, _BatchNorm):
        return False
    parameters = (conv.weight, conv.bias, bn.weight, bn.bias)
    trained = bn.training or any(p is not None and p.requires_grad for p in parameters)
    return not (trained or conv._forward_hooks or bn._forward_hooks)
