"""Products of matrices, by the library that uses this processor's vectors whole."""

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = ["linear", "prefers_onednn", "products"]


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


def linear(values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``functional.linear``, by oneDNN where that is faster and no gradient is asked for."""
    tensors = [values, weight] if bias is None else [values, weight, bias]
    if not (prefers_onednn() and weight.ndim == 2 and all(map(_is_plain, tensors))):
        return functional.linear(values, weight, bias)
    learns = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    if learns or torch.is_autocast_enabled("cpu") or not torch.backends.mkldnn.enabled:
        return functional.linear(values, weight, bias)
    rows = values.reshape(-1, values.shape[-1])
    n_rows = len(rows)
    rows = rows if n_rows > 1 else rows.expand(2, -1)  # one alone has other bits
    made = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return made[:n_rows].view(*values.shape[:-1], len(weight))


def products() -> AbstractContextManager[Any]:
    """Context in which layers multiply by `linear`, unless they learn."""
    if torch.is_grad_enabled() or not prefers_onednn():
        return nullcontext()
    return _Linear()


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
