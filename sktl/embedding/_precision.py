"""In which precision a network computes."""

import torch

__all__ = ["autocast_dtype"]


def autocast_dtype(precision: str, device: torch.device, dtype: torch.dtype) -> torch.dtype | None:
    """bf16 where asked for, or, by "auto", where the device is made for it; else None."""
    automatic = precision == "auto" and device.type == "cuda" and dtype == torch.float32
    if precision == "bf16" or (automatic and torch.cuda.is_bf16_supported()):
        return torch.bfloat16
    return None
