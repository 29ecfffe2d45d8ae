"""What is made of weights is kept while they stay as they are, and never used after."""

import copy
import gc
import pickle

import pytest
import torch
from torch import nn

from sktl.backbones._kept import Kept
from sktl.backbones._winograd import conv3x3


@pytest.fixture
def kept():
    """Doubles weights, and counts how often."""

    def make(weight):
        make.calls += 1
        return 2 * weight

    make.calls = 0
    return Kept(make), make


def test_the_same_weights_are_not_computed_again(kept):
    function, make = kept
    layer = nn.Linear(4, 3)
    with torch.no_grad():
        first = function(layer, layer.weight)
        assert function(layer, layer.weight) is first
    torch.testing.assert_close(first, 2 * layer.weight.detach())
    assert make.calls == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: layer.weight.data.mul_(3.0),
        lambda layer: layer.load_state_dict(nn.Linear(4, 3).state_dict()),
        lambda layer: setattr(layer, "weight", nn.Parameter(torch.ones(3, 4))),
        lambda layer: layer.weight.data.view(-1)[7:8].add_(1e-6),
        lambda layer: setattr(layer, "weight", nn.Parameter(torch.ones(3, 5))),
    ],
)
def test_every_change_of_weights_is_noticed(kept, change):
    function, _ = kept
    layer = nn.Linear(4, 3)
    with torch.no_grad():
        function(layer, layer.weight)
        change(layer)
        assert torch.equal(function(layer, layer.weight), 2 * layer.weight)


def test_results_die_with_their_layer(kept):
    function, _ = kept
    layer = nn.Linear(4, 3)
    with torch.no_grad():
        function(layer, layer.weight)
    assert len(function._found) == 1
    del layer
    gc.collect()
    assert len(function._found) == 0


def test_what_does_not_fit_is_computed_each_time():
    layers = [nn.Linear(4, 3) for _ in range(3)]
    function = Kept(lambda weight: 2 * weight, most_bytes=2 * 2 * 12 * 4)
    with torch.no_grad():
        for layer in layers:
            assert torch.equal(function(layer, layer.weight), 2 * layer.weight)
        assert len(function._found) == 2
        layers[0].weight.data.zero_()
        assert not function(layers[0], layers[0].weight).any()
        assert len(function._found) == 2


def test_a_layer_is_copied_and_pickled_without_what_is_kept():
    layer = nn.Conv2d(16, 16, 3, padding=1)
    before = len(pickle.dumps(layer))
    images = torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first = conv3x3(images, layer.weight, layer.bias, owner=layer)
        other = copy.deepcopy(layer)
        other.weight.mul_(2.0)
        twice = conv3x3(images, other.weight, None, owner=other)
        assert torch.equal(conv3x3(images, layer.weight, layer.bias, owner=layer), first)
        torch.testing.assert_close(twice, 2 * conv3x3(images, layer.weight, None, owner=layer))
    assert len(pickle.dumps(layer)) == before
