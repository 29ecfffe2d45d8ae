"""Waveforms cut into overlapping frames, the same way for every feature."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["Framing", "check_waveforms"]


def check_waveforms(y: Tensor) -> Tensor:
    """Refuse anything but a floating-point tensor with at least one sample; half are widened."""
    if not isinstance(y, Tensor) or not y.is_floating_point():
        kind = f"tensor of {y.dtype}" if isinstance(y, Tensor) else type(y).__name__
        raise TypeError(f"y is a {kind}; give a floating-point torch tensor.")
    if y.ndim == 0 or y.shape[-1] == 0:
        raise ValueError(f"y has shape {tuple(y.shape)}; give (..., n_samples), n_samples >= 1.")
    return y if y.dtype in (torch.float32, torch.float64) else y.float()


@dataclass(frozen=True)
class Framing:
    """How a clip is cut into overlapping frames, as librosa frames a signal.

    With `center`, frame t is centred at sample ``t * hop_length`` and both ends are padded
    with ``frame_length // 2`` zeros; else it begins there. A clip shorter than one frame is
    padded with zeros at its end.
    """

    frame_length: int
    hop_length: int
    center: bool

    @property
    def margin(self) -> int:
        """Zeros before the first sample of a clip."""
        return self.frame_length // 2 if self.center else 0

    def counts(self, lengths: Iterable[int]) -> list[int]:
        """Numbers of frames of clips of these lengths."""
        spare = np.array(list(lengths), dtype=np.int64) + (2 * self.margin - self.frame_length)
        return (1 + np.maximum(0, spare) // self.hop_length).tolist()

    def cut(self, y: Tensor, n_frames: int) -> Tensor:
        """View (n_clips, n_samples), padded, as (n_clips, n_frames, frame_length)."""
        reach = (n_frames - 1) * self.hop_length + self.frame_length
        padded = pad(y, (self.margin, max(0, reach - self.margin - y.shape[-1])))
        return padded.unfold(-1, self.frame_length, self.hop_length)[:, :n_frames]
