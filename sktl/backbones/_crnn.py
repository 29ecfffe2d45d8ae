"""Convolutions, then a recurrent layer, on spectrograms."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from ._base import Backbone, InputSpec
from ._norm_pool import PooledConvolution

__all__ = ["CRNN"]


class _Recurrence(nn.Module):
    """(n, c, bands, frames) → (n, frames, 2 n_hidden), in both directions."""

    def __init__(self, n_in: int, n_hidden: int) -> None:
        super().__init__()
        self.gru = nn.GRU(n_in, n_hidden, batch_first=True, bidirectional=True)

    def forward(self, images: Tensor) -> Tensor:
        frames = images.flatten(1, 2).transpose(1, 2)
        # A view over steps else, and the last bits of a mean depend on the layout.
        return self.gru(frames)[0].contiguous()


class CRNN(Backbone):
    """Convolutional recurrent network: blocks of a convolution each, then a GRU over frames.

    As Cakir et al., "Convolutional recurrent neural networks for polyphonic sound event
    detection", IEEE/ACM TASLP 25, 2017, with group instead of batch normalisation, so that no row
    depends on its batch. Bands are halved by each block, frames by the first one alone. The
    embedding is the mean of the recurrent layer's output over frames.

    Parameters
    ----------
    n_bands : int
        Bands of the spectrogram; the number of frames is free.
    channels : sequence of int, default=(16, 32, 64)
        Channels of each convolution, multiples of 4.
    n_hidden : int, default=64
        Units of each direction.

    Examples
    --------
    >>> import torch
    >>> from sktl.backbones import CRNN
    >>> network = CRNN(40)
    >>> network(torch.zeros(2, 40, 50)).shape, network(torch.zeros(2, 40, 1)).shape
    (torch.Size([2, 128]), torch.Size([2, 128]))
    """

    input_spec = InputSpec("spectrogram")
    time_axis: ClassVar[Mapping[int, int]] = {3: 1, 4: 3}

    def __init__(
        self, n_bands: int, channels: Sequence[int] = (16, 32, 64), n_hidden: int = 64
    ) -> None:
        super().__init__()
        convolutions = [
            PooledConvolution(n_in, n_out, 2 if number == 0 else 1)
            for number, (n_in, n_out) in enumerate(pairwise([1, *channels]))
        ]
        n_left = -(-n_bands // 2 ** len(channels))
        self.blocks = nn.ModuleList([*convolutions, _Recurrence(channels[-1] * n_left, n_hidden)])
        self.embedding_size = 2 * n_hidden

    def pool(self, activations: Tensor) -> Tensor:
        """Mean over frames."""
        return activations.mean(1)
