"""Statistics over the frames of a clip."""

import torch
from torch import Tensor

__all__ = ["POOLINGS", "pool_frames", "pooled_names"]

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)

POOLINGS = {
    "mean": ("mean",),
    "mean_std": ("mean", "std"),
    "quantiles": tuple(f"q{100 * q:.0f}" for q in QUANTILES),
}


def pool_frames(values: Tensor, pooling: str) -> Tensor:
    """Pool (n, n_coefficients, n_frames) to (n, n_statistics * n_coefficients)."""
    if pooling == "mean":
        return values.mean(-1)
    if pooling == "mean_std":
        return torch.cat([values.mean(-1), values.std(-1, correction=0)], dim=-1)
    return _quantiles(values)


def _quantiles(values: Tensor) -> Tensor:
    """Linear interpolation, as numpy's; torch.quantile refuses more than 2**24 values."""
    ordered = values.sort(dim=-1).values
    last = ordered.shape[-1] - 1
    statistics = []
    for q in QUANTILES:
        below = int(q * last)
        above = min(below + 1, last)
        statistics.append(torch.lerp(ordered[..., below], ordered[..., above], q * last - below))
    return torch.cat(statistics, dim=-1)


def pooled_names(coefficients: list[str], pooling: str) -> list[str]:
    """Names of the columns that `pool_frames` gives."""
    return [f"{name}_{statistic}" for statistic in POOLINGS[pooling] for name in coefficients]
