"""Recurrent network on the frames of a spectrogram."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from ._base import Backbone, InputSpec

__all__ = ["GRU"]


class _FramesFirst(nn.Module):
    """(n, n_bands, n_frames) → (n, n_frames, n_bands)."""

    def forward(self, images: Tensor) -> Tensor:
        return images.transpose(1, 2)


class _Layer(nn.Module):
    """One bidirectional layer: (n, n_frames, n_in) → (n, n_frames, 2 * n_hidden)."""

    def __init__(self, n_in: int, n_hidden: int) -> None:
        super().__init__()
        self.gru = nn.GRU(n_in, n_hidden, batch_first=True, bidirectional=True)

    def forward(self, frames: Tensor) -> Tensor:
        # A view over steps else, and the last bits of a product depend on the layout.
        return self.gru(frames)[0].contiguous()


class GRU(Backbone):
    """Bidirectional gated recurrent layers (Cho et al., EMNLP 2014), one block each.

    The embedding is the mean of the last layer's output over frames.

    Parameters
    ----------
    n_bands : int
        Bands of the spectrogram; the number of frames is free.
    n_hidden : int, default=64
        Units of each direction.
    n_layers : int, default=2
        Number of layers.

    Examples
    --------
    >>> import torch
    >>> from sktl.backbones import GRU
    >>> GRU(13)(torch.zeros(2, 13, 50)).shape
    torch.Size([2, 128])
    """

    input_spec = InputSpec("spectrogram")
    time_axis: ClassVar[Mapping[int, int]] = {3: 1}

    def __init__(self, n_bands: int, n_hidden: int = 64, n_layers: int = 2) -> None:
        super().__init__()
        layers = [_Layer(n_bands if i == 0 else 2 * n_hidden, n_hidden) for i in range(n_layers)]
        self.blocks = nn.ModuleList([nn.Sequential(_FramesFirst(), layers[0]), *layers[1:]])
        self.embedding_size = 2 * n_hidden

    def pool(self, activations: Tensor) -> Tensor:
        """Mean over frames."""
        return activations.mean(1)
