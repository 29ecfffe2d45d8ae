"""Group normalisation, maximum of windows and ReLU in one go, there and back (by numba)."""

from collections.abc import Callable

import numpy as np
from numba import njit

from .._compile import compiled
from ..features._lanes import load, maximum, repeat, store, where_larger, width

__all__ = ["backward_kernel", "forward_kernel"]

inlined = njit(nogil=True, error_model="numpy", forceinline=True)

FLOATS = "float32[::1]"
SIZES = ", ".join(["int64"] * 6)


def forward_kernel() -> Callable[..., None]:
    """`normalise_and_pool` for float32."""
    floats = ", ".join([FLOATS] * 4)
    return compiled(normalise_and_pool, f"void({FLOATS}, {SIZES}, float64, {floats})")


def backward_kernel() -> Callable[..., None]:
    """`fill_gradients` for float32."""
    floats = ", ".join([FLOATS] * 7)
    return compiled(fill_gradients, f"void({FLOATS}, {SIZES}, {floats})")


@inlined
def fill_moments(
    image: np.ndarray, line: int, eps: float, sums: np.ndarray, own: np.ndarray
) -> None:
    """Mean of each group, and one over its deviation: fills `own`."""
    lanes, channels = width(image), len(sums) // 2
    # Sums of float32 lose few digits along a line, of differences from the first sample.
    for channel in range(0, channels, lanes):
        first = load(image, channel)
        total, squares = repeat(image, 0.0), repeat(image, 0.0)
        for start in range(channel, len(image), line):
            of_line, of_squares = repeat(image, 0.0), repeat(image, 0.0)
            for at in range(start, start + line, channels):
                value = load(image, at) - first
                of_line = of_line + value
                of_squares = of_squares + value * value
            total, squares = total + of_line, squares + of_squares
        store(sums, channel, total)
        store(sums, channels + channel, squares)
    n_groups, n_pixels = len(own) // 2, len(image) // channels
    size = channels // n_groups
    for group in range(n_groups):
        mean, variance = 0.0, 0.0
        for k in range(group * size, (group + 1) * size):
            mean += (image[k] + sums[k] / n_pixels) / size
        for k in range(group * size, (group + 1) * size):
            offset = image[k] - mean
            mean_square = (sums[channels + k] + 2 * offset * sums[k]) / n_pixels
            variance += (mean_square + offset * offset) / size
        own[2 * group] = mean
        own[2 * group + 1] = 1.0 / np.sqrt(variance + eps)


@inlined
def fill_affine(
    own: np.ndarray, weight: np.ndarray, bias: np.ndarray, factor: np.ndarray, shift: np.ndarray
) -> None:
    """What normalises each channel, as one factor and one shift."""
    size = len(weight) // (len(own) // 2)
    for k in range(len(weight)):
        factor[k] = weight[k] * own[2 * (k // size) + 1]
        shift[k] = bias[k] - own[2 * (k // size)] * factor[k]


def normalise_and_pool(
    images: np.ndarray,
    height: int,
    breadth: int,
    channels: int,
    step: int,
    groups: int,
    n: int,
    eps: float,
    weight: np.ndarray,
    bias: np.ndarray,
    pooled: np.ndarray,
    statistics: np.ndarray,
) -> None:
    """Fill `pooled`, (n, height / 2, breadth / step, channels), sizes rounded up.

    Parameters
    ----------
    images : array
        (n, height, breadth, channels), flat like all others; channels are a multiple of the lanes.
    height, breadth, channels : int
    step : int
        Breadth of a window, 1 or 2; it is 2 high.
    groups, n : int
    eps : float
    weight, bias : array of shape (channels,)
    pooled : array
    statistics : array
        (n, groups, 2): mean and one over the deviation; filled as well.
    """
    lanes, line = width(images), breadth * channels
    factor, shift = np.empty_like(weight), np.empty_like(weight)
    sums = np.empty(2 * channels, images.dtype)
    columns = -(-breadth // step)
    size, made = height * line, -(-height // 2) * columns * channels
    for i in range(n):
        image, own = (
            images[i * size : (i + 1) * size],
            statistics[2 * groups * i : 2 * groups * (i + 1)],
        )
        fill_moments(image, line, eps, sums, own)
        fill_affine(own, weight, bias, factor, shift)
        for channel in range(0, channels, lanes):
            a, b = load(factor, channel), load(shift, channel)
            to = i * made + channel
            for y in range(0, height, 2):
                down = line if y + 1 < height else 0
                for x in range(0, breadth, step):
                    right = channels if step == 2 and x + 1 < breadth else 0
                    at = y * line + x * channels + channel
                    upper = maximum(a * load(image, at) + b, a * load(image, at + right) + b)
                    at += down
                    lower = maximum(a * load(image, at) + b, a * load(image, at + right) + b)
                    store(pooled, to, maximum(maximum(upper, lower), repeat(image, 0.0)))
                    to += channels


def fill_gradients(
    images: np.ndarray,
    height: int,
    breadth: int,
    channels: int,
    step: int,
    groups: int,
    n: int,
    weight: np.ndarray,
    bias: np.ndarray,
    statistics: np.ndarray,
    slopes: np.ndarray,
    of_images: np.ndarray,
    of_weight: np.ndarray,
    of_bias: np.ndarray,
) -> None:
    """Fill the gradients of images, and of weight and bias by each image, from those of `pooled`.

    Parameters
    ----------
    images, height, breadth, channels, step, groups, n, weight, bias, statistics
        As above.
    slopes : array
        Like `pooled`.
    of_images : array
        Like `images`.
    of_weight, of_bias : array
        (n, channels).
    """
    lanes, line = width(images), breadth * channels
    factor, shift = np.empty_like(weight), np.empty_like(weight)
    center, scale = np.empty_like(weight), np.empty_like(weight)
    columns = -(-breadth // step)
    size, made = height * line, -(-height // 2) * columns * channels
    per_group = channels // groups
    zero = repeat(images, 0.0)
    for i in range(n):
        image, target = images[i * size : (i + 1) * size], of_images[i * size : (i + 1) * size]
        own = statistics[2 * groups * i : 2 * groups * (i + 1)]
        slope = slopes[i * made : (i + 1) * made]
        fill_affine(own, weight, bias, factor, shift)
        for k in range(channels):
            center[k] = own[2 * (k // per_group)]
        for channel in range(0, channels, lanes):
            a, b, middle = load(factor, channel), load(shift, channel), load(center, channel)
            total, moment = zero, zero
            to = channel
            for y in range(0, height, 2):
                down = line if y + 1 < height else 0
                of_line, of_moment = zero, zero
                for x in range(0, breadth, step):
                    right = channels if step == 2 and x + 1 < breadth else 0
                    at = y * line + x * channels + channel
                    best = load(image, at)
                    most = a * best + b
                    for place in (at + right, at + down, at + down + right):
                        value = load(image, place)
                        next_ = a * value + b
                        best = where_larger(next_, most, value, best)
                        most = maximum(most, next_)
                    grad = where_larger(most, zero, load(slope, to), zero)
                    of_line = of_line + grad
                    of_moment = of_moment + grad * (best - middle)
                    to += channels
                total, moment = total + of_line, moment + of_moment
            store(of_bias, i * channels + channel, total)
            store(of_weight, i * channels + channel, moment)
        for group in range(groups):
            mean, deviation = own[2 * group], own[2 * group + 1]
            first, second = 0.0, 0.0
            for k in range(group * per_group, (group + 1) * per_group):
                at = i * channels + k
                of_weight[at] *= deviation
                first += weight[k] * of_bias[at]
                second += weight[k] * of_weight[at]
            n_values = per_group * height * breadth
            # d = deviation * (slope - mean of slopes - normalised value * mean of their product)
            each = -deviation * deviation * second / n_values
            for k in range(group * per_group, (group + 1) * per_group):
                scale[k] = each
                center[k] = -deviation * first / n_values - each * mean
        for channel in range(0, channels, lanes):
            a, b = load(factor, channel), load(shift, channel)
            c, d = load(scale, channel), load(center, channel)
            to = channel
            for y in range(0, height, 2):
                down = line if y + 1 < height else 0
                for x in range(0, breadth, step):
                    right = channels if step == 2 and x + 1 < breadth else 0
                    at = y * line + x * channels + channel
                    p, q = load(image, at), load(image, at + right)
                    r, s = load(image, at + down), load(image, at + down + right)
                    p_, q_, r_, s_ = a * p + b, a * q + b, a * r + b, a * s + b
                    most = maximum(maximum(p_, q_), maximum(r_, s_))
                    rest = a * where_larger(most, zero, load(slope, to), zero)
                    to += channels
                    # The first of equal values has the slope.
                    of_p = where_larger(most, p_, zero, rest)
                    rest = rest - of_p
                    of_q = where_larger(most, q_, zero, rest)
                    rest = rest - of_q
                    of_r = where_larger(most, r_, zero, rest)
                    of_s = rest - of_r
                    # At an odd edge these are the same place: the first is written last.
                    store(target, at + down + right, c * s + d + of_s)
                    store(target, at + down, c * r + d + of_r)
                    store(target, at + right, c * q + d + of_q)
                    store(target, at, c * p + d + of_p)
