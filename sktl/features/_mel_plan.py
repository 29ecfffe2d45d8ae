"""Frames to mel bands, and bands to decibels."""

from collections.abc import Callable
from functools import cached_property, lru_cache
from numbers import Real
from typing import Any, Literal

import numpy as np
import torch
from scipy.signal import get_window
from torch import Tensor

from ._filters import mel_filters
from ._frames import Framing
from ._kernels import located
from ._layout import Layout
from ._mel_tables import Bands, band_weights, has_tables, mel_tables, padded_basis
from ._plan import FramePlan, Rows

__all__ = ["MelPlan", "window_values"]

# Rounding of a float32 FFT shows in bins further below the loudest one than this.
FLOAT32_RANGE_DB = 85.0
# Longer frames, side by side, would need much memory.
LONGEST = 2**15
TINY = float(np.finfo(np.float32).tiny)


class MelPlan(FramePlan):
    """Log-mel spectrogram in dB, or the mel spectrogram itself with ``decibels=False``.

    Parameters are those of `MelSpectrogram`, the dtype and device of the clips, and a basis
    (n_mels, n_coefficients) by which the spectrogram is multiplied.
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
        basis: np.ndarray | None = None,
    ) -> None:
        filters, bands, spread_db = _filters(
            sr=sr, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, htk=htk, norm=norm
        )
        range_db = np.inf if top_db is None or not decibels else top_db + spread_db
        wide = 2.0 / power * range_db > FLOAT32_RANGE_DB
        win = torch.from_numpy(window_values(window, win_length, n_fft))
        # Parseval's theorem, and room for the sums in the FFT.
        most = torch.finfo(dtype).max / max(1.0, float(filters.sum(axis=1).max()))
        energy = most ** min(1.0, 2.0 / power) / (
            16 * n_fft * max(1.0, float(win.abs().max()) ** 2)
        )
        win = win.to(device, torch.float64 if wide else dtype)
        n_coefficients = n_mels if basis is None else basis.shape[1]
        framing = Framing(n_fft, hop_length, center)
        super().__init__(framing, win, n_mels, n_coefficients, dtype, energy)
        self.power = power
        self.ref, self.amin, self.top_db, self.decibels = ref, amin, top_db, decibels
        self.filters = torch.from_numpy(filters).to(device, dtype)
        self.basis = None if basis is None else torch.from_numpy(basis).to(device, dtype)
        self._bands, self._basis = bands, basis

    def frames(self, windowed: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(windowed)
        if self.power == 2.0:
            bins = torch.view_as_real(spectrum).square().sum(-1)
        else:
            bins = spectrum.abs() ** self.power
        power = bins.to(self.dtype) @ self.filters.mT
        return power.clamp(min=self.amin).log10() if self.decibels else power

    def clips(self, values: Tensor, layout: Layout) -> Tensor:
        levels = self._levels(values, layout) * 10.0 if self.decibels else values
        return levels if self.basis is None else levels @ self.basis

    def _levels(self, values: Tensor, layout: Layout) -> Tensor:
        """Logarithm from `ref` on, and no lower than `top_db` below each clip's maximum."""
        levels = values.clamp(min=self._lowest)
        if self.ref != "max" and self.top_db is None:
            return levels - self._reference
        loudest = layout.spread(layout.maximum(levels), len(levels))
        levels = torch.maximum(levels, loudest - self._depth)
        return levels - (loudest if self.ref == "max" else self._reference)

    @property
    def _lowest(self) -> float:
        return float(np.log10(self.amin))

    @property
    def _depth(self) -> float:
        return np.inf if self.top_db is None else self.top_db / 10.0

    @property
    def _reference(self) -> float:
        """Logarithm of `ref`, NaN for that of each clip's maximum."""
        return np.nan if self.ref == "max" else float(np.log10(max(self.amin, self.ref)))

    def rows(self, clips: Rows, outs: Rows) -> np.ndarray:
        if not self.is_compiled:
            return super().rows(clips, outs)
        like, energies = np.empty(self.n_coefficients, outs[0].dtype), np.empty(len(clips))
        self._kernel(*located(clips, outs), like, *self._settings, energies)
        return energies

    @property
    def is_compiled(self) -> bool:
        """Whether the kernel knows how to compute this."""
        n_fft = self.framing.frame_length
        usual = self.power in (1.0, 2.0) and self.framing.hop_length <= n_fft <= LONGEST
        return usual and self.amin ** (2.0 / self.power) >= TINY and has_tables(n_fft)

    @cached_property
    def _kernel(self) -> Callable[..., None]:
        from ._mel_kernel import mel_kernel  # slow to import

        return mel_kernel(str(self.dtype)[6:], str(self.window.dtype)[6:])

    @cached_property
    def _settings(self) -> tuple[Any, ...]:
        """Arguments of the kernel that are the same for all clips."""
        window = self.window.numpy()
        levels = -np.inf, np.inf, 0.0, 1.0
        if self.decibels:
            levels = self._lowest, self._depth, self._reference, 10.0
        return (
            self.framing.margin,
            self.framing.hop_length,
            *mel_tables(window, self._bands),
            self.power == 1.0,
            self.decibels,
            *levels,
            padded_basis(self._basis, window.dtype),
        )


def window_values(window: Any, win_length: int | None, n_fft: int) -> np.ndarray:
    """Window of `win_length` samples in the middle of `n_fft`; not to be written to."""
    length = n_fft if win_length is None else win_length
    if isinstance(window, str):
        return _named_window(window, length, n_fft)
    if callable(window):
        values = np.asarray(window(length))
    elif isinstance(window, tuple | Real):
        values = _known_window(window, length)
    else:
        values = np.asarray(window, dtype=np.float64)
    return _centred(values, length, n_fft)


def _centred(values: np.ndarray, length: int, n_fft: int) -> np.ndarray:
    if values.shape != (length,):
        raise ValueError(
            f"window has shape {values.shape} but frames are {length} samples long; give "
            f"{length} values, or a name such as 'hann'."
        )
    if not np.isfinite(values).all():
        raise ValueError("window holds NaN or infinity; give finite values, or a name.")
    if not values.any():
        raise ValueError("window is zero everywhere, and so would be all features; give a name.")
    before = (n_fft - length) // 2
    return np.pad(values, (before, n_fft - length - before))


def _known_window(window: Any, length: int) -> np.ndarray:
    try:
        return get_window(window, length, fftbins=True)
    except ValueError as error:
        raise ValueError(
            f"window={window!r} is not a window that scipy.signal.get_window knows, such "
            f"as 'hann' ({error})"
        ) from error


@lru_cache(maxsize=32)
def _named_window(name: str, length: int, n_fft: int) -> np.ndarray:
    """Each transform asks for it twice."""
    return _centred(_known_window(name, length), length, n_fft)


@lru_cache(maxsize=32)
def _filters(**options: Any) -> tuple[np.ndarray, Bands, float]:
    """Mel filters, their weights, and by how many dB the sums of their weights differ."""
    filters = mel_filters(**options)
    sums = filters.sum(axis=1)
    levels = 10.0 * np.log10(sums[sums > 0])
    return filters, band_weights(filters), float(np.ptp(levels)) if levels.size else 0.0
