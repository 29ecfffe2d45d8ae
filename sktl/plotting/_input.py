"""What is drawn: one clip, or one array of frames."""

import os
from typing import Any

import numpy as np

__all__ = ["check_spectrogram", "one_clip", "to_db"]


def one_clip(clip: Any) -> Any:
    """Refuse everything that is not one path or one 1-D array of numbers."""
    if isinstance(clip, str | os.PathLike):
        return clip
    if isinstance(clip, list | tuple) and any(map(_is_clip, clip)):
        raise ValueError(
            f"clip is a {type(clip).__name__} of {len(clip)} clips; give one of them, clip[0]."
        )
    array = clip if hasattr(clip, "ndim") else np.asarray(clip)
    if array.ndim != 1:
        advice = (
            ": a batch; give one of its clips, clip[0]" if array.ndim > 1 else "; give one clip"
        )
        raise ValueError(
            f"clip has shape {tuple(array.shape)}{advice}, of shape (n_samples,), or a path."
        )
    if isinstance(array, np.ndarray) and array.dtype.kind in "OSUT":
        raise ValueError(f"clip has dtype {array.dtype}: several clips; give one of them, clip[0].")
    return array


def _is_clip(element: Any) -> bool:
    return isinstance(element, str | os.PathLike | list | tuple) or getattr(element, "ndim", 0) > 0


def check_spectrogram(S: Any) -> np.ndarray:
    """Array of shape (n_bands, n_frames) of real numbers, some of them finite."""
    # A copy, so that a later change of the array is not drawn.
    values = np.asarray(S.detach().cpu() if hasattr(S, "detach") else S).copy()
    if values.ndim != 2 or values.size == 0:
        advice = ": a batch; give one spectrogram, S[0]," if values.ndim > 2 else "; give one"
        raise ValueError(f"S has shape {values.shape}{advice} of shape (n_bands, n_frames).")
    if values.dtype.kind == "c":
        raise ValueError(
            f"S has dtype {values.dtype}; give np.abs(S) with unit='amplitude', or its square "
            "with unit='power'."
        )
    if values.dtype.kind not in "fiub":
        raise ValueError(f"S has dtype {values.dtype}; give real numbers.")
    if not np.isfinite(values).any():
        raise ValueError("S holds NaN or infinity only: there is nothing to draw.")
    return values


def to_db(values: np.ndarray, unit: str | None) -> np.ndarray:
    """Level of power or amplitude, as librosa's; other values as they are."""
    if unit not in ("power", "amplitude"):
        return values
    lowest = np.nanmin(values)
    if lowest < 0:
        raise ValueError(
            f"S holds {lowest:g} but unit={unit!r} is never negative; levels are unit='dB'."
        )
    power = values if unit == "power" else np.square(values, dtype=np.float64)
    level = 10.0 * np.log10(np.maximum(power, 1e-10))
    return np.maximum(level, level[np.isfinite(level)].max() - 80.0)
