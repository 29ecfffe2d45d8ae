"""Small convolutional network on spectrograms."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from ._base import Backbone, InputSpec
from ._norm_pool import PooledConvolution

__all__ = ["CNN"]


class CNN(Backbone):
    """Blocks of 3×3 convolution, group normalisation, ReLU and 2×2 max pooling.

    Group normalisation (Wu and He, "Group normalization", ECCV 2018) sees one row at a
    time, so that small batches train and no row depends on its batch. The embedding is the
    mean and the maximum of each channel over bands and frames; any size from 1×1 works.

    Parameters
    ----------
    channels : sequence of int, default=(16, 32, 64, 128)
        Channels of each block, multiples of 4.

    Examples
    --------
    >>> import torch
    >>> from sktl.backbones import CNN
    >>> network = CNN()
    >>> network(torch.zeros(2, 64, 96)).shape, network(torch.zeros(2, 13, 1)).shape
    (torch.Size([2, 256]), torch.Size([2, 256]))
    """

    input_spec = InputSpec("spectrogram")
    time_axis: ClassVar[Mapping[int, int]] = {4: 3}

    def __init__(self, channels: Sequence[int] = (16, 32, 64, 128)) -> None:
        super().__init__()
        widths = [1, *channels]
        self.blocks = nn.ModuleList(
            PooledConvolution(n_in, n_out) for n_in, n_out in pairwise(widths)
        )
        self.embedding_size = 2 * widths[-1]

    def pool(self, activations: Tensor) -> Tensor:
        """Mean and maximum over bands and frames."""
        flat = activations.flatten(2)
        return torch.cat([flat.mean(2), flat.amax(2)], dim=1)
