"""Tiles of images to and from the form in which Winograd multiplies them (compiled by numba)."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from .._compile import compiled
from ..features._lanes import load, maximum, repeat, store, width

__all__ = ["gather_kernel", "scatter_kernel"]

inlined = njit(nogil=True, error_model="numpy", forceinline=True)


def scatter_kernel() -> Callable[..., None]:
    """`scatter_tiles` for float32."""
    floats = "float32[::1]"
    return compiled(scatter_tiles, f"void({floats}, {', '.join(['int64'] * 6)}, {floats})")


def gather_kernel() -> Callable[..., None]:
    """`gather_tiles` for float32."""
    floats = "float32[::1]"
    return compiled(
        gather_tiles,
        f"void({floats}, int64, int64, {floats}, boolean, {', '.join(['int64'] * 4)}, {floats})",
    )


@inlined
def spread(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, like: np.ndarray) -> Any:
    """Six samples as factors: B transposed of Lavin and Gray's F(4, 3)."""
    two, four, five = like.dtype.type(2.0), like.dtype.type(4.0), like.dtype.type(5.0)
    even, odd = e - c * four, d - b * four
    half_even, half_odd = e - c, (d - b) * two
    return (
        a * four - c * five + e,
        even + odd,
        even - odd,
        half_even + half_odd,
        half_even - half_odd,
        b * four - d * five + f,
    )


@inlined
def collect(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, like: np.ndarray) -> Any:
    """Six products as four samples: A transposed of Lavin and Gray's F(4, 3)."""
    two, four, eight = like.dtype.type(2.0), like.dtype.type(4.0), like.dtype.type(8.0)
    total, difference = b + c, b - c
    double, twice = d + e, d - e
    return (
        a + total + double,
        difference + twice * two,
        total + double * four,
        difference + twice * eight + f,
    )


def scatter_tiles(
    images: np.ndarray,
    n_images: int,
    rows: int,
    columns: int,
    channels: int,
    step: int,
    tile_step: int,
    factors: np.ndarray,
) -> None:
    """Squares of 6 × 6 samples, 4 apart, as 36 factors: fills `factors`.

    Parameters
    ----------
    images : array
        (n_images, 4 * rows + 2, 4 * columns + 2, channels), flat.
    n_images, rows, columns : int
        Images, and how many squares they have in each direction.
    channels : int
        A multiple of the lanes.
    step, tile_step : int
        From one factor of a square to its next, and from a square to the next.
    factors : array
        Flat.
    """
    lanes, line = width(images), (4 * columns + 2) * channels
    work = np.empty(36 * lanes, images.dtype)
    tile = 0
    for i in range(n_images):
        for row in range(rows):
            for column in range(columns):
                corner = (i * (4 * rows + 2) + 4 * row) * line + 4 * column * channels
                for channel in range(0, channels, lanes):
                    for x in range(6):
                        at = corner + x * channels + channel
                        made = spread(
                            load(images, at),
                            load(images, at + line),
                            load(images, at + 2 * line),
                            load(images, at + 3 * line),
                            load(images, at + 4 * line),
                            load(images, at + 5 * line),
                            images,
                        )
                        for y in range(6):
                            store(work, (6 * y + x) * lanes, made[y])
                    for y in range(6):
                        at = 6 * y * lanes
                        made = spread(
                            load(work, at),
                            load(work, at + lanes),
                            load(work, at + 2 * lanes),
                            load(work, at + 3 * lanes),
                            load(work, at + 4 * lanes),
                            load(work, at + 5 * lanes),
                            images,
                        )
                        to = 6 * y * step + tile * tile_step + channel
                        for x in range(6):
                            store(factors, to + x * step, made[x])
                tile += 1


def gather_tiles(
    products: np.ndarray,
    step: int,
    tile_step: int,
    bias: np.ndarray,
    relu: bool,
    n_images: int,
    height: int,
    breadth: int,
    channels: int,
    images: np.ndarray,
) -> None:
    """36 products as squares of 4 × 4 samples, plus a bias: fills `images`.

    Parameters
    ----------
    products : array
        36 for each square and channel, flat.
    step, tile_step : int
        From one product of a square to its next, and from a square to the next.
    bias : array of shape (channels,)
    relu : bool
        Whether to take zero for what is negative.
    n_images, height, breadth, channels : int
        Shape of the images; channels are a multiple of the lanes.
    images : array
        Flat.
    """
    lanes = width(products)
    rows, columns = -(-height // 4), -(-breadth // 4)
    work = np.empty(24 * lanes, products.dtype)
    least = repeat(products, 0.0 if relu else -np.inf)
    tile = 0
    for i in range(n_images):
        for row in range(rows):
            for column in range(columns):
                for channel in range(0, channels, lanes):
                    for x in range(6):
                        at = x * step + tile * tile_step + channel
                        made = collect(
                            load(products, at),
                            load(products, at + 6 * step),
                            load(products, at + 12 * step),
                            load(products, at + 18 * step),
                            load(products, at + 24 * step),
                            load(products, at + 30 * step),
                            products,
                        )
                        for y in range(4):
                            store(work, (6 * y + x) * lanes, made[y])
                    offset = load(bias, channel)
                    for y in range(min(4, height - 4 * row)):
                        at = 6 * y * lanes
                        made = collect(
                            load(work, at),
                            load(work, at + lanes),
                            load(work, at + 2 * lanes),
                            load(work, at + 3 * lanes),
                            load(work, at + 4 * lanes),
                            load(work, at + 5 * lanes),
                            products,
                        )
                        line = (i * height + 4 * row + y) * breadth + 4 * column
                        for x in range(min(4, breadth - 4 * column)):
                            sample = maximum(made[x] + offset, least)
                            store(images, (line + x) * channels + channel, sample)
                tile += 1
