"""Products of matrices, by the library that uses this processor's vectors whole."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = ["at_speed", "can_fuse", "conv2d_relu", "linear", "prefers_onednn"]


@cache
def prefers_onednn() -> bool:
    """Whether oneDNN multiplies in half the time of MKL.

    On AMD's Zen processors MKL, which torch takes, has vectors of 256 bits, oneDNN those of 512
    where there are any.
    """
    if not (torch.backends.mkldnn.is_available() and torch.backends.mkl.is_available()):
        return False
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    from llvmlite import binding  # slow to import

    return binding.get_host_cpu_name().startswith("znver")


def linear(
    values: Tensor, weight: Tensor, bias: Tensor | None = None, relu: bool = False
) -> Tensor:
    """``functional.linear`` (then ReLU), by oneDNN where that is faster and nothing learns."""
    tensors = [values, weight] if bias is None else [values, weight, bias]
    learns = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    if learns or weight.ndim != 2 or not (prefers_onednn() and can_fuse(*tensors)):
        made = functional.linear(values, weight, bias)
        return made.relu_() if relu else made
    rows = values.reshape(-1, values.shape[-1])
    n_rows = len(rows)
    rows = rows if n_rows > 1 else rows.expand(2, -1)  # one alone has other bits
    after = "relu" if relu else "none"
    made = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, after, [], "")
    return made[:n_rows].view(*values.shape[:-1], len(weight))


def conv2d_relu(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    groups: int,
) -> Tensor:
    """``functional.conv2d`` and ReLU in one pass over the images, where `can_fuse` says so."""
    return torch.ops.mkldnn._convolution_pointwise(
        images, weight, bias, padding, stride, [1, 1], groups, "relu", [], ""
    )


def can_fuse(*tensors: Tensor) -> bool:
    """Whether oneDNN can be called with these, which records no gradients."""
    return (
        torch.backends.mkldnn.is_available()
        and bool(torch.backends.mkldnn.enabled)
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and all(map(_is_plain, tensors))
        and not torch.is_autocast_enabled("cpu")
    )


def at_speed(uses_linear: bool = True) -> AbstractContextManager[Any]:
    """Context in which layers run: they multiply by `linear`, unless they learn.

    Every call of torch is held up by it a little, which is in vain where none is linear.
    """
    keep_freed_memory()
    if not uses_linear or torch.is_grad_enabled() or not prefers_onednn():
        return nullcontext()
    return _Linear()


@cache
def keep_freed_memory() -> None:
    """Let the C library keep up to 64 MB of freed memory for the tensors to come.

    Memory that comes from the system is cleared first, which took a quarter of YAMNet's time.
    From the largest block freed so far, 32 MB at most, glibc learns what to keep.
    """
    torch.empty(2**23 - 2**14)


class _Linear(TorchFunctionMode):
    """Takes the place of ``functional.linear`` in this thread."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        return (linear if function is functional.linear else function)(*args, **kwargs)


def _is_plain(tensor: Tensor) -> bool:
    return (
        type(tensor) in (Tensor, nn.Parameter)
        and tensor.dtype == torch.float32
        and tensor.is_cpu
        and tensor.numel() > 0
    )
