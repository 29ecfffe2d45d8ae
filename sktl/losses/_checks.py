"""What the losses demand of their two tensors."""

import torch
from torch import Tensor

__all__ = ["check_matrix", "check_pair"]


def check_matrix(name: str, value: Tensor) -> Tensor:
    """Return a (rows, columns) tensor, in float32 where it came in half precision."""
    if value.ndim != 2:
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}; give a 2-D tensor with one row per sample."
        )
    if value.shape[0] == 0 or value.shape[1] == 0:
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}; give at least one row and one column."
        )
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


def check_pair(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return source and target rows over the same columns."""
    source, target = check_matrix("source", source), check_matrix("target", target)
    if source.shape[1] != target.shape[1]:
        raise ValueError(
            f"source has {source.shape[1]} columns but target has {target.shape[1]}; "
            "give embeddings of the same size."
        )
    return source, target
