"""Waveforms cut into overlapping frames, the same way for every feature."""

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["FRAMES_PER_BLOCK", "check_waveforms", "cut_frames", "frame_blocks"]

# Bounds the memory of one long clip; fixed, so that no number depends on other clips.
FRAMES_PER_BLOCK = 2048


def check_waveforms(y: Tensor) -> Tensor:
    """Refuse anything but a floating-point tensor with at least one sample."""
    if not isinstance(y, Tensor) or not y.is_floating_point():
        kind = f"tensor of {y.dtype}" if isinstance(y, Tensor) else type(y).__name__
        raise TypeError(f"y is a {kind}; give a floating-point torch tensor.")
    if y.ndim == 0 or y.shape[-1] == 0:
        raise ValueError(f"y has shape {tuple(y.shape)}; give (..., n_samples), n_samples >= 1.")
    return y


def cut_frames(y: Tensor, frame_length: int, hop_length: int, center: bool) -> Tensor:
    """View (..., n_samples) as (..., n_frames, frame_length), as librosa frames a signal.

    With `center`, frame t is centred at sample ``t * hop_length`` and both ends are padded
    with ``frame_length // 2`` zeros; else it begins there. A signal shorter than one frame
    is padded with zeros at its end.
    """
    margin = frame_length // 2 if center else 0
    missing = max(0, frame_length - y.shape[-1] - 2 * margin)
    if margin or missing:
        y = pad(y, (margin, margin + missing))
    return y.unfold(-1, frame_length, hop_length)


def frame_blocks(frames: Tensor, size: int = FRAMES_PER_BLOCK) -> tuple[Tensor, ...]:
    """Split (..., n_frames, frame_length) along the frames, `size` at a time."""
    return torch.split(frames, size, dim=-2)
