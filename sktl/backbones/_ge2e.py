"""GE2E: Resemblyzer's recurrent network, trained to tell speakers apart."""

from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..features import mel_filters
from ..features._bands import FilterBank
from ._base import Backbone, InputSpec
from ._units import UnitSpan

__all__ = ["GE2E"]

SR = 16000
WIN_LENGTH, HOP = 400, 160
N_MELS = 40
PARTIAL_FRAMES = 160
# 1.3 windows a second.
PARTIAL_STEP = round(SR / 1.3 / HOP)
# A last window that would be filled less than this is left out.
MIN_COVERAGE = 0.75
# Root mean square of -30 dB of full scale.
QUIETEST = 10 ** (-30 / 20)
SILENCE = 1e-10
N_HIDDEN = 256
N_LAYERS = 3


class _Layer(nn.Module):
    """One layer of an LSTM: (n, n_frames, n_in) → (n, n_frames, n_hidden)."""

    def __init__(self, n_in: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(n_in, N_HIDDEN, batch_first=True)

    def forward(self, frames: Tensor) -> Tensor:
        # A view over steps else, and the last bits of a product depend on the layout.
        return self.lstm(frames)[0].contiguous()


class _Direction(nn.Module):
    """The last frame through a linear map and ReLU, scaled to length one."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(N_HIDDEN, N_HIDDEN)

    def forward(self, frames: Tensor) -> Tensor:
        return functional.normalize(torch.relu(self.linear(frames[:, -1])))


class GE2E(Backbone):
    """Three LSTM layers on 1.6 s windows of speech, trained to tell speakers apart.

    Wan et al., "Generalized end-to-end loss for speaker verification", ICASSP 2018, as trained
    and published in the package Resemblyzer. A block for each LSTM layer and one for the layer
    that makes the embedding: 256 values, none negative, of length one.

    A clip's embedding is the mean over its windows. Resemblyzer scales this mean to length one
    as well; the direction, and so every cosine similarity, is the same.

    Notes
    -----
    The front end takes 40 mel bands of the power, without a logarithm, so that loudness
    matters: clips of less than -30 dB of full scale (root mean square) are raised to that
    level first, as Resemblyzer's ``preprocess_wav`` does. That function also shortens silences,
    which is not done here. Windows of 160 frames begin every 77 frames (0.77 s); a clip shorter
    than a window is padded with zeros, as is the last window if at least three quarters full.

    Examples
    --------
    >>> import torch
    >>> from sktl.backbones import GE2E
    >>> network = GE2E().eval()
    >>> [units] = network.front_end([torch.zeros(48000)])
    >>> units.shape, network(units).shape
    (torch.Size([3, 160, 40]), torch.Size([3, 256]))
    """

    input_spec = InputSpec("waveform", sr=SR, min_samples=PARTIAL_FRAMES * HOP)
    unit_axes = (1, 2)
    time_axis: ClassVar[Mapping[int, int]] = {3: 1}
    embedding_size = N_HIDDEN

    def __init__(self) -> None:
        super().__init__()
        layers = [_Layer(N_MELS if number == 0 else N_HIDDEN) for number in range(N_LAYERS)]
        self.blocks = nn.ModuleList([*layers, _Direction()])

    def front_end(self, clips: list[Tensor]) -> list[Tensor]:
        """Mel windows (n_windows, 160, 40) of each waveform."""
        return [_windows(clip) for clip in clips]

    def unit_span(self, shape: tuple[int, ...]) -> UnitSpan:
        """Windows of 1.6 s, the first frame of the first centred on the first sample."""
        hop = HOP / SR
        return UnitSpan(PARTIAL_FRAMES * hop, PARTIAL_STEP * hop, -hop / 2)

    def import_state_dict(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename published keys: ``lstm.weight_ih_l1`` is ``blocks.1.lstm.weight_ih_l0``.

        The loss's ``similarity_weight`` and ``similarity_bias`` are left out.
        """
        renamed = {}
        for key, value in state.items():
            module, _, name = key.partition(".")
            if module == "lstm":
                kind, _, layer = name.rpartition("_l")
                renamed[f"blocks.{layer}.lstm.{kind}_l0"] = value
            elif module == "linear":
                renamed[f"blocks.{N_LAYERS}.{key}"] = value
            elif module not in ("similarity_weight", "similarity_bias"):
                renamed[key] = value
        return renamed


def _windows(clip: Tensor) -> Tensor:
    """(n_samples,) → (n_windows, n_frames, n_mels)."""
    n_windows = _count_windows(len(clip))
    n_samples = ((n_windows - 1) * PARTIAL_STEP + PARTIAL_FRAMES) * HOP
    clip = functional.pad(_raise_level(clip), (0, max(0, n_samples - len(clip))))
    windows = _mel(clip).unfold(0, PARTIAL_FRAMES, PARTIAL_STEP)[:n_windows]
    return windows.transpose(1, 2).contiguous()


def _count_windows(n_samples: int) -> int:
    n_frames = n_samples // HOP + 1
    n_windows = max(0, n_frames - PARTIAL_FRAMES + PARTIAL_STEP) // PARTIAL_STEP + 1
    filled = n_samples / HOP - (n_windows - 1) * PARTIAL_STEP
    return n_windows - 1 if filled < MIN_COVERAGE * PARTIAL_FRAMES and n_windows > 1 else n_windows


def _raise_level(clip: Tensor) -> Tensor:
    """Silence stays as it is."""
    level = clip.square().mean().sqrt().clamp(min=SILENCE)
    return clip * (QUIETEST / level).clamp(min=1.0)


def _mel(clip: Tensor) -> Tensor:
    """Power in mel bands of frames centred on multiples of the hop: (n_frames, n_mels)."""
    margin = WIN_LENGTH // 2
    return _bank()(functional.pad(clip, (margin, margin)))


@lru_cache(maxsize=1)
def _bank() -> FilterBank:
    """Slaney's mel bands, as librosa makes them by default."""
    window = torch.hann_window(WIN_LENGTH, dtype=torch.float64).numpy()
    return FilterBank(window, mel_filters(sr=SR, n_fft=WIN_LENGTH, n_mels=N_MELS), HOP)
