"""Layers of transformers as blocks."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from sktl.backbones import make_backbone
from sktl.backbones._hf_layers import AttentionWithin, NormedConvolution, WavLMLayer


@pytest.fixture
def convolution():
    return weight_norm(nn.Conv1d(12, 12, 5, padding=2, groups=3), dim=2)


@pytest.mark.parametrize("kernel", [4, 5])
@pytest.mark.parametrize("n_frames", [1, 2, 9, 120])
def test_a_normed_convolution_computes_what_torch_does_and_has_its_gradients(kernel, n_frames):
    convolution = weight_norm(nn.Conv1d(12, 12, kernel, padding=2, groups=3), dim=2)
    ours = NormedConvolution(convolution)
    values = torch.randn(2, 12, n_frames)
    found, expected = ours(values), convolution(values)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    found.square().mean().backward()
    expected.square().mean().backward()
    weight = convolution.parametrizations.weight
    torch.testing.assert_close(ours.scale.grad, weight.original0.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.direction.grad, weight.original1.grad, rtol=1e-4, atol=1e-5)


def test_a_normed_convolution_is_copied_and_pickled(convolution):
    with pytest.raises(RuntimeError, match="parametrized modules"):
        pickle.dumps(convolution)
    ours, values = NormedConvolution(convolution), torch.randn(2, 12, 9)
    for again in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert torch.equal(again(values), ours(values))


def attend(values):
    return functional.scaled_dot_product_attention(values, values, values, dropout_p=0.0)


def test_clips_end_to_end_attend_to_themselves_alone():
    values, counts = torch.randn(1, 2, 10, 4), [3, 1, 6]
    with AttentionWithin(counts):
        found = attend(values)
        assert torch.equal(values + values, 2 * values)
    expected = torch.cat([attend(own) for own in values.split(counts, dim=2)], dim=2)
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(attend(values), expected)


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
