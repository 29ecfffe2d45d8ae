"""Products by oneDNN are products, row by row, and only where no gradient is asked for."""

import threading

import pytest
import torch
from llvmlite import binding
from torch import nn
from torch.nn import functional

from sktl.backbones import YAMNet, _conv1d, _products, _winograd
from sktl.backbones._products import at_speed, linear, prefers_onednn

needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"),
    reason="this build of torch has no oneDNN",
)


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def onednn(monkeypatch):
    """As on processors where oneDNN is faster."""
    for module in (_products, _conv1d, _winograd):
        monkeypatch.setattr(module, "prefers_onednn", lambda: True)


@needs_onednn
@pytest.mark.parametrize(("name", "prefers"), [("znver5", True), ("skylake-avx512", False)])
def test_the_processor_decides(monkeypatch, name, prefers):
    monkeypatch.setattr(binding, "get_host_cpu_name", lambda: name)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    assert prefers_onednn.__wrapped__() is prefers
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not prefers_onednn.__wrapped__()


@needs_onednn
@pytest.mark.filterwarnings("ignore:TF32 acceleration")
def test_onednn_can_be_switched_off(onednn, rng):
    values, weight = torch.randn(40, 96, generator=rng), torch.randn(64, 96, generator=rng)
    with torch.backends.mkldnn.flags(enabled=False):
        assert torch.equal(linear(values, weight), functional.linear(values, weight))
    assert torch.backends.mkldnn.enabled


@needs_onednn
@pytest.mark.parametrize("shape", [(1, 48), (7, 48), (2, 5, 48), (0, 48), (48,)])
@pytest.mark.parametrize("with_bias", [False, True])
def test_linear_is_that_of_torch(onednn, rng, shape, with_bias):
    values = torch.randn(shape, generator=rng)
    weight = torch.randn(20, 48, generator=rng)
    bias = torch.randn(20, generator=rng) if with_bias else None
    found = linear(values, weight, bias)
    assert found.shape == (*shape[:-1], 20)
    torch.testing.assert_close(found, functional.linear(values, weight, bias))


@needs_onednn
def test_matrices_with_gaps_are_copied(onednn, rng):
    values, weight = torch.randn(30, 64, generator=rng), torch.randn(32, 16, generator=rng)
    expected = functional.linear(values[::2, ::2], weight.T)
    torch.testing.assert_close(linear(values[::2, ::2], weight.T), expected)


@pytest.mark.skipif(not prefers_onednn(), reason="MKL is as fast on this processor")
@pytest.mark.parametrize("sizes", [(64, 128), (768, 768), (1536, 512), (3072, 768)])
def test_a_row_gives_the_same_bits_among_any_others(rng, sizes):
    values = torch.randn(300, sizes[0], generator=rng)
    weight, bias = torch.randn(*sizes[::-1], generator=rng), torch.randn(sizes[1], generator=rng)
    together = linear(values, weight, bias)
    for n_rows in (1, 2, 3, 15, 16, 31, 64, 150):
        for start in (0, 7, 300 - n_rows):
            rows = slice(start, start + n_rows)
            assert torch.equal(linear(values[rows], weight, bias), together[rows])


def test_gradients_reach_weights_and_values(onednn, rng):
    layer = nn.Linear(8, 4)
    values = torch.randn(5, 8, generator=rng, requires_grad=True)
    linear(values, layer.weight, layer.bias).sum().backward()
    assert values.grad is not None
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer.bias.grad, torch.full((4,), 5.0))


@needs_onednn
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes_are_those_of_torch(onednn, rng, dtype):
    values = torch.randn(5, 8, generator=rng).to(dtype)
    weight = torch.randn(4, 8, generator=rng).to(dtype)
    assert torch.equal(linear(values, weight), functional.linear(values, weight))


@needs_onednn
def test_layers_multiply_so_in_the_context_alone(onednn, monkeypatch, rng):
    calls = []
    monkeypatch.setattr(_products, "linear", lambda *args: calls.append(1) or linear(*args))
    layer, values = nn.Linear(8, 4), torch.randn(5, 8, generator=rng)
    expected = layer(values)
    with at_speed():
        assert layer(values).requires_grad
    with torch.no_grad():
        layer(values)
        with at_speed():
            torch.testing.assert_close(layer(values), expected)
            thread = threading.Thread(target=layer, args=(values,))
            thread.start()
            thread.join()
    assert len(calls) == 1


@needs_onednn
def test_a_network_gives_the_same_numbers_either_way(monkeypatch, rng):
    network, units = YAMNet().eval(), torch.randn(3, 96, 64, generator=rng)
    found = []
    for prefers in (False, True):
        for module in (_products, _conv1d, _winograd):
            monkeypatch.setattr(module, "prefers_onednn", lambda prefers=prefers: prefers)
        with torch.no_grad():
            found.append(network(units))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


@needs_onednn
@pytest.mark.parametrize("n_rows", [12, 2 * _conv1d.WINDOWS, 2 * _conv1d.WINDOWS + 2])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (2, 2), (10, 5), (7, 2), (3, 1)])
def test_convolutions_over_time_are_those_of_torch(onednn, rng, n_rows, kernel, stride):
    rows = torch.randn(n_rows // stride * stride, 16, generator=rng)
    weight, bias = torch.randn(24, 16, kernel, generator=rng), torch.randn(24, generator=rng)
    expected = functional.conv1d(rows.T, weight, bias, stride=stride).T
    found = _conv1d.conv_rows(rows, weight, bias, stride)
    assert found.shape == (len(rows) // stride, 24)
    torch.testing.assert_close(found[: len(expected)], expected, rtol=1e-4, atol=1e-4)


@needs_onednn
def test_convolutions_of_images_are_those_of_torch(onednn, rng):
    images, weight = (
        torch.randn(3, 16, 13, 30, generator=rng),
        torch.randn(48, 16, 3, 3, generator=rng) / 12,
    )
    expected = functional.conv2d(images, weight, padding=1)
    torch.testing.assert_close(
        _winograd.conv3x3(images, weight, None), expected, rtol=1e-4, atol=1e-4
    )
