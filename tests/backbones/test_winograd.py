"""Convolutions with fewer multiplications are convolutions."""

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

from sktl.backbones._winograd import WEIGHTS, conv3x3

# A and B of F(4, 3), transposed (Lavin and Gray, 2016).
OUTPUTS = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
)
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


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


def test_the_matrix_of_the_weights_is_that_of_a_convolution():
    samples, weights = np.random.default_rng(0).normal(size=6), np.array([0.5, -2.0, 3.0])
    found = OUTPUTS @ ((WEIGHTS @ weights) * (INPUTS @ samples))
    np.testing.assert_allclose(found, np.correlate(samples, weights, "valid"), rtol=1e-12)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (4, 4), (12, 8), (13, 30), (96, 64)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_equals_torch_in_float64(rng, size, layout):
    images = torch.randn(3, 16, *size, generator=rng).contiguous(memory_format=layout)
    weight = torch.randn(48, 16, 3, 3, generator=rng) / 12
    bias = torch.randn(48, generator=rng)
    expected = conv2d(images.double(), weight.double(), bias.double(), padding=1)
    found = conv3x3(images, weight, bias)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=2e-5)
    torch.testing.assert_close(
        conv3x3(images, weight, bias, relu=True).double(), expected.relu(), rtol=1e-5, atol=2e-5
    )


def test_an_image_gives_the_same_bits_alone_and_among_others(rng):
    images = torch.randn(23, 64, 12, 8, generator=rng)
    weight = torch.randn(128, 64, 3, 3, generator=rng)
    together = conv3x3(images, weight, None)
    for i in range(len(images)):
        assert torch.equal(conv3x3(images[i : i + 1], weight, None)[0], together[i])


def test_several_threads_give_the_same_bits(rng):
    images, weight = torch.randn(9, 32, 40, 24, generator=rng), torch.randn(32, 32, 3, 3)
    before = torch.get_num_threads()
    one = conv3x3(images, weight, None)
    try:
        torch.set_num_threads(2)
        two = conv3x3(images, weight, None)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert torch.equal(one, two)


def test_nan_stays_nan(rng):
    images = torch.randn(1, 16, 8, 8, generator=rng)
    images[0, 3, 2, 2] = torch.nan
    found = conv3x3(images, torch.randn(16, 16, 3, 3), None, relu=True)
    assert found[0, :, 1:4, 1:4].isnan().all()
