"""Compiled loops for what torch and BLAS do slowly on a CPU."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

__all__ = ["compiled", "finite_kernel", "frame_loader", "power_kernel", "scale_kernel"]


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


def scale_above(values: np.ndarray, floors: np.ndarray, factor: float, out: np.ndarray) -> None:
    """`factor` times the values, none below its clip's floor, (n_clips, n, m): fills `out`."""
    for clip in range(len(out)):
        floor = floors[clip]
        for t in range(out.shape[1]):
            row, scaled = values[clip, t], out[clip, t]
            for i in range(len(row)):
                scaled[i] = max(row[i], floor) * factor


def all_finite(clip: np.ndarray) -> bool:
    """Tell whether no sample is NaN or infinite: nothing else times zero is not zero."""
    total = 0.0
    for i in range(len(clip)):
        total += clip[i] * 0.0
    return total == 0.0


@cache
def compiled(
    function: Callable[..., Any], signature: str, reassociate: bool = False, nogil: bool = True
) -> Callable[..., Any]:
    """`function` compiled for one signature: the same machine code, hence the same bits.

    `reassociate` lets sums use vector registers, while NaN and infinity keep their meaning.
    With `nogil` other threads can run meanwhile; for work of a few microseconds, waiting for
    the interpreter's lock afterwards would take longer than the work.
    """
    import numba  # slow to import

    compile_ = partial(
        numba.njit,
        signature,
        nogil=nogil,
        error_model="numpy",
        fastmath={"contract", *(("reassoc", "nsz") if reassociate else ())},
    )
    try:
        return compile_(cache=True)(function)
    except RuntimeError:  # no folder to write the cache to
        return compile_()(function)


def frame_loader(clip_dtype: str, dtype: str, nogil: bool = True) -> Callable[..., None]:
    """`load_frames` for clips of one dtype and frames of another."""
    signature = f"void({_samples(clip_dtype)}, {dtype}[::1], int64, int64, {dtype}[:, ::1])"
    return compiled(load_frames, signature, nogil=nogil)


def finite_kernel(clip_dtype: str) -> Callable[[np.ndarray], bool]:
    """`all_finite` for clips of one dtype."""
    signature = f"boolean({_samples(clip_dtype)})"
    return compiled(all_finite, signature, reassociate=True, nogil=False)


def power_kernel(frame_dtype: str, dtype: str) -> Callable[..., None]:
    """`power_spectrum` of frames of one dtype, written in another."""
    spectrum = np.result_type(frame_dtype, np.complex64)
    return compiled(power_spectrum, f"void({spectrum}[:, ::1], {dtype}[:, ::1])")


def scale_kernel(dtype: str) -> Callable[..., None]:
    """`scale_above` for values of one dtype."""
    array = f"{dtype}[:, :, ::1]"
    return compiled(scale_above, f"void({array}, {dtype}[::1], {dtype}, {array})")


def _samples(dtype: str) -> str:
    return f'Array({dtype}, 1, "C", readonly=True)'
