"""Layers of transformers as blocks."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from sktl.backbones import make_backbone
from sktl.backbones._hf_layers import NormedConvolution, WavLMLayer


@pytest.fixture
def convolution():
    return weight_norm(nn.Conv1d(12, 12, 5, padding=2, groups=3), dim=2)


def test_a_normed_convolution_computes_what_torch_does_and_has_its_gradients(convolution):
    ours = NormedConvolution(convolution)
    values = torch.randn(2, 12, 9)
    found, expected = ours(values), convolution(values)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    found.square().sum().backward()
    expected.square().sum().backward()
    weight = convolution.parametrizations.weight
    torch.testing.assert_close(ours.scale.grad, weight.original0.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.direction.grad, weight.original1.grad, rtol=1e-4, atol=1e-5)


def test_a_normed_convolution_is_copied_and_pickled(convolution):
    with pytest.raises(RuntimeError, match="parametrized modules"):
        pickle.dumps(convolution)
    ours, values = NormedConvolution(convolution), torch.randn(2, 12, 9)
    for again in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert torch.equal(again(values), ours(values))


def test_the_biases_of_all_layers_of_wavlm_belong_to_the_first(saved_networks):
    body = make_backbone(saved_networks["wavlm"].name)
    tables = [name for name, _ in body.named_parameters() if "rel_attn_embed" in name]
    assert tables == ["blocks.1.layer.attention.rel_attn_embed.weight"]
    assert [name for name in body.state_dict() if "rel_attn_embed" in name] == tables
    n_parameters = sum(len(list(block.parameters())) for block in body.blocks)
    assert n_parameters == len(list(body.parameters()))


@pytest.mark.parametrize("again", [copy.deepcopy, lambda body: pickle.loads(pickle.dumps(body))])
def test_a_copied_wavlm_looks_up_its_own_biases(saved_networks, again):
    body = again(make_backbone(saved_networks["wavlm"].name)).eval()
    table = body.blocks[1].layer.attention.rel_attn_embed.weight
    last = body.blocks[3]
    assert isinstance(last, WavLMLayer)
    assert last._first[0] is body.blocks[1].layer
    states = torch.randn(2, 7, 24)
    before = last(states)
    with torch.no_grad():
        table.mul_(3.0)
    assert not torch.allclose(last(states), before)


def test_the_biases_learn_from_every_layer(saved_networks):
    body = make_backbone(saved_networks["wavlm"].name).eval()
    table = body.blocks[1].layer.attention.rel_attn_embed.weight
    body.blocks[2](torch.randn(2, 7, 24)).square().sum().backward()
    assert table.grad.abs().sum() > 0
