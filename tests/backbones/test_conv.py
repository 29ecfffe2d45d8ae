"""A convolution and its normalisation in one step are the two of them."""

import pytest
import torch
from torch import nn

from sktl.backbones._conv import channels_last, conv_norm_relu


@pytest.fixture
def images():
    return torch.randn(3, 4, 9, 7, generator=torch.Generator().manual_seed(0)).double()


def layers(bias=False, affine=True):
    conv = nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=bias)
    bn = nn.BatchNorm2d(6, eps=1e-3, affine=affine)
    nn.init.uniform_(bn.running_mean, -1, 1)
    nn.init.uniform_(bn.running_var, 0.5, 2)
    if affine:
        nn.init.uniform_(bn.weight, -1, 1)
        nn.init.uniform_(bn.bias, -1, 1)
    return conv.double(), bn.double()


@pytest.mark.parametrize(("bias", "affine"), [(False, True), (True, True), (True, False)])
def test_frozen_layers_give_what_they_give_one_after_the_other(images, bias, affine):
    conv, bn = layers(bias, affine)
    bn.eval()
    expected = bn(conv(images)).relu()
    for module in (conv, bn):
        module.requires_grad_(False)
    torch.testing.assert_close(conv_norm_relu(conv, bn, images), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_trained_layers_are_given_the_gradients_of_one_after_the_other(images, training):
    conv, bn = layers(bias=True)
    bn.train(training)
    before = bn.running_mean.clone()
    images.requires_grad_(True)
    learning = [images, *conv.parameters(), *bn.parameters()]
    found = torch.autograd.grad(conv_norm_relu(conv, bn, images).square().sum(), learning)
    assert torch.equal(bn.running_mean, before) != training
    expected = torch.autograd.grad(bn(conv(images)).relu().square().sum(), learning)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_a_small_image_passes_a_1x1_convolution_as_rows_in_training_too():
    conv, bn = nn.Conv2d(16, 32, 1, bias=False), nn.BatchNorm2d(32).eval()
    images = torch.randn(5, 16, 3, 2, requires_grad=True)
    learning = [images, *conv.parameters(), *bn.parameters()]
    found = torch.autograd.grad(conv_norm_relu(conv, bn, images).square().sum(), learning)
    expected = torch.autograd.grad(bn(conv(images)).relu().square().sum(), learning)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_without_running_statistics_layers_run_one_after_the_other(images):
    conv, bn = nn.Conv2d(4, 6, 3).double(), nn.BatchNorm2d(6, track_running_stats=False).double()
    expected = bn.eval()(conv(images)).relu()
    torch.testing.assert_close(conv_norm_relu(conv, bn, images), expected)


def test_gradients_pass_frozen_layers(images):
    conv, bn = layers()
    bn.eval()
    for module in (conv, bn):
        module.requires_grad_(False)
    images.requires_grad_(True)
    conv_norm_relu(conv, bn, images).sum().backward()
    assert images.grad.abs().sum() > 0


def test_convolutions_over_time_are_taken_too():
    conv, bn = nn.Conv1d(4, 6, 3, padding=1), nn.BatchNorm1d(6).eval()
    nn.init.uniform_(bn.running_mean, -1, 1)
    values = torch.randn(2, 4, 11)
    expected = bn(conv(values)).relu()
    for module in (conv, bn):
        module.requires_grad_(False)
    torch.testing.assert_close(conv_norm_relu(conv, bn, values), expected)


def test_hooks_and_wrapped_convolutions_are_run(images):
    conv, bn = layers()
    bn.eval()
    for module in (conv, bn):
        module.requires_grad_(False)
    expected = bn(conv(images)).relu()
    seen = []
    handle = conv.register_forward_hook(lambda *_: seen.append(1))
    torch.testing.assert_close(conv_norm_relu(conv, bn, images), expected)
    assert seen == [1]
    handle.remove()
    torch.testing.assert_close(conv_norm_relu(nn.Sequential(conv), bn, images), expected)


@pytest.mark.parametrize("size", [(3, 2), (1, 1), (9, 7)])
@pytest.mark.parametrize("n", [1, 20])
def test_small_images_pass_a_1x1_convolution_as_rows(size, n):
    conv = nn.Conv2d(16, 32, 1).requires_grad_(False)
    images = torch.randn(n, 16, *size)
    expected = conv.double()(images.double()).relu().float()
    found = conv_norm_relu(conv.float(), None, images)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    if size != (9, 7):
        alone = torch.cat([conv_norm_relu(conv, None, image) for image in images.split(1)])
        assert torch.equal(alone, found)


@pytest.mark.parametrize("trained", [True, False])
def test_a_3x3_convolution_alone_gives_what_torch_gives(trained):
    conv = nn.Conv2d(16, 32, 3, padding=1).requires_grad_(trained)
    images = torch.randn(2, 16, 40, 30)
    expected = conv.double()(images.double()).relu().float()
    found = conv_norm_relu(conv.float(), None, images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert found.requires_grad == trained


def test_gradients_pass_a_frozen_3x3_convolution():
    conv = nn.Conv2d(16, 16, 3, padding=1).requires_grad_(False)
    images = torch.randn(1, 16, 40, 40, requires_grad=True)
    conv_norm_relu(conv, None, images).sum().backward()
    found = images.grad.clone()
    images.grad = None
    conv(images).relu().sum().backward()
    torch.testing.assert_close(found, images.grad)


def test_spectrograms_become_images_of_one_channel_in_the_layout_torch_looks_for():
    spectrograms = torch.arange(12.0).view(1, 4, 3)
    images = channels_last(spectrograms)
    assert torch.equal(images, spectrograms.unsqueeze(1))
    assert torch.conv2d(images, torch.ones(8, 1, 1, 1)).is_contiguous(
        memory_format=torch.channels_last
    )
    assert channels_last(spectrograms.double()).shape == images.shape
