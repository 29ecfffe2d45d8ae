"""The dense network."""

import torch

from sktl.backbones import MLP


def test_default_is_two_blocks_of_256():
    network = MLP(20)
    assert len(network.blocks) == 2
    assert network.embedding_size == 256


def test_a_block_is_a_linear_map_and_relu():
    network = MLP(5, hidden=(4,))
    linear = network.blocks[0][1]
    rows = torch.linspace(-1, 1, 15).view(3, 5)
    expected = torch.clamp(rows @ linear.weight.T + linear.bias, min=0)
    torch.testing.assert_close(network(rows), expected)


def test_rows_of_several_axes_are_flattened():
    network = MLP(12)
    rows = torch.arange(24.0).view(2, 3, 4)
    assert torch.equal(network(rows), network(rows.flatten(1)))
