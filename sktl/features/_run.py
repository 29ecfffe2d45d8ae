"""A plan, run over many clips."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._layout import Layout
from ._plan import FramePlan, Rows
from ._workers import denormals_flushed

__all__ = ["ClipError", "fill_clips", "run_clips", "run_waveforms"]


class ClipError(ValueError):
    """Features of clip number `index` cannot be computed."""

    def __init__(self, index: int, problem: str) -> None:
        super().__init__(problem)
        self.index = index


def run_waveforms(y: Tensor, plan: FramePlan) -> Tensor:
    """Coefficients (..., n_coefficients, n_frames) of (..., n_samples); differentiable."""
    clips = y.reshape(-1, y.shape[-1])
    layout = Layout(plan.framing.counts([y.shape[-1]] * len(clips)))
    if y.is_cpu and not (y.requires_grad and torch.is_grad_enabled()):
        shape = (len(clips), layout.counts[0], plan.n_coefficients)
        coefficients = torch.empty(shape, dtype=plan.dtype)
        with denormals_flushed():
            plan.rows(clips.detach().contiguous().numpy(), coefficients.numpy())
    else:
        coefficients = layout.stacked(plan.clips(_values(clips, layout.counts[0], plan), layout))
    return coefficients.mT.reshape(*y.shape[:-1], *coefficients.mT.shape[1:])


def run_clips(clips: Any, layout: Layout, plan: FramePlan) -> Tensor:
    """Coefficients (n_rows, n_coefficients) of clips, as in `fill_clips`, on any device."""
    if not plan.window.is_cpu:
        return plan.clips(_values_on_device(clips, layout, plan), layout)
    values = torch.empty(layout.n_rows, plan.n_coefficients, dtype=plan.dtype)
    fill_clips(clips, layout.split(values.numpy()), plan)
    return values


def fill_clips(clips: Any, outs: Rows, plan: FramePlan) -> None:
    """Coefficients of arrays or tensors on the CPU: fills `outs`, (n_frames, n_coefficients).

    Raises `ClipError` at a clip that holds NaN or infinity or is too loud.
    """
    if isinstance(clips, Tensor):
        clips = clips.cpu().contiguous().numpy()
    elif isinstance(clips[0], Tensor):
        clips = [clip.cpu().contiguous().numpy() for clip in clips]
    energies = plan.rows(clips, outs)
    largest = min(plan.largest_energy, np.finfo(np.float64).max)
    for index in np.flatnonzero(~(energies <= largest)).tolist():
        clip = clips[index]
        if not np.isfinite(clip).all():
            raise ClipError(index, "NaN or infinity: every sample must be finite")
        if energies[index] > plan.largest_energy:
            largest_sample = np.abs(clip).max()
            advice = "scale clips to [-1, 1]"
            if largest_sample <= 1:
                advice = "give a smaller `power`"
                advice += "" if clip.dtype == np.float64 else ", or dtype='float64'"
            raise ClipError(
                index,
                f"samples as large as {largest_sample:.3g}, of which the power is too large "
                f"for {clip.dtype}: {advice}",
            )


def _values_on_device(clips: Any, layout: Layout, plan: FramePlan) -> Tensor:
    """Values (n_rows, n_values), clips of one length together."""
    device = plan.window.device
    if len({len(clip) for clip in clips}) == 1:
        rows = torch.stack(list(clips)) if isinstance(clips[0], Tensor) else np.stack(clips)
        return _values(_on(device, rows), layout.counts[0], plan)
    values = [
        _values(_on(device, clip)[None], n_frames, plan)
        for clip, n_frames in zip(clips, layout.counts, strict=True)
    ]
    return torch.cat(values)


def _on(device: torch.device, samples: Any) -> Tensor:
    if isinstance(samples, Tensor):
        return samples.to(device)
    return torch.tensor(samples, device=device)  # a copy: arrays may be read-only


def _values(rows: Tensor, n_frames: int, plan: FramePlan) -> Tensor:
    """Values (n_clips * n_frames, n_values) of (n_clips, n_samples); differentiable."""
    frames = plan.framing.cut(rows, n_frames)
    size = plan.frames_per_block()
    values = []
    for clips in frames.split(max(1, size // n_frames)):
        for block in clips.split(size, dim=1):
            values.append(plan.frames((block * plan.window).flatten(0, 1)))
    return torch.cat(values)
