"""In which precision a network computes."""

from typing import Any

import torch

__all__ = ["autocast_dtype"]


def autocast_dtype(precision: str, device: torch.device, dtype: torch.dtype) -> Any:
    """bf16 where asked for, or, by "auto", where the device is made for it."""
    automatic = precision == "auto" and device.type == "cuda" and dtype == torch.float32
    if precision == "bf16" or (automatic and torch.cuda.is_bf16_supported()):
        return torch.bfloat16
    return None
