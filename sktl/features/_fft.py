"""Power spectra of 16 frames side by side, in vector registers (compiled by numba).

A real FFT of even length as a complex one of half the length, by decimation in frequency; one of
odd length as a complex one of real numbers.
"""

from typing import Any

import numpy as np
from numba import njit

from ._lanes import imag, load, pack, real, square_root, store, width

__all__ = ["power_spectra"]

inlined = njit(nogil=True, error_model="numpy", forceinline=True)
helper = njit(nogil=True, error_model="numpy")


@inlined
def get(work: np.ndarray, slot: int) -> Any:
    """Complex lanes of a slot: a row of real parts, a row of imaginary ones."""
    at = 2 * slot * width(work)
    return pack(load(work, at), load(work, at + width(work)))


@inlined
def put(work: np.ndarray, slot: int, z: Any) -> None:
    at = 2 * slot * width(work)
    store(work, at, real(z))
    store(work, at + width(work), imag(z))


@inlined
def minus_i(a: Any, b: Any) -> Any:
    """``a - i b``."""
    return pack(real(a) + imag(b), imag(a) - real(b))


@inlined
def plus_i(a: Any, b: Any) -> Any:
    """``a + i b``."""
    return pack(real(a) - imag(b), imag(a) + real(b))


@inlined
def stage2(work: np.ndarray, length: int, twiddles: np.ndarray) -> None:
    half = len(work) // (2 * width(work))
    for j in range(length):
        w1 = twiddles[j]
        for at in range(j, half, 2 * length):
            a, b = get(work, at), get(work, at + length)
            put(work, at, a + b)
            put(work, at + length, (a - b) * w1)


@inlined
def stage3(work: np.ndarray, length: int, twiddles: np.ndarray) -> None:
    half = len(work) // (2 * width(work))
    sine, middle = work.dtype.type(np.sqrt(0.75)), work.dtype.type(0.5)
    for j in range(length):
        w1, w2 = twiddles[2 * j], twiddles[2 * j + 1]
        for at in range(j, half, 3 * length):
            a, b, c = get(work, at), get(work, at + length), get(work, at + 2 * length)
            total, difference = b + c, (b - c) * sine
            rest = a - total * middle
            put(work, at, a + total)
            put(work, at + length, minus_i(rest, difference) * w1)
            put(work, at + 2 * length, plus_i(rest, difference) * w2)


@inlined
def butterfly4(
    work: np.ndarray,
    at: int,
    length: int,
    x: Any,
    w1: complex,
    w2: complex,
    w3: complex,
    trivial: bool,
) -> None:
    a, b, c, d = x[0] + x[2], x[0] - x[2], x[1] + x[3], x[1] - x[3]
    put(work, at, a + c)
    if trivial:
        put(work, at + length, minus_i(b, d))
        put(work, at + 2 * length, a - c)
        put(work, at + 3 * length, plus_i(b, d))
    else:
        put(work, at + length, minus_i(b, d) * w1)
        put(work, at + 2 * length, (a - c) * w2)
        put(work, at + 3 * length, plus_i(b, d) * w3)


@inlined
def stage4(work: np.ndarray, length: int, twiddles: np.ndarray) -> None:
    half = len(work) // (2 * width(work))
    for j in range(length):
        w1, w2, w3 = twiddles[3 * j], twiddles[3 * j + 1], twiddles[3 * j + 2]
        for at in range(j, half, 4 * length):
            x0, x1 = get(work, at), get(work, at + length)
            x2, x3 = get(work, at + 2 * length), get(work, at + 3 * length)
            butterfly4(work, at, length, (x0, x1, x2, x3), w1, w2, w3, j == 0)


@inlined
def stage5(work: np.ndarray, length: int, twiddles: np.ndarray) -> None:
    half = len(work) // (2 * width(work))
    number = work.dtype.type
    cos1, cos2 = number(np.cos(0.4 * np.pi)), number(np.cos(0.8 * np.pi))
    sin1, sin2 = number(np.sin(0.4 * np.pi)), number(np.sin(0.8 * np.pi))
    for j in range(length):
        w1, w2 = twiddles[4 * j], twiddles[4 * j + 1]
        w3, w4 = twiddles[4 * j + 2], twiddles[4 * j + 3]
        for at in range(j, half, 5 * length):
            x0, x1, x2 = get(work, at), get(work, at + length), get(work, at + 2 * length)
            x3, x4 = get(work, at + 3 * length), get(work, at + 4 * length)
            a, b, c, d = x1 + x4, x2 + x3, x1 - x4, x2 - x3
            near, far = x0 + a * cos1 + b * cos2, x0 + a * cos2 + b * cos1
            steep, flat = c * sin1 + d * sin2, c * sin2 - d * sin1
            put(work, at, x0 + a + b)
            put(work, at + length, minus_i(near, steep) * w1)
            put(work, at + 2 * length, minus_i(far, flat) * w2)
            put(work, at + 3 * length, plus_i(far, flat) * w3)
            put(work, at + 4 * length, plus_i(near, steep) * w4)


@inlined
def stage_odd(work: np.ndarray, radix: int, length: int, twiddles: np.ndarray) -> None:
    """Any odd radix, whose roots of unity follow the twiddles."""
    half, middle = len(work) // (2 * width(work)), radix // 2
    roots = twiddles[length * (radix - 1) :]
    operands = np.empty(2 * radix * width(work), work.dtype)
    for j in range(length):
        turns = twiddles[j * (radix - 1) : (j + 1) * (radix - 1)]
        for at in range(j, half, radix * length):
            first = get(work, at)
            total = first
            for m in range(1, middle + 1):
                a, b = get(work, at + m * length), get(work, at + (radix - m) * length)
                put(operands, m, a + b)
                put(operands, radix - m, a - b)
                total = total + (a + b)
            put(work, at, total)
            for k in range(1, middle + 1):
                near, steep = first, first * work.dtype.type(0.0)
                for m in range(1, middle + 1):
                    root = roots[k * m % radix]
                    near = near + get(operands, m) * root.real
                    steep = steep + get(operands, radix - m) * root.imag
                put(work, at + k * length, minus_i(near, steep) * turns[k - 1])
                other = radix - k
                put(work, at + other * length, plus_i(near, steep) * turns[other - 1])


@helper
def stage(work: np.ndarray, radix: int, length: int, twiddles: np.ndarray) -> None:
    """Butterflies of operands `length` slots apart."""
    if radix == 4:
        stage4(work, length, twiddles)
    elif radix == 2:
        stage2(work, length, twiddles)
    elif radix == 3:
        stage3(work, length, twiddles)
    elif radix == 5:
        stage5(work, length, twiddles)
    elif radix > 1:
        stage_odd(work, radix, length, twiddles)


@inlined
def after_stage(twiddles: np.ndarray, radix: int, length: int) -> np.ndarray:
    """Those of the stages that follow; see `fft_tables`."""
    return twiddles[length * (radix - 1) + (radix if radix > 5 else 0) :]


@inlined
def windowed(
    columns: np.ndarray, places: np.ndarray, window: np.ndarray, shift: int, i: int
) -> Any:
    """Samples 2 i and 2 i + 1 of the frames from `shift` on, times the window.

    Of an odd number, sample i.
    """
    if len(window) % 2:
        sample = load(columns, places[i] + shift) * window[i]
        return pack(sample, sample * window.dtype.type(0.0))
    even, odd = load(columns, places[2 * i] + shift), load(columns, places[2 * i + 1] + shift)
    return pack(even * window[2 * i], odd * window[2 * i + 1])


@inlined
def first_stage(
    columns: np.ndarray,
    places: np.ndarray,
    window: np.ndarray,
    shift: int,
    work: np.ndarray,
    radix: int,
    length: int,
    twiddles: np.ndarray,
) -> None:
    if radix == 4:
        for j in range(length):
            x0 = windowed(columns, places, window, shift, j)
            x1 = windowed(columns, places, window, shift, j + length)
            x2 = windowed(columns, places, window, shift, j + 2 * length)
            x3 = windowed(columns, places, window, shift, j + 3 * length)
            w1, w2, w3 = twiddles[3 * j], twiddles[3 * j + 1], twiddles[3 * j + 2]
            butterfly4(work, j, length, (x0, x1, x2, x3), w1, w2, w3, j == 0)
    else:
        for i in range(len(work) // (2 * width(work))):
            put(work, i, windowed(columns, places, window, shift, i))
        stage(work, radix, length, twiddles)


@inlined
def transform_part(work: np.ndarray, radices: np.ndarray, twiddles: np.ndarray) -> None:
    """Remaining stages; the bins lie in the order of `FFTTables.slots` afterwards."""
    length = len(work) // (2 * width(work))
    for radix in radices:
        length //= radix
        stage(work, radix, length, twiddles)
        twiddles = after_stage(twiddles, radix, length)


@inlined
def split_power(work: np.ndarray, slots: np.ndarray, turns: np.ndarray, magnitude: bool) -> None:
    """Power of the real FFT's bins, bin k in row ``2 * slots[k]`` and the last in row 1."""
    half, lanes = len(slots), width(work)
    for k in range(half // 2 + 1):
        low, high = slots[k], slots[(half - k) % half]
        a, b = get(work, low), get(work, high)
        even = pack(real(a) + real(b), imag(a) - imag(b))
        odd = pack(real(a) - real(b), imag(a) + imag(b)) * turns[k]
        x, y = even + odd, even - odd
        store(work, 2 * low * lanes, power_of(x, magnitude))
        store(work, (2 * high + (k == 0)) * lanes, power_of(y, magnitude))


@inlined
def whole_power(work: np.ndarray, slots: np.ndarray, magnitude: bool) -> None:
    """Power of the bins of an odd length, bin k in row ``2 * slots[k]``."""
    for k in range(len(slots) // 2 + 1):
        store(work, 2 * slots[k] * width(work), power_of(get(work, slots[k]), magnitude))


@inlined
def power_of(z: Any, magnitude: bool) -> Any:
    power = real(z) * real(z) + imag(z) * imag(z)
    return square_root(power) if magnitude else power


@inlined
def power_spectra(
    columns: np.ndarray,
    places: np.ndarray,
    window: np.ndarray,
    shift: int,
    work: np.ndarray,
    radices: np.ndarray,
    twiddles: np.ndarray,
    slots: np.ndarray,
    turns: np.ndarray,
    magnitude: bool,
) -> None:
    """Power spectra of as many frames as lanes: fills `work`.

    Parameters
    ----------
    columns : array
        Samples of many frames; number i of frame t is ``columns[places[i] + t]``.
    places : array of int of shape (n_fft,)
    window : array of shape (n_fft,)
        Half of it, or an odd number of samples as they are.
    shift : int
        The first frame.
    work : array of shape (2 * len(slots) * lanes,)
        Bin k in row ``2 * slots[k]`` of as many numbers as lanes; where n_fft is even, the last
        bin in row 1.
    radices, twiddles, slots, turns : array
        `FFTTables`.
    magnitude : bool
        Whether to give magnitudes, the square roots of power.
    """
    length = len(slots) // radices[0]
    first_stage(columns, places, window, shift, work, radices[0], length, twiddles)
    twiddles = after_stage(twiddles, radices[0], length)
    size = len(work) // radices[0]
    for begin in range(0, len(work), size):  # one part after the other, in the L1 cache
        transform_part(work[begin : begin + size], radices[1:], twiddles)
    if len(window) % 2:
        whole_power(work, slots, magnitude)
    else:
        split_power(work, slots, turns, magnitude)
