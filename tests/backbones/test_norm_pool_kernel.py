"""The compiled loops against numpy, on numbers small enough to follow."""

import numpy as np
import pytest

from sktl.backbones._norm_pool_kernel import backward_kernel, forward_kernel

RNG = np.random.default_rng(0)
EPS = 1e-5
GROUPS = 4


def normalised(images):
    n, height, width, _ = images.shape
    grouped = images.reshape(n, height, width, GROUPS, -1)
    mean = grouped.mean((1, 2, 4), keepdims=True)
    deviation = np.sqrt(grouped.var((1, 2, 4), keepdims=True) + EPS)
    return ((grouped - mean) / deviation).reshape(images.shape)


def pooled(images, weight, bias, step):
    values = normalised(images) * weight + bias
    n, height, width, channels = images.shape
    made = np.zeros((n, -(-height // 2), -(-width // step), channels))
    for y in range(made.shape[1]):
        for x in range(made.shape[2]):
            window = values[:, 2 * y : 2 * y + 2, step * x : step * x + step]
            made[:, y, x] = np.maximum(window.max((1, 2)), 0)
    return made


def case(height, width):
    images = RNG.normal(size=(2, height, width, 16)) + 0.5
    return images, RNG.normal(size=16), RNG.normal(size=16)


def forward(images, weight, bias, step):
    n, height, width, channels = images.shape
    made = np.full((n, -(-height // 2), -(-width // step), channels), np.nan, np.float32)
    statistics = np.full((n, GROUPS, 2), np.nan, np.float32)
    single = (v.astype(np.float32).ravel() for v in (images, weight, bias))
    given, weight, bias = single
    sizes = height, width, channels, step, GROUPS, n
    forward_kernel()(given, *sizes, EPS, weight, bias, made.ravel(), statistics.ravel())
    return made, statistics


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("size", [(4, 6), (5, 3), (1, 1)])
def test_forward_is_the_maximum_of_what_is_normalised(size, step):
    images, weight, bias = case(*size)
    made, statistics = forward(images, weight, bias, step)
    np.testing.assert_allclose(made, pooled(images, weight, bias, step), rtol=1e-4, atol=1e-5)
    grouped = images.reshape(2, -1, GROUPS, 4)
    np.testing.assert_allclose(statistics[..., 0], grouped.mean((1, 3)), rtol=1e-4, atol=1e-6)
    deviation = np.sqrt(grouped.var((1, 3)) + EPS)
    np.testing.assert_allclose(statistics[..., 1], 1 / deviation, rtol=1e-4)


@pytest.mark.parametrize("step", [1, 2])
def test_backward_is_the_slope_of_forward(step):
    images, weight, bias = case(3, 5)
    made, statistics = forward(images, weight, bias, step)
    slopes = RNG.normal(size=made.shape)
    found = [np.full(shape, np.nan, np.float32) for shape in (images.shape, (2, 16), (2, 16))]
    arrays = (weight, bias, statistics, slopes)
    backward_kernel()(
        images.astype(np.float32).ravel(),
        *(3, 5, 16, step, GROUPS, 2),
        *(v.astype(np.float32).ravel() for v in arrays),
        *(v.ravel() for v in found),
    )

    def loss(*given):
        return (pooled(*given, step) * slopes).sum((1, 2, 3))

    of_images, of_weight, of_bias = found
    for _ in range(5):
        by = RNG.normal(size=images.shape), RNG.normal(size=16), RNG.normal(size=16)
        small = 1e-6
        ahead, behind = (
            loss(*(v + sign * small * d for v, d in zip((images, weight, bias), by, strict=True)))
            for sign in (1, -1)
        )
        expected = (ahead - behind) / (2 * small)
        given = (of_images * by[0]).sum((1, 2, 3)) + of_weight @ by[1] + of_bias @ by[2]
        np.testing.assert_allclose(given, expected, rtol=1e-3, atol=1e-3)
