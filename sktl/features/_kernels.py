"""Compiled loops for what torch and BLAS do slowly on a CPU."""

from collections.abc import Callable, Sequence

import numpy as np

from .._compile import compiled

__all__ = ["Rows", "energy", "energy_kernel", "frame_loader", "located"]

Rows = Sequence[np.ndarray] | np.ndarray


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


def energy(clip: np.ndarray) -> float:
    """Sum of squares, NaN or infinite with a sample that is."""
    total = clip.dtype.type(0.0)
    for i in range(len(clip)):
        total += clip[i] * clip[i]
    return total


def address(array: np.ndarray) -> int:
    """Where an array begins in memory."""
    return array.ctypes.data


def located(clips: Rows, outs: Rows) -> tuple[np.ndarray, ...]:
    """Addresses of clips and their lengths, of results (n_frames, n) and theirs.

    Raises TypeError if one is not C-contiguous or not of the dtype of the first result.
    """
    dtype = outs[0].dtype.name
    return *_located(clips, _samples(dtype)), *_located(outs, f"{dtype}[:, ::1]")


def _located(arrays: Rows, signature: str) -> tuple[np.ndarray, np.ndarray]:
    # Five times faster than asking the arrays.
    address_of = compiled(address, f"int64({signature})", nogil=False)
    addresses = np.fromiter(map(address_of, arrays), np.int64, len(arrays))
    return addresses, np.fromiter(map(len, arrays), np.int64, len(arrays))


def frame_loader(clip_dtype: str, dtype: str, nogil: bool = True) -> Callable[..., None]:
    """`load_frames` for clips of one dtype and frames of another."""
    signature = f"void({_samples(clip_dtype)}, {dtype}[::1], int64, int64, {dtype}[:, ::1])"
    return compiled(load_frames, signature, nogil=nogil)


def energy_kernel(clip_dtype: str) -> Callable[[np.ndarray], float]:
    """`energy` of clips of one dtype."""
    return compiled(energy, f"float64({_samples(clip_dtype)})", reassociate=True, nogil=False)


def _samples(dtype: str) -> str:
    """In a signature, the samples of a clip; they are never written to."""
    return f'Array({dtype}, 1, "C", readonly=True)'
