"""Normalisation, ReLU and maximum in one go, against torch's layers in double precision."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from sktl.backbones import _norm_pool
from sktl.backbones._norm_pool import PooledConvolution, norm_relu_pool

SHAPES = [(3, 16, 7, 9), (2, 32, 8, 6), (1, 64, 1, 1), (4, 16, 1, 5), (2, 48, 5, 1)]


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def layer(n_channels, dtype=torch.float32):
    norm = nn.GroupNorm(4, n_channels).to(dtype)
    with torch.no_grad():
        norm.weight.copy_(draw(n_channels, seed=1))
        norm.bias.copy_(draw(n_channels, seed=2))
    return norm


def by_layers(images, norm, step):
    return functional.max_pool2d(torch.relu(norm(images)), (2, step), ceil_mode=True)


def value_and_gradients(function, images, dtype, step):
    images = images.to(dtype).requires_grad_()
    norm = layer(images.shape[1], dtype)
    made = function(images, norm, step)
    slopes = draw(*made.shape, seed=3).to(dtype)
    return made.detach(), *torch.autograd.grad((made * slopes).sum(), [images, *norm.parameters()])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("step", [1, 2])
def test_equals_the_layers_there_and_back(shape, step, monkeypatch):
    images = 2 * draw(*shape) + 1.5
    expected = value_and_gradients(by_layers, images, torch.float64, step)
    monkeypatch.setattr(functional, "max_pool2d", None)  # not by torch's layers
    for layout in (torch.contiguous_format, torch.channels_last):
        given = images.contiguous(memory_format=layout)
        found = value_and_gradients(norm_relu_pool, given, torch.float32, step)
        for a, b in zip(found, expected, strict=True):
            assert a.dtype == torch.float32
            torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("images", "norm"),
    [
        (draw(2, 16, 5, 7).double(), layer(16, torch.float64)),
        (draw(2, 12, 5, 7), layer(12)),
        (draw(2, 16, 5, 7), nn.GroupNorm(4, 16, affine=False)),
        (draw(2, 16, 5, 7), nn.BatchNorm2d(16)),
    ],
)
def test_what_is_not_compiled_goes_through_the_layers(images, norm):
    torch.testing.assert_close(
        norm_relu_pool(images, norm), by_layers(images, norm, 2), rtol=0, atol=0
    )


def test_hooks_of_the_normalisation_are_called():
    norm, seen = layer(16), []
    norm.register_forward_hook(lambda *args: seen.append(args))
    norm_relu_pool(draw(2, 16, 4, 4), norm)
    assert len(seen) == 1


def test_a_large_mean_costs_few_digits():
    images = draw(2, 16, 20, 30)
    expected = by_layers(images.double(), layer(16, torch.float64), 2)
    found = norm_relu_pool(images + 1000, layer(16))
    # The sum itself is rounded to 6e-5.
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=5e-4)


def test_an_image_does_not_depend_on_the_others_nor_on_threads(monkeypatch):
    monkeypatch.setattr(_norm_pool, "VALUES_PER_THREAD", 500)
    images = draw(5, 16, 9, 8)
    norm = layer(16)
    whole = norm_relu_pool(images, norm)
    for i in range(5):
        assert torch.equal(norm_relu_pool(images[i : i + 1], norm), whole[i : i + 1])
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        first = value_and_gradients(norm_relu_pool, images, torch.float32, 2)
    finally:
        torch.set_num_threads(before)
    for a, b in zip(
        first, value_and_gradients(norm_relu_pool, images, torch.float32, 2), strict=True
    ):
        assert torch.equal(a, b)


def test_of_equal_values_the_first_has_the_slope():
    images = torch.zeros(1, 16, 2, 4)
    images[..., 2:] = 1.0
    images.requires_grad_()
    norm = nn.GroupNorm(4, 16)
    found = torch.autograd.grad(norm_relu_pool(images, norm)[..., 1].sum(), images)[0]
    doubled = images.detach().double().requires_grad_()
    expected = torch.autograd.grad(by_layers(doubled, norm.double(), 2)[..., 1].sum(), doubled)[0]
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


def test_what_is_not_a_number_stays_so():
    images = draw(2, 16, 4, 4)
    images[0, 3, 2, 1] = float("nan")
    found = norm_relu_pool(images, layer(16))
    assert found[0, :4].isnan().all()
    assert found[1].isfinite().all()


def test_silence_is_the_bias_and_has_finite_slopes():
    images = torch.zeros(2, 16, 5, 5, requires_grad=True)
    norm = layer(16)
    found = norm_relu_pool(images, norm)
    expected = norm.bias.detach().clamp(min=0)[:, None, None].expand(16, 3, 3)
    assert torch.equal(found[0].detach(), expected)
    found.sum().backward()
    assert images.grad.isfinite().all()


def test_no_image_at_all_and_weights_that_do_not_learn():
    assert norm_relu_pool(torch.zeros(0, 16, 5, 7), layer(16)).shape == (0, 16, 3, 4)
    norm = layer(16).requires_grad_(False)
    images = draw(2, 16, 4, 4).requires_grad_()
    norm_relu_pool(images, norm).sum().backward()
    assert images.grad.any()
    assert norm.weight.grad is None


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_convolution_with_all_that_follows_it(step, dtype):
    block = PooledConvolution(1, 16, step).to(dtype)
    images = draw(3, 10, 13).to(dtype)
    expected = by_layers(
        functional.conv2d(images[:, None], block.conv.weight, padding=1), block.norm, step
    )
    for given in (images, images[:, None]):
        torch.testing.assert_close(block(given), expected, rtol=1e-4, atol=1e-5)
    assert [name for name, _ in block.named_parameters()] == [
        "conv.weight",
        "norm.weight",
        "norm.bias",
    ]


def test_in_bf16_the_convolution_alone_is_less_exact():
    block, images = PooledConvolution(1, 16), draw(2, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found, convolved = block(images), block.conv(images[:, None])
    assert found.dtype == torch.float32
    assert convolved.dtype == torch.bfloat16
    expected = by_layers(convolved.float(), block.norm, 2)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    found.sum().backward()
    assert block.conv.weight.grad.dtype == torch.float32
