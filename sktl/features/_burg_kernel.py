"""Burg's lattice, compiled, one frame after the other."""

import math
from collections.abc import Callable

import numpy as np
from numba import carray, njit

from .._compile import compiled
from ._kernels import energy
from ._lanes import pointer

__all__ = ["burg_kernel"]

# Sums may use vector registers, while NaN and infinity keep their meaning.
inlined = njit(
    nogil=True,
    error_model="numpy",
    fastmath={"contract", "reassoc", "nsz"},
    forceinline=True,
)
sum_of_squares = inlined(energy)


def burg_kernel(dtype: str) -> Callable[..., None]:
    """`burg_rows` for clips and results of one dtype."""
    integers = "int64[::1]"
    return compiled(
        burg_rows,
        f"void({integers}, {integers}, {integers}, {integers}, {dtype}[::1], int64, int64, int64, "
        "float64[::1])",
    )


def burg_rows(
    clips: np.ndarray,
    lengths: np.ndarray,
    outs: np.ndarray,
    counts: np.ndarray,
    like: np.ndarray,
    margin: int,
    hop: int,
    frame_length: int,
    energies: np.ndarray,
) -> None:
    """Coefficients of the frames of many clips: fills their arrays and `energies`.

    Parameters
    ----------
    clips, lengths : array of int of shape (n_clips,)
        Addresses of clips, and how many samples they have.
    outs, counts : array of int of shape (n_clips,)
        Addresses of arrays (n_frames, order), and their numbers of frames.
    like : array of shape (order,)
        Of the dtype of the clips and these arrays.
    margin : int
        Zeros before the first sample of a clip.
    hop, frame_length : int
    energies : array of shape (n_clips,)
        Gets the sum of squares of each clip.
    """
    forward, backward = np.empty(frame_length), np.empty(frame_length)
    coefficients = np.empty(len(like))
    for index in range(len(clips)):
        clip = carray(pointer(clips[index], like), lengths[index])
        rows = carray(pointer(outs[index], like), (counts[index], len(like)))
        energies[index] = sum_of_squares(clip)
        for t in range(len(rows)):
            start = t * hop - margin
            begin = min(max(-start, 0), frame_length)
            end = max(min(len(clip) - start, frame_length), begin)
            backward[:begin] = 0.0
            inside, samples = backward[begin:end], clip[start + begin : start + end]
            for n in range(len(inside)):
                inside[n] = samples[n]
            backward[end:] = 0.0
            lattice(forward, backward, coefficients)
            row = rows[t]
            for i in range(len(row)):
                row[i] = coefficients[i]


@inlined
def lattice(forward: np.ndarray, backward: np.ndarray, a: np.ndarray) -> None:
    """Coefficients of the frame in `backward`, which is lost: fills `a`.

    L. Marple, "A new autoregressive spectrum analysis algorithm", IEEE Trans. Acoust., Speech,
    Signal Process. 28(4), 1980.
    """
    frame_length = len(backward)
    energy = 0.0
    for n in range(frame_length):
        energy += backward[n] * backward[n]
    if not 1e-200 < energy < 1e200:
        peak = 0.0
        for n in range(frame_length):
            peak = max(peak, abs(backward[n]))
        if 0.0 < peak < np.inf:
            # A power of two changes no coefficient, and keeps the squares in range.
            scale = math.ldexp(1.0, -max(math.frexp(peak)[1], -1000))
            for n in range(frame_length):
                backward[n] *= scale
    cross = forward_energy = backward_energy = 0.0
    for n in range(frame_length - 1):
        f, b = backward[n + 1], backward[n]
        forward[n] = f
        cross += f * b
        forward_energy += f * f
        backward_energy += b * b
    for m in range(len(a)):
        # Marple's equations 15 and 16; the sums themselves keep |reflection| <= 1, which
        # his recursion 17, like every method on autocorrelations, loses on frames that
        # are predicted almost exactly.
        energy = forward_energy + backward_energy
        reflection = -2.0 * cross / energy if energy != 0.0 else 0.0
        for i in range((m + 1) // 2):  # equation 5, from both ends
            first, last = a[i], a[m - 1 - i]
            a[i] = first + reflection * last
            a[m - 1 - i] = last + reflection * first
        a[m] = reflection
        # Equations 13 and 14, and the next sums in the same pass. Forward errors move down
        # one place, so that those multiplied next stand side by side.
        cross = forward_energy = backward_energy = 0.0
        for n in range(frame_length - m - 2):
            f = forward[n + 1] + reflection * backward[n + 1]
            b = backward[n] + reflection * forward[n]
            forward[n] = f
            backward[n] = b
            cross += f * b
            forward_energy += f * f
            backward_energy += b * b
