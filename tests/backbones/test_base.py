"""What every backbone known by name must do, and the units it works on."""

import copy
import pickle

import pytest
import torch
from torch import nn

from sktl._random import torch_seed
from sktl.backbones import (
    Backbone,
    InputSpec,
    available_backbones,
    fingerprint,
    make_backbone,
)

ROW_SHAPES = {"mlp": (20,), "cnn": (24, 31), "crnn": (24, 31), "gru": (24, 31)}
# Stand-ins of few channels.
IMAGE_NETWORKS = [
    *("torchvision:alexnet", "torchvision:convnext_tiny", "torchvision:densenet121"),
    *("torchvision:inception_v3", "torchvision:resnet18", "torchvision:vgg16?cmap=viridis"),
]
DTYPES = [torch.float32, torch.float64]


def make(name, dtype=torch.float32, seed=0):
    with torch_seed(seed):
        return make_backbone(name, weights=None, row_shape=ROW_SHAPES.get(name), dtype=dtype)


def noise(*shape, dtype=torch.float32, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def units_of(body, name, n_rows=3, dtype=torch.float32):
    if body.input_spec.kind != "waveform":
        return noise(n_rows, *ROW_SHAPES[name], dtype=dtype)
    clips = 0.1 * noise(n_rows, body.input_spec.sr, dtype=dtype)
    # Of the frames of "crepe", a hundred a second, a few are enough.
    return torch.cat(body.front_end(list(clips)))[:8]


@pytest.fixture(params=[*available_backbones(), *IMAGE_NETWORKS])
def name(request):
    if request.param in IMAGE_NETWORKS:
        request.getfixturevalue("torchvision_models")
    return request.param


@pytest.mark.parametrize("dtype", DTYPES)
def test_prefix_then_suffix_is_the_whole_at_every_depth(name, dtype):
    body = make(name, dtype).eval()
    units = units_of(body, name, dtype=dtype)
    with torch.no_grad():
        whole = body(units)
        assert whole.dtype == dtype
        assert whole.shape == (len(units), body.embedding_size)
        for depth in range(len(body.blocks) + 1):
            prefix = body.run_blocks(units, stop=depth)
            assert len(prefix) == len(units)
            # A cache gives activations back in the default memory layout.
            assert torch.equal(body(prefix, start=depth), whole)
            assert torch.equal(body(prefix.contiguous(), start=depth), whole)


def test_every_parameter_that_learns_is_in_a_block(name):
    body = make(name)
    in_blocks = {id(p) for p in body.blocks.parameters()}
    assert all(id(p) in in_blocks for p in body.parameters() if p.requires_grad)
    assert all(any(True for _ in block.parameters()) for block in body.blocks)


def test_every_learning_parameter_gets_a_gradient(name):
    body = make(name)
    body(units_of(body, name)).square().sum().backward()
    silent = [key for key, p in body.named_parameters() if p.requires_grad and p.grad is None]
    assert silent == []


def test_state_dict_round_trip(name):
    body, other = make(name).eval(), make(name, seed=1).eval()
    units = units_of(body, name)
    with torch.no_grad():
        assert not torch.equal(body(units), other(units))
        other.load_state_dict(body.state_dict())
        assert torch.equal(body(units), other(units))


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))])
def test_copies_and_pickles_compute_the_same(name, twin_of):
    body = make(name).eval()
    twin = twin_of(body)
    units = units_of(body, name)
    with torch.no_grad():
        assert torch.equal(twin(units), body(units))
    assert fingerprint(twin) == fingerprint(body)


def test_the_same_seed_gives_the_same_weights(name):
    assert fingerprint(make(name)) == fingerprint(make(name)) != fingerprint(make(name, seed=1))


def test_a_row_does_not_depend_on_its_batch(name):
    body = make(name, torch.float64).eval()
    units = units_of(body, name, n_rows=4, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(body(units)[1:2], body(units[1:2]), rtol=1e-9, atol=1e-12)


def test_float64_agrees_with_float32(name):
    single, double = make(name).eval(), make(name, torch.float64).eval()
    units = units_of(single, name)
    with torch.no_grad():
        torch.testing.assert_close(
            single(units).double(), double(units.double()), rtol=1e-3, atol=1e-4
        )


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu(name):
    body = make(name, torch.float64).eval()
    units = units_of(body, name, dtype=torch.float64)
    with torch.no_grad():
        expected = body(units)
        torch.testing.assert_close(body.cuda()(units.cuda()).cpu(), expected)


def test_a_front_end_is_refused_where_there_is_none():
    with pytest.raises(NotImplementedError, match="MLP takes features, not waveforms"):
        make("mlp").front_end([torch.zeros(10)])


class Normed(Backbone):
    input_spec = InputSpec("features")
    embedding_size = 2

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.BatchNorm1d(2)])


@pytest.mark.parametrize("fixed", [False, True])
def test_fixed_statistics_survive_training(fixed):
    body = Normed()
    body.fixed_statistics = fixed
    body.train()
    values = 5 + noise(8, 2)
    output = body(values)
    assert torch.equal(body.blocks[0].running_mean, torch.zeros(2)) == fixed
    assert torch.allclose(output.mean(0), torch.zeros(2), atol=1e-5) != fixed
    output.sum().backward()
    assert body.blocks[0].weight.grad is not None


def test_forward_averages_the_units_of_each_row():
    body = make("mlp").eval()
    units = noise(5, 20)
    offsets = torch.tensor([0, 2, 5])
    with torch.no_grad():
        each = body(units)
        expected = torch.stack([each[:2].mean(0), each[2:].mean(0)])
        torch.testing.assert_close(body(units, offsets), expected)
