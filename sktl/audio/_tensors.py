"""Tensors among the clips."""

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = ["all_finite", "is_tensor", "to_numpy", "torch_dtype"]


def is_tensor(values: Any) -> bool:
    """Tell tensors from the rest, without importing torch where nobody else did."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(values, torch.Tensor)


def to_numpy(values: Any) -> Any:
    """Bring tensors to numpy; leave the rest alone."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if "bfloat16" in str(values.dtype):  # numpy has no such type
            values = values.float()
        return values.numpy()
    return values


def torch_dtype(dtype: np.dtype) -> "torch.dtype":
    """The floating dtype of torch of that name."""
    import torch

    return getattr(torch, dtype.name)


def all_finite(clips: "list[torch.Tensor]") -> bool:
    """Tell whether no clip has NaN or infinity; one transfer from each device."""
    import torch

    sums: dict[torch.device, list[torch.Tensor]] = {}
    for clip in clips:
        sums.setdefault(clip.device, []).append(clip.detach().sum().float())
    if all(bool(torch.isfinite(torch.stack(group)).all()) for group in sums.values()):
        return True
    # A sum of finite values can overflow.
    return all(bool(torch.isfinite(clip).all()) for clip in clips)
