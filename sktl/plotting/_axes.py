"""Where the cells of a picture of frames lie, and how its axes are labelled."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .._optional import import_optional
from ..features._filters import _hz_to_mel, _mel_to_hz, check_band

__all__ = [
    "coefficient_edges",
    "label_rows",
    "linear_edges",
    "mel_edges",
    "scale_rows",
    "time_edges",
]

# Hz at which an axis in mel is labelled, as far as it reaches.
MEL_TICKS = (0, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000)


def time_edges(
    n_frames: int, sr: float, hop_length: int, center: bool, frame_length: int | None
) -> np.ndarray:
    """Half a hop to each side of the frames' times, in seconds."""
    if center:
        first = 0
    elif frame_length is not None:
        first = frame_length // 2
    else:
        raise ValueError("center=False needs n_fft, the length of a frame in samples.")
    return (first + hop_length * (np.arange(n_frames + 1) - 0.5)) / sr


def mel_edges(n_bands: int, sr: float, fmin: float, fmax: float | None, htk: bool) -> np.ndarray:
    """Limits in Hz: halfway in mel from one centre to the next, `fmin` and `fmax` outside.

    Bands overlap, but below the first centre there is only the first, and above the last
    only the last.
    """
    check_band(sr, fmin, fmax)
    ends = np.array([fmin, sr / 2 if fmax is None else fmax], dtype=np.float64)
    low, high = _hz_to_mel(ends, htk)
    step = (high - low) / (n_bands + 1)
    between = low + step * (np.arange(1, n_bands) + 0.5)
    return np.concatenate([ends[:1], _mel_to_hz(between, htk), ends[1:]])


def linear_edges(n_bands: int, sr: float, n_fft: int) -> np.ndarray:
    """Half a bin to each side of ``k * sr / n_fft``, within 0 Hz and ``sr / 2``."""
    if n_bands > n_fft // 2 + 1:
        raise ValueError(
            f"S has {n_bands} rows but an FFT of n_fft={n_fft} samples gives {n_fft // 2 + 1} "
            "bins; give the n_fft that S was made with."
        )
    return np.clip((np.arange(n_bands + 1) - 0.5) * sr / n_fft, 0.0, sr / 2)


def coefficient_edges(n_rows: int) -> np.ndarray:
    """Half a row to each side of 0, 1, …."""
    return np.arange(n_rows + 1) - 0.5


def scale_rows(ax: Any, y_axis: str, htk: bool) -> None:
    """Make the vertical axis a mel scale, its data still in Hz, or a linear one."""
    if y_axis == "mel":
        functions = (partial(_continued, _hz_to_mel, htk), partial(_continued, _mel_to_hz, htk))
        ax.set_yscale("function", functions=functions)
    else:
        ax.set_yscale("linear")


def label_rows(ax: Any, y_axis: str, edges: np.ndarray, names: Sequence[str] | None) -> None:
    """Label the vertical axis, with ticks at round frequencies or whole rows."""
    ticker = import_optional("matplotlib.ticker", "plot", "A display")
    locator: Any = ticker.AutoLocator()
    label: Callable = _hz_label
    if y_axis == "coefficients":
        locator = ticker.MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True)
        label = partial(_row_label, names, len(edges) - 1)
    elif y_axis == "mel":
        ticks = [hz for hz in MEL_TICKS if edges[0] <= hz <= edges[-1]]
        if len(ticks) > 2:
            locator = ticker.FixedLocator(ticks)
    ax.yaxis.set_major_locator(locator)
    ax.yaxis.set_major_formatter(ticker.FuncFormatter(label))
    ax.set_ylabel("Coefficient" if y_axis == "coefficients" else "Frequency (Hz)")


def _continued(scale: Callable, htk: bool, values: Any) -> np.ndarray:
    """Mirror a scale to numbers below 0, for which matplotlib may ask too."""
    values = np.asarray(values, dtype=np.float64)
    return np.sign(values) * scale(np.abs(values), htk)


def _hz_label(hz: float, position: int | None = None) -> str:
    return f"{hz / 1000:g}k" if hz >= 1000 else f"{hz:g}"


def _row_label(
    names: Sequence[str] | None, n_rows: int, row: float, position: int | None = None
) -> str:
    """Name of a row; nothing beside the rows and between them."""
    if row != round(row) or not 0 <= row < n_rows:
        return ""
    return f"{row:.0f}" if names is None else names[round(row)]
