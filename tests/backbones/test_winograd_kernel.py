"""Tiles to factors and products to tiles are products with two matrices (Lavin and Gray, 2016)."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from sktl.backbones._winograd_kernel import gather_kernel, scatter_kernel

INPUTS = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
OUTPUTS = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
)
RNG = np.random.default_rng(0)


# From a factor to the next and from a tile to the next, of 12 tiles: either may be the outer one.
ORDERS = {"factors outside": lambda n: (12 * n + 80, n), "tiles outside": lambda n: (n, 36 * n)}


@pytest.mark.parametrize("order", ORDERS)
def test_scatter_multiplies_every_square_from_both_sides(order):
    images = RNG.normal(size=(2, 10, 14, 32)).astype(np.float32)
    step, tile_step = ORDERS[order](32)
    factors = np.full(36 * (12 * 32 + 80), np.nan, np.float32)
    scatter_kernel()(images.ravel(), 2, 2, 3, 32, step, tile_step, factors)
    found = strided(factors, step, tile_step, 32)
    for row in range(2):
        for column in range(3):
            square = images[:, 4 * row : 4 * row + 6, 4 * column : 4 * column + 6]
            expected = np.einsum("ay,nyxc,bx->abnc", INPUTS, square, INPUTS)
            np.testing.assert_allclose(found[:, :, :, row, column], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("relu", [True, False])
def test_gather_leaves_out_what_lies_beyond_the_image(relu, order):
    products = RNG.normal(size=(6, 6, 2, 2, 3, 16)).astype(np.float32)
    bias = RNG.normal(size=16).astype(np.float32)
    images = np.full((2, 7, 9, 16), np.nan, np.float32)
    step, tile_step = ORDERS[order](16)
    flat = np.full(36 * (12 * 16 + 80), np.nan, np.float32)
    strided(flat, step, tile_step, 16)[:] = products
    gather_kernel()(flat, step, tile_step, bias, relu, 2, 7, 9, 16, images.ravel())
    tiles = np.einsum("ya,abnrqc,xb->nryqxc", OUTPUTS, products, OUTPUTS)
    expected = tiles.reshape(2, 8, 12, 16)[:, :7, :9] + bias
    expected = np.maximum(expected, 0) if relu else expected
    np.testing.assert_allclose(images, expected, rtol=1e-4, atol=1e-4)


def strided(flat, step, tile_step, channels):
    """View of (6, 6, 2 images, 2 rows, 3 columns, channels) numbers."""
    steps = (6 * step, step, 6 * tile_step, 3 * tile_step, tile_step, 1)
    return as_strided(flat, (6, 6, 2, 2, 3, channels), [4 * step for step in steps])
