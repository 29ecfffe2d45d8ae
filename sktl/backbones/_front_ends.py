"""Log-mel patches, as the AudioSet networks take them."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ..features._bands import FilterBank
from ._units import UnitSpan

__all__ = ["LogMelPatches", "mel_weights"]


@lru_cache(maxsize=16)
def mel_weights(sr: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> np.ndarray:
    """Triangles on the HTK mel scale, straight in mel (not in Hz), height one.

    Shape (n_fft // 2 + 1, n_mels). The DC bin has weight 0. Hershey et al., "CNN
    architectures for large-scale audio classification", ICASSP 2017.
    """

    def to_mel(hz: np.ndarray) -> np.ndarray:
        return 1127.0 * np.log1p(hz / 700.0)

    bins = to_mel(np.linspace(0.0, sr / 2, n_fft // 2 + 1))[:, None]
    low, high = to_mel(np.array([fmin, fmax])).tolist()
    edges = np.linspace(low, high, n_mels + 2)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rise = (bins - lower) / (centre - lower)
    fall = (upper - bins) / (upper - centre)
    weights = np.maximum(0.0, np.minimum(rise, fall))
    weights[0] = 0.0
    return weights


@dataclass(frozen=True)
class LogMelPatches:
    """Frames from the first sample on, log of the mel magnitude, cut into patches.

    Parameters
    ----------
    sr : int
        Sample rate in Hz.
    win_length, hop_length, n_fft : int
        Frame, step and transform in samples; the window is a periodic Hann.
    n_mels, fmin, fmax : int, float, float
        HTK mel bands and their limits in Hz.
    offset : float
        Added before the logarithm.
    patch_frames, patch_hop : int
        Frames of a patch, and from one patch to the next.

    Examples
    --------
    >>> import torch
    >>> from sktl.backbones import LogMelPatches
    >>> LogMelPatches()(torch.zeros(48000)).shape
    torch.Size([5, 96, 64])
    """

    sr: int = 16000
    win_length: int = 400
    hop_length: int = 160
    n_fft: int = 512
    n_mels: int = 64
    fmin: float = 125.0
    fmax: float = 7500.0
    offset: float = 0.001
    patch_frames: int = 96
    patch_hop: int = 48

    @property
    def patch_samples(self) -> int:
        """Samples that fill one patch."""
        return self.win_length + (self.patch_frames - 1) * self.hop_length

    @property
    def span(self) -> UnitSpan:
        """Where patches lie in time: each frame stands for a hop around its centre."""
        length, step = self.patch_frames * self.hop_length, self.patch_hop * self.hop_length
        start = (self.win_length - self.hop_length) / 2
        return UnitSpan(length / self.sr, step / self.sr, start / self.sr)

    def log_mel(self, clip: Tensor) -> Tensor:
        """Log-mel of one waveform: (n_samples,) → (n_frames, n_mels)."""
        return torch.log(_bank(self)(clip) + self.offset)

    def __call__(self, clip: Tensor) -> Tensor:
        """Patches of one waveform: (n_samples,) → (n_patches, patch_frames, n_mels).

        A clip shorter than a patch is padded with zeros; a rest shorter than a hop is
        left out, as in the published networks.
        """
        missing = self.patch_samples - clip.shape[-1]
        if missing > 0:
            clip = torch.nn.functional.pad(clip, (0, missing))
        mel = self.log_mel(clip)
        return mel.unfold(0, self.patch_frames, self.patch_hop).transpose(1, 2).contiguous()


@lru_cache(maxsize=16)
def _bank(patches: LogMelPatches) -> FilterBank:
    window = torch.hann_window(patches.win_length, dtype=torch.float64).numpy()
    filters = mel_weights(patches.sr, patches.n_fft, patches.n_mels, patches.fmin, patches.fmax)
    return FilterBank(window, filters.T, patches.hop_length, power=1)
