"""What a feature computes of frames and of clips, and its run over many clips."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._frames import Framing
from ._kernels import finite_kernel, frame_loader
from ._layout import ROWS, Layout

__all__ = ["FramePlan", "NotFiniteError", "Runner", "run_waveforms"]

# Frames and spectra of one block stay in the L2 cache of a core.
BYTES_PER_BLOCK = 5 * 2**18
BYTES_PER_BLOCK_CUDA = 2**28
# Copied in a few microseconds.
FEW_FRAMES = 64


class FramePlan:
    """The two steps of a feature; a subclass gives both.

    On the CPU no row may depend on the number or the place of the others, as long as there
    are at least `ROWS` of them.

    Parameters
    ----------
    framing : Framing
    window : Tensor of shape (frame_length,)
        By which frames are multiplied; its dtype is that in which they are computed.
    n_values : int
        Numbers that the first step gives for a frame.
    dtype : torch.dtype
        Of the clips and these numbers.
    """

    def __init__(self, framing: Framing, window: Tensor, n_values: int, dtype: torch.dtype) -> None:
        self.framing = framing
        self.window = window
        self.n_values = n_values
        self.dtype = dtype

    def frames(self, windowed: Tensor) -> Tensor:
        """Windowed (n_frames, frame_length) → (n_frames, n_values); differentiable."""
        raise NotImplementedError

    def block(self, windowed: Tensor) -> Callable[[Tensor], None]:
        """The same on the CPU, each time for what stands in `windowed` and is lost thereby.

        Gives a function that writes the values to its argument, (n_frames, n_values).
        """

        def compute(out: Tensor) -> None:
            out.copy_(self.frames(windowed))

        return compute

    def clips(self, values: Tensor, layout: Layout) -> Tensor:
        """(n_rows, n_values) of many clips → (n_rows, n_coefficients)."""
        return values

    def clips_into(self, values: Tensor, layout: Layout, out: Tensor) -> None:
        """The same for equal clips, written to (n_clips, n_frames, n_coefficients)."""
        out.copy_(layout.stacked(self.clips(values, layout)))

    def frames_per_block(self) -> int:
        """Frames computed at once, a multiple of `ROWS`."""
        size = BYTES_PER_BLOCK_CUDA if self.window.is_cuda else BYTES_PER_BLOCK
        per_frame = 2 * self.framing.frame_length * self.window.itemsize
        return max(ROWS, size // per_frame // ROWS * ROWS)


class NotFiniteError(ValueError):
    """A clip holds NaN or infinity."""


def run_waveforms(y: Tensor, plan: FramePlan) -> Tensor:
    """Coefficients (..., n_coefficients, n_frames) of (..., n_samples); differentiable."""
    rows = y.reshape(-1, y.shape[-1])
    layout = Layout([plan.framing.n_frames(y.shape[-1])] * len(rows))
    if y.is_cpu and not (y.requires_grad and torch.is_grad_enabled()):
        values = Runner(plan).values(list(rows.detach()), layout)
    else:
        values = _run_tensor(rows, layout.counts[0], plan)
    coefficients = layout.stacked(plan.clips(values, layout)).mT
    return coefficients.reshape(*y.shape[:-1], *coefficients.shape[1:])


class Runner:
    """Runs a plan over one group of clips after another, in the same memory.

    Parameters
    ----------
    plan : FramePlan
    """

    def __init__(self, plan: FramePlan) -> None:
        self.plan = plan
        self._windowed = torch.empty(0)
        self._values = torch.empty(0)

    def values(self, clips: Sequence[Any], layout: Layout) -> Tensor:
        """Values (n_rows, n_values) of arrays or tensors; the next call overwrites them.

        Raises `NotFiniteError` at an array that holds NaN or infinity.
        """
        if not self.plan.window.is_cpu:
            return _run_on_device(clips, layout, self.plan)
        if isinstance(clips[0], Tensor):
            return self._run([clip.cpu().numpy() for clip in clips], layout, False)
        return self._run(clips, layout, True)

    def _run(self, clips: Sequence[np.ndarray], layout: Layout, check_finite: bool) -> Tensor:
        is_finite = finite_kernel(clips[0].dtype.name)
        hop_length, margin = self.plan.framing.hop_length, self.plan.framing.margin
        window = self.plan.window.numpy()
        dtypes = clips[0].dtype.name, window.dtype.name
        load_many, load_few = frame_loader(*dtypes), frame_loader(*dtypes, nogil=False)
        windowed, values = self._memory(layout.n_rows)
        size = len(windowed)
        compute = self.plan.block(windowed)
        for first, out in zip(range(0, layout.n_rows, size), values.split(size), strict=True):
            if len(out) < size:
                windowed = windowed[: len(out)]
                compute = self.plan.block(windowed)
            frames = windowed.numpy()
            row = 0
            for index, begin, end in layout.pieces(first, first + len(out)):
                # Here, since the samples are in the cache afterwards.
                if check_finite and begin == 0 and not is_finite(clips[index]):
                    raise NotFiniteError("NaN or infinity: every sample must be finite")
                stop = row + end - begin
                load = load_few if end - begin < FEW_FRAMES else load_many
                start = begin * hop_length - margin
                load(clips[index], window, start, hop_length, frames[row:stop])
                row = stop
            frames[row:] = 0.0
            compute(out)
        return values

    def _memory(self, n_rows: int) -> tuple[Tensor, Tensor]:
        """Frames of one block and values of all rows; fresh memory would be cleared first."""
        plan = self.plan
        size = min(plan.frames_per_block(), n_rows)
        if len(self._windowed) < size:
            shape = (size, plan.framing.frame_length)
            self._windowed = torch.empty(shape, dtype=plan.window.dtype)
        if len(self._values) < n_rows:
            self._values = torch.empty(n_rows, plan.n_values, dtype=plan.dtype)
        return self._windowed[:size], self._values[:n_rows]


def _run_on_device(clips: Sequence[Any], layout: Layout, plan: FramePlan) -> Tensor:
    """Values (n_rows, n_values), clips of one length together."""
    device = plan.window.device
    if len({len(clip) for clip in clips}) == 1:
        rows = torch.stack(list(clips)) if isinstance(clips[0], Tensor) else np.stack(clips)
        return _run_tensor(_on(device, rows), layout.counts[0], plan)
    values = [
        _run_tensor(_on(device, clip)[None], n_frames, plan)
        for clip, n_frames in zip(clips, layout.counts, strict=True)
    ]
    return torch.cat(values)


def _on(device: torch.device, samples: Any) -> Tensor:
    if isinstance(samples, Tensor):
        return samples.to(device)
    return torch.tensor(samples, device=device)  # a copy: arrays may be read-only


def _run_tensor(rows: Tensor, n_frames: int, plan: FramePlan) -> Tensor:
    """Values (n_clips * n_frames, n_values) of (n_clips, n_samples); differentiable."""
    frames = plan.framing.cut(rows, n_frames)
    size = plan.frames_per_block()
    values = []
    for clips in frames.split(max(1, size // n_frames)):
        for block in clips.split(size, dim=1):
            values.append(plan.frames((block * plan.window).flatten(0, 1)))
    return torch.cat(values)
