"""A plan, run over many clips."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._layout import Layout
from ._plan import FramePlan

__all__ = ["ClipError", "run_clips", "run_waveforms"]

# Shorter clips are computed together, up to `SAMPLES_PER_CALL`: every call costs microseconds,
# and waiting for the interpreter's lock after it may cost more.
FEW_SAMPLES = 2**15
SAMPLES_PER_CALL = 2**17


class ClipError(ValueError):
    """Features of clip number `index` cannot be computed."""

    def __init__(self, index: int, problem: str) -> None:
        super().__init__(problem)
        self.index = index


def run_waveforms(y: Tensor, plan: FramePlan) -> Tensor:
    """Coefficients (..., n_coefficients, n_frames) of (..., n_samples); differentiable."""
    clips = y.reshape(-1, y.shape[-1])
    layout = Layout([plan.framing.n_frames(y.shape[-1])] * len(clips))
    if y.is_cpu and not (y.requires_grad and torch.is_grad_enabled()):
        rows = torch.empty(layout.n_rows, plan.n_coefficients, dtype=plan.dtype)
        ends = np.arange(1, len(clips) + 1) * y.shape[-1]
        plan.rows(_joined(clips.detach().numpy()), ends, layout.stops, rows.numpy())
    else:
        rows = plan.clips(_values(clips, layout.counts[0], plan), layout)
    coefficients = layout.stacked(rows).mT
    return coefficients.reshape(*y.shape[:-1], *coefficients.shape[1:])


def run_clips(clips: Any, layout: Layout, plan: FramePlan, out: Tensor) -> None:
    """Coefficients of arrays or tensors: fills `out`, (n_rows, n_coefficients).

    Raises `ClipError` at a clip that holds NaN or infinity or is too loud, on the CPU.
    """
    if not plan.window.is_cpu:
        out.copy_(plan.clips(_values_on_device(clips, layout, plan), layout))
        return
    rows = out.numpy()
    if isinstance(clips, Tensor):
        clips = clips.cpu().numpy()
    elif isinstance(clips[0], Tensor):
        clips = [clip.cpu().numpy() for clip in clips]
    for first, stop in _runs(clips):
        some = clips[first:stop]
        row, stops = layout.starts[first], layout.stops[first:stop]
        ends = np.cumsum([len(clip) for clip in some])
        energies = plan.rows(_joined(some), ends, stops - row, rows[row : stops[-1]])
        _check(some, energies, first, plan.largest_energy)


def _joined(clips: Any) -> np.ndarray:
    """One clip after another, copied only if need be."""
    if isinstance(clips, list):
        clips = clips[0] if len(clips) == 1 else np.concatenate(clips)
    return np.ascontiguousarray(clips).reshape(-1)


def _runs(clips: Any) -> Iterator[tuple[int, int]]:
    """Clips to compute in one call: those of an array, a long one, or consecutive short ones."""
    first = total = 0
    if isinstance(clips, list):
        for index, clip in enumerate(clips):
            n_samples = len(clip) if len(clip) <= FEW_SAMPLES else SAMPLES_PER_CALL
            if total and total + n_samples > SAMPLES_PER_CALL:
                yield first, index
                first, total = index, 0
            total += n_samples
    yield first, len(clips)


def _check(clips: Any, energies: np.ndarray, first: int, largest: float) -> None:
    """Refuse broken clips, of which the first is number `first` of the group."""
    for index in np.flatnonzero(~(energies <= min(largest, np.finfo(np.float64).max))).tolist():
        clip = clips[index]
        if not np.isfinite(clip).all():
            raise ClipError(first + index, "NaN or infinity: every sample must be finite")
        if energies[index] > largest:
            raise ClipError(
                first + index,
                f"samples as large as {np.abs(clip).max():.3g}, of which the power is too large "
                f"for {clip.dtype}: scale clips to [-1, 1]",
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
