"""The recurrent network."""

import pytest
import torch
from torch import nn

from sktl.backbones import GRU


@pytest.mark.parametrize("n_frames", [1, 2, 50])
def test_any_number_of_frames_works(n_frames):
    network = GRU(13)
    assert network(torch.zeros(2, 13, n_frames)).shape == (2, network.embedding_size)


def test_blocks_are_the_layers_of_one_stacked_gru():
    network = GRU(6, n_hidden=5, n_layers=3)
    stacked = nn.GRU(6, 5, num_layers=3, batch_first=True, bidirectional=True)
    for depth, layer in enumerate([network.blocks[0][1], *network.blocks[1:]]):
        for key, value in layer.gru.state_dict().items():
            stacked.state_dict()[key.replace("l0", f"l{depth}")].copy_(value)
    images = torch.randn(4, 6, 9, generator=torch.Generator().manual_seed(0))
    expected = stacked(images.transpose(1, 2))[0].mean(1)
    torch.testing.assert_close(network(images), expected)
