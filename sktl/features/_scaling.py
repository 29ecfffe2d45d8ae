"""Rows of one block: their check, and the scaling learned from training rows."""

from typing import Any, Literal

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler

from .._validation import check_array

__all__ = ["apply_scaling", "check_block", "learn_scaling", "to_numpy"]

# A column is constant when it varies by no more than these ulps of its mean.
ROUNDING = 8.0


def check_block(name: str, block: Any, rows: Any) -> Any:
    """Check that a block gave rows of numbers; NaN are allowed."""
    shape = np.shape(rows)
    if len(shape) != 2:
        pooled = f"; set {name}__pooling='mean_std'" if hasattr(block, "pooling") else ""
        raise ValueError(
            f"block '{name}' ({type(block).__name__}) gives an array of shape {tuple(shape)}, "
            f"but a block must give one row of numbers per clip{pooled}."
        )
    if isinstance(rows, torch.Tensor):
        return rows
    return check_array(
        rows,
        dtype=[np.float64, np.float32],
        ensure_all_finite="allow-nan",
        ensure_min_features=0,
        input_name=f"block '{name}'",
    )


def learn_scaling(
    rows: np.ndarray,
    scale: Literal["standard", "block"] | None,
    sample_weight: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Learn what to subtract from each column, then to multiply it by.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_columns)
        NaN values do not count.
    scale : {"standard", "block"} or None
        Unit variance of every column; or one factor for all of them, so that their
        variances sum to 1; or neither, nor is anything subtracted.
    sample_weight : ndarray of shape (n_rows,), default=None
        Weights of the rows in means and variances.

    Returns
    -------
    mean, factors : ndarray of shape (n_columns,)
        In float64. Constant columns have the factor 1.
    """
    mean, factors = np.zeros(rows.shape[1]), np.ones(rows.shape[1])
    known = ~np.isnan(rows).all(axis=0)
    if scale is None or not known.any():
        return mean, factors
    if sample_weight is not None and not np.sum(sample_weight) > 0:
        raise ValueError("sample_weight sums to zero; at least one row must count.")
    scaler = StandardScaler().fit(rows[:, known], sample_weight=sample_weight)
    mean[known] = scaler.mean_
    noise = ROUNDING * np.finfo(rows.dtype).eps * np.abs(scaler.mean_)
    variance = np.where(scaler.var_ <= noise**2, 0.0, scaler.var_)
    if scale == "block":
        variance = np.full_like(variance, variance.sum())
    factors[known] = 1.0 / np.sqrt(np.where(variance > 0, variance, 1.0))
    return mean, factors


def apply_scaling(rows: Any, mean: np.ndarray, factors: np.ndarray) -> Any:
    """Scale an array or tensor in float64 and return it in its own dtype."""
    if not isinstance(rows, torch.Tensor):
        return ((rows - mean) * factors).astype(rows.dtype, copy=False)
    mean_, factors_ = (torch.from_numpy(v).to(rows.device) for v in (mean, factors))
    return ((rows - mean_) * factors_).to(rows.dtype)


def to_numpy(rows: Any) -> np.ndarray:
    """Bring a tensor to numpy; leave an array alone."""
    return rows.detach().cpu().numpy() if isinstance(rows, torch.Tensor) else rows
