"""The convolutional network."""

import pytest
import torch

from sktl.backbones import CNN


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (64, 1), (3, 2), (64, 96), (5, 400)])
def test_any_size_of_image_works(shape):
    network = CNN()
    embedding = network(torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)))
    assert embedding.shape == (2, network.embedding_size)
    assert torch.isfinite(embedding).all()


def test_a_row_of_a_training_batch_does_not_depend_on_the_others():
    network = CNN().double().train()
    rows = torch.randn(4, 20, 30, generator=torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(network(rows)[:1], network(rows[:1]))


def test_embedding_is_the_mean_and_the_maximum_of_each_channel():
    network = CNN(channels=(4, 8))
    activations = torch.arange(48.0).view(1, 8, 2, 3)
    pooled = network.pool(activations)
    assert pooled.shape == (1, network.embedding_size)
    assert pooled[0, :8].tolist() == [6 * c + 2.5 for c in range(8)]
    assert pooled[0, 8:].tolist() == [6 * c + 5.0 for c in range(8)]


def test_silence_has_finite_gradients():
    network = CNN()
    network(torch.zeros(2, 10, 10)).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())
