"""What a feature computes of frames and of clips."""

import numpy as np
import torch
from torch import Tensor

from ._frames import Framing
from ._kernels import Rows, energy_kernel, frame_loader
from ._layout import Layout

__all__ = ["FramePlan", "Rows", "round_up"]

# Frames and spectra of one block stay in the L2 cache of a core.
BYTES_PER_BLOCK = 5 * 2**18
BYTES_PER_BLOCK_CUDA = 2**28
# BLAS gives a row the same bits among any number of rows from this on, not among fewer.
ROWS = 16


class FramePlan:
    """The two steps of a feature; a subclass gives both.

    On the CPU no row may depend on the number or the place of the others, as long as a
    multiple of `ROWS` of them is computed.

    Parameters
    ----------
    framing : Framing
    window : Tensor of shape (frame_length,)
        By which frames are multiplied; its dtype is that in which they are computed.
    n_values, n_coefficients : int
        Numbers that the first step and both steps give for a frame.
    dtype : torch.dtype
        Of the clips and these numbers.
    largest_energy : float, default=infinity
        Clips whose squares sum to more are refused.
    """

    def __init__(
        self,
        framing: Framing,
        window: Tensor,
        n_values: int,
        n_coefficients: int,
        dtype: torch.dtype,
        largest_energy: float = np.inf,
    ) -> None:
        self.framing = framing
        self.window = window
        self.n_values, self.n_coefficients = n_values, n_coefficients
        self.dtype = dtype
        self.largest_energy = largest_energy

    @property
    def is_compiled(self) -> bool:
        """Whether `rows` makes no use of torch."""
        return False

    def frames(self, windowed: Tensor) -> Tensor:
        """Windowed (n_frames, frame_length) → (n_frames, n_values); differentiable."""
        raise NotImplementedError

    def clips(self, values: Tensor, layout: Layout) -> Tensor:
        """(n_rows, n_values) of many clips → (n_rows, n_coefficients)."""
        return values

    def rows(self, clips: Rows, outs: Rows) -> np.ndarray:
        """Both steps on the CPU: fills `outs`.

        Parameters
        ----------
        clips : sequence of ndarray of shape (n_samples_i,), or ndarray
            C-contiguous each.
        outs : sequence of ndarray of shape (n_frames_i, n_coefficients), or ndarray
            C-contiguous each.

        Returns
        -------
        ndarray of shape (n_clips,)
            Sum of squares of each clip.
        """
        layout = Layout([len(out) for out in outs])
        values = torch.zeros(round_up(layout.n_rows), self.n_values, dtype=self.dtype)
        size = min(self.frames_per_block(), round_up(max(layout.counts)))
        windowed = torch.empty(size, len(self.window), dtype=self.window.dtype)
        for clip, rows in zip(clips, layout.split(values), strict=True):
            self._fill(clip, windowed, rows)
        coefficients = layout.split(self.clips(values, layout).numpy())
        for out, rows in zip(outs, coefficients, strict=True):
            out[:] = rows
        return np.array([energy_kernel(clip.dtype.name)(clip) for clip in clips])

    def _fill(self, clip: np.ndarray, windowed: Tensor, rows: Tensor) -> None:
        """Values of the frames of a clip, block by block in the memory of `windowed`."""
        window, hop_length = self.window.numpy(), self.framing.hop_length
        load = frame_loader(clip.dtype.name, window.dtype.name)
        first = 0
        for values in rows.split(len(windowed)):
            block = windowed[: round_up(len(values))]
            start = first * hop_length - self.framing.margin
            load(clip, window, start, hop_length, block[: len(values)].numpy())
            block[len(values) :] = 0.0
            values.copy_(self.frames(block)[: len(values)])
            first += len(values)

    def frames_per_block(self) -> int:
        """Frames computed at once, a multiple of `ROWS`."""
        size = BYTES_PER_BLOCK_CUDA if self.window.is_cuda else BYTES_PER_BLOCK
        per_frame = 2 * self.framing.frame_length * self.window.itemsize
        return max(ROWS, size // per_frame // ROWS * ROWS)


def round_up(n_rows: int) -> int:
    """Next multiple of `ROWS`."""
    return -(-n_rows // ROWS) * ROWS
