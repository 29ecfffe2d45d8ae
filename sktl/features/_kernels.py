"""Compiled loops for what torch and BLAS do slowly on a CPU."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

__all__ = ["compiled", "finite_kernel", "frame_loader", "power_kernel"]


def load_frames(
    clip: np.ndarray, window: np.ndarray, start: int, hop: int, out: np.ndarray
) -> None:
    """Windowed frames of `clip`, the first from sample `start` on, zeros around it: fills `out`."""
    n_samples, frame_length = len(clip), len(window)
    for t in range(len(out)):
        at = start + t * hop
        frame = out[t]
        if at >= 0 and at + frame_length <= n_samples:
            samples = clip[at : at + frame_length]
            for i in range(frame_length):
                frame[i] = samples[i] * window[i]
        else:
            for i in range(frame_length):
                inside = 0 <= at + i < n_samples
                frame[i] = clip[at + i] * window[i] if inside else 0.0


def power_spectrum(spectrum: np.ndarray, out: np.ndarray) -> None:
    """Squared magnitude of complex numbers: fills `out`."""
    for t in range(len(out)):
        bins, power = spectrum[t], out[t]
        for k in range(len(power)):
            power[k] = bins[k].real * bins[k].real + bins[k].imag * bins[k].imag


def all_finite(clip: np.ndarray) -> bool:
    """Tell whether no sample is NaN or infinite: nothing else times zero is not zero."""
    total = 0.0
    for i in range(len(clip)):
        total += clip[i] * 0.0
    return total == 0.0


@cache
def compiled(
    function: Callable[..., Any], signature: str, reassociate: bool = False
) -> Callable[..., Any]:
    """`function` compiled for one signature: the same machine code, hence the same bits.

    `reassociate` lets sums use vector registers, while NaN and infinity keep their meaning.
    """
    import numba  # slow to import

    compile_ = partial(
        numba.njit,
        signature,
        nogil=True,
        error_model="numpy",
        fastmath={"reassoc", "contract", "nsz"} if reassociate else False,
    )
    try:
        return compile_(cache=True)(function)
    except RuntimeError:  # no folder to write the cache to
        return compile_()(function)


def frame_loader(clip_dtype: str, dtype: str) -> Callable[..., None]:
    """`load_frames` for clips of one dtype and frames of another."""
    clip, window = _samples(clip_dtype), f"{dtype}[::1]"
    return compiled(load_frames, f"void({clip}, {window}, int64, int64, {dtype}[:, ::1])")


def finite_kernel(clip_dtype: str) -> Callable[[np.ndarray], bool]:
    """`all_finite` for clips of one dtype."""
    return compiled(all_finite, f"boolean({_samples(clip_dtype)})", reassociate=True)


def power_kernel(frame_dtype: str, dtype: str) -> Callable[..., None]:
    """`power_spectrum` of frames of one dtype, written in another."""
    spectrum = np.result_type(frame_dtype, np.complex64)
    return compiled(power_spectrum, f"void({spectrum}[:, ::1], {dtype}[:, ::1])")


def _samples(dtype: str) -> str:
    return f'Array({dtype}, 1, "C", readonly=True)'
