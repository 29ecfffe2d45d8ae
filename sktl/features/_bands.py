"""Filter banks on the frames of one clip, for front ends that keep conventions of their own."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._kernels import located
from ._mel_tables import band_weights, has_tables, mel_tables, padded_basis
from ._workers import denormals_flushed

__all__ = ["FilterBank"]


class FilterBank:
    """Weighted sums of the bins of a clip's frames.

    Parameters
    ----------
    window : array of shape (win_length,)
        By which the samples of a frame are multiplied.
    filters : array of shape (n_bands, n_bins)
        Weights of the bins of a Fourier transform over ``2 * (n_bins - 1)`` samples, those of
        a frame and zeros after them.
    hop_length : int
        Samples from one frame to the next.
    power : {1, 2}, default=2
        Of the bins: 1 for their magnitude.
    """

    def __init__(
        self, window: np.ndarray, filters: np.ndarray, hop_length: int, power: int = 2
    ) -> None:
        self.window, self.filters = window, filters
        self.hop_length, self.power = hop_length, power
        self.n_fft = 2 * (filters.shape[1] - 1)
        self._kernels: dict[torch.dtype, tuple[Callable[..., None], tuple[Any, ...]]] = {}

    def __call__(self, clip: Tensor) -> Tensor:
        """Bands (n_frames, n_bands) of (n_samples,), frames from the first sample on."""
        if not self._is_compiled(clip):
            return self._differentiable(clip)
        n_frames = 1 + (len(clip) - len(self.window)) // self.hop_length
        out = clip.new_empty(n_frames, len(self.filters))
        if clip.dtype not in self._kernels:
            self._kernels[clip.dtype] = self._kernel(clip.dtype)
        kernel, settings = self._kernels[clip.dtype]
        samples, bands = clip.detach().contiguous().numpy(), out.numpy()
        like, energy = np.empty(bands.shape[1], bands.dtype), np.empty(1)
        with denormals_flushed():
            kernel(*located([samples], [bands]), like, *settings, energy)
        return out

    def _is_compiled(self, clip: Tensor) -> bool:
        usual = clip.is_cpu and clip.dtype in (torch.float32, torch.float64)
        traced = clip.requires_grad and torch.is_grad_enabled()
        return usual and not traced and has_tables(self.n_fft)

    def _differentiable(self, clip: Tensor) -> Tensor:
        window = torch.from_numpy(self.window).to(clip)
        frames = clip.unfold(-1, len(window), self.hop_length) * window
        spectrum = torch.fft.rfft(frames, n=self.n_fft)
        bins = torch.view_as_real(spectrum).square().sum(-1)
        bins = bins.sqrt() if self.power == 1 else bins
        return bins @ torch.from_numpy(self.filters).to(clip).mT

    def _kernel(self, dtype: torch.dtype) -> tuple[Callable[..., None], tuple[Any, ...]]:
        """Compiled for a dtype, and its arguments that are the same for all clips."""
        from ._mel_kernel import mel_kernel  # slow to import

        name = str(dtype).removeprefix("torch.")
        window = np.zeros(self.n_fft, name)
        window[: len(self.window)] = self.window
        settings = (
            *(0, self.hop_length),
            *mel_tables(window, band_weights(self.filters)),
            *(self.power == 1, False),
            *(-np.inf, np.inf, 0.0, 1.0),
            padded_basis(None, window.dtype),
        )
        return mel_kernel(name, name), settings
