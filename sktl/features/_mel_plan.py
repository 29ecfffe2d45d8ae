"""Frames to mel bands, and bands to decibels."""

from collections.abc import Callable
from functools import lru_cache
from numbers import Real
from typing import Any, Literal

import numpy as np
import torch
from scipy.signal import get_window
from torch import Tensor

from ._filters import mel_filters
from ._frames import Framing
from ._kernels import power_kernel, scale_kernel
from ._layout import Layout
from ._plan import FramePlan

__all__ = ["MelPlan", "window_values"]

# Rounding of a float32 FFT shows in bins further below the loudest one than this.
FLOAT32_RANGE_DB = 85.0
# What one more matrix product costs a frame, in multiplications.
PRODUCT_COST = 1000


class MelPlan(FramePlan):
    """Log-mel spectrogram in dB, or the mel spectrogram itself with ``decibels=False``.

    Parameters are those of `MelSpectrogram`, and the dtype and device of the clips.
    """

    def __init__(
        self,
        dtype: torch.dtype,
        device: torch.device,
        *,
        sr: float = 16000,
        n_fft: int = 512,
        win_length: int | None = None,
        hop_length: int = 160,
        window: Any = "hann",
        center: bool = True,
        n_mels: int = 64,
        fmin: float = 0.0,
        fmax: float | None = None,
        htk: bool = False,
        norm: Literal["slaney"] | float | None = "slaney",
        power: float = 2.0,
        ref: float | Literal["max"] = 1.0,
        amin: float = 1e-10,
        top_db: float | None = 80.0,
        decibels: bool = True,
    ) -> None:
        filters, spread_db, parts = _filter_parts(
            sr=sr, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, htk=htk, norm=norm
        )
        range_db = np.inf if top_db is None or not decibels else top_db + spread_db
        wide = 2.0 / power * range_db > FLOAT32_RANGE_DB
        win = torch.from_numpy(window_values(window, win_length, n_fft))
        win = win.to(device, torch.float64 if wide else dtype)
        super().__init__(Framing(n_fft, hop_length, center), win, n_mels, dtype)
        self.power = power
        self.ref, self.amin, self.top_db, self.decibels = ref, amin, top_db, decibels
        self.filters = torch.from_numpy(filters).to(device, dtype)
        self._parts = parts

    def frames(self, windowed: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(windowed)
        if self.power == 2.0:
            bins = torch.view_as_real(spectrum).square().sum(-1)
        else:
            bins = spectrum.abs() ** self.power
        power = bins.to(self.dtype) @ self.filters.mT
        return power.clamp(min=self.amin).log10() if self.decibels else power

    def block(self, windowed: Tensor) -> Callable[[Tensor], None]:
        bins, bands = self._scratch(windowed)
        products = [
            (bins[:, some_bins], self.filters[some_bands, some_bins].mT, bands[:, some_bands])
            for some_bands, some_bins in self._parts
        ]
        squares = bins.numpy()
        square = power_kernel(str(self.window.dtype)[6:], str(self.dtype)[6:])

        def compute(out: Tensor) -> None:
            spectrum = torch.fft.rfft(windowed)
            if self.power == 2.0:
                square(spectrum.numpy(), squares)
            else:
                bins.copy_(spectrum.abs() ** self.power)
            for some_bins, weights, some_bands in products:
                torch.mm(some_bins, weights, out=some_bands)
            if self.decibels:  # zeros become -inf, which the floor of the clip takes away
                torch.log10(bands, out=out)
            else:
                out.copy_(bands)

        return compute

    def _scratch(self, windowed: Tensor) -> tuple[Tensor, Tensor]:
        """Where the bins and the bands of a block are written."""
        n_frames, frame_length = windowed.shape
        n_bins = frame_length // 2 + 1
        bands = torch.empty(n_frames, self.n_values, dtype=self.dtype)
        if windowed.dtype != self.dtype or n_bins > frame_length:
            return torch.empty(n_frames, n_bins, dtype=self.dtype), bands
        # The memory of the frames is free after the transform, and in the cache.
        return windowed.flatten()[: n_frames * n_bins].view(n_frames, n_bins), bands

    def clips(self, values: Tensor, layout: Layout) -> Tensor:
        if not self.decibels:
            return values
        bels = self.bels(values, layout)
        return bels * 10.0 if bels.requires_grad else bels.mul_(10.0)

    def clips_into(self, values: Tensor, layout: Layout, out: Tensor) -> None:
        if not self.decibels or self.ref != 1.0 or not values.is_cpu:
            super().clips_into(values, layout, out)
            return
        floors = self._floors(values, layout).numpy()
        stacked = layout.stacked(values).numpy()
        scale_kernel(floors.dtype.name)(stacked, floors, 10.0, out.numpy())

    def bels(self, values: Tensor, layout: Layout) -> Tensor:
        """Logarithm from `ref` on, and no lower than `top_db` below each clip's maximum."""
        out = None if values.requires_grad else values
        floor = layout.spread(self._floors(values, layout), len(values))
        if self.ref == "max":
            loudest = layout.maximum(values).clamp(min=float(np.log10(self.amin)))
            reference: Tensor | float = layout.spread(loudest, len(values))
        else:
            reference = float(np.log10(max(self.amin, self.ref)))
        bels = torch.maximum(values, floor, out=out)
        return bels if self.ref == 1.0 else torch.sub(bels, reference, out=out)

    def _floors(self, values: Tensor, layout: Layout) -> Tensor:
        """Lowest logarithm of each clip."""
        lowest = float(np.log10(self.amin))
        if self.top_db is None:
            return values.new_full((len(layout.counts),), lowest)
        return (layout.maximum(values) - self.top_db / 10.0).clamp(min=lowest)


def window_values(window: Any, win_length: int | None, n_fft: int) -> np.ndarray:
    """Window of `win_length` samples in the middle of `n_fft`."""
    length = n_fft if win_length is None else win_length
    if callable(window):
        values = np.asarray(window(length))
    elif isinstance(window, str | tuple | Real):
        try:
            values = get_window(window, length, fftbins=True)
        except ValueError as error:
            raise ValueError(
                f"window={window!r} is not a window that scipy.signal.get_window knows, such "
                f"as 'hann' ({error})"
            ) from error
    else:
        values = np.asarray(window, dtype=np.float64)
    if values.shape != (length,):
        raise ValueError(
            f"window has shape {values.shape} but frames are {length} samples long; give "
            f"{length} values, or a name such as 'hann'."
        )
    before = (n_fft - length) // 2
    return np.pad(values, (before, n_fft - length - before))


@lru_cache(maxsize=32)
def _filter_parts(**options: Any) -> tuple[np.ndarray, float, tuple[tuple[slice, slice], ...]]:
    """Mel filters, by how many dB the sums of their weights differ, and their parts."""
    filters = mel_filters(**options)
    sums = filters.sum(axis=1)
    levels = 10.0 * np.log10(sums[sums > 0])
    return filters, float(np.ptp(levels)) if levels.size else 0.0, _split_bands(filters)


def _split_bands(filters: np.ndarray) -> tuple[tuple[slice, slice], ...]:
    """Runs of bands and the bins they use, so that few zeros are multiplied."""
    n_mels, n_bins = filters.shape
    used = filters != 0
    empty = ~used.any(axis=1)
    first = np.where(empty, n_bins, used.argmax(axis=1))
    last = np.where(empty, 0, n_bins - used[:, ::-1].argmax(axis=1))
    cost, cut = np.zeros(n_mels + 1), np.zeros(n_mels + 1, dtype=int)
    for stop in range(1, n_mels + 1):
        lowest = np.minimum.accumulate(first[:stop][::-1])[::-1]
        highest = np.maximum.accumulate(last[:stop][::-1])[::-1]
        work = np.maximum(highest - lowest, 1) * np.arange(stop, 0, -1)
        totals = cost[:stop] + PRODUCT_COST + work
        cut[stop] = totals.argmin()
        cost[stop] = totals[cut[stop]]
    parts: list[tuple[slice, slice]] = []
    stop = n_mels
    while stop:
        start = int(cut[stop])
        low, high = int(first[start:stop].min()), int(last[start:stop].max())
        parts.insert(0, (slice(start, stop), slice(min(low, high), max(low, high))))
        stop = start
    return tuple(parts)
