"""SpecAugment: masks over time and frequency on the spectrograms of a batch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from numbers import Integral, Real
from typing import Any, Self

import torch
from torch import Tensor, nn

from ..backbones import Backbone, Ragged
from ..backbones._units import Values
from ._module import Scaler

__all__ = ["SpecAugment", "check_spec_augment", "spectrogram_axes"]

Axes = tuple[int, int]


@dataclass(frozen=True)
class SpecAugment:
    """Masks of random place and width, filled with the mean of the unit.

    Park et al., "SpecAugment: a simple data augmentation method for automatic speech
    recognition", Interspeech 2019, section 2, without time warping. A mask's width is drawn
    uniformly from 0 to the widest, then its place among all that it fits into.

    Parameters
    ----------
    n_time_masks : int, default=2
        Masks over time for each unit, m_T; they may overlap.
    time_mask : float, default=0.2
        Widest mask over time, T, as a share of the unit's frames; in [0, 1].
    n_freq_masks : int, default=2
        Masks over frequency for each unit, m_F.
    freq_mask : float, default=0.2
        Widest mask over frequency, F, as a share of the bands; in [0, 1].
    """

    n_time_masks: int = 2
    time_mask: float = 0.2
    n_freq_masks: int = 2
    freq_mask: float = 0.2

    @classmethod
    def of(cls, spec_augment: Any) -> Self | None:
        """Settings of a parameter `spec_augment`: True, False or a dict of some of them."""
        if spec_augment is None or isinstance(spec_augment, bool):
            return cls() if spec_augment else None
        names = [field.name for field in fields(cls)]
        if not isinstance(spec_augment, Mapping):
            raise ValueError(
                f"spec_augment={spec_augment!r} is not understood; give True, False, or a dict of "
                f"any of {', '.join(names)}."
            )
        if unknown := [key for key in spec_augment if key not in names]:
            raise ValueError(
                f"spec_augment holds {', '.join(map(repr, unknown))}; what it may hold is "
                f"{', '.join(names)}."
            )
        settings = cls(**spec_augment)
        for name, value in asdict(settings).items():
            _check(name, value)
        return settings

    def __call__(self, values: Values, axes: Axes, scaler: nn.Module | None = None) -> Values:
        """Mask each unit by itself, with draws from torch's CPU generator.

        Parameters
        ----------
        values : Tensor of shape (n_units, ...), or Ragged
            Units; they are not changed.
        axes : tuple of int
            Axes of time and of frequency.
        scaler : Module, default=None
            What standardises the units before the network. The mean is then that of the
            standardised unit, so that bands of different level are all masked alike.

        Returns
        -------
        Tensor or Ragged
            Of the same shapes.
        """
        n_units = len(values)
        draws = [_draws(n_units, n) for n in (self.n_time_masks, self.n_freq_masks)]
        if isinstance(values, Tensor):
            return self._masked(values, axes, scaler, draws)
        numbers = values.order.argsort().split(values.sizes)
        groups = [
            self._masked(group, axes, scaler, [draw[number] for draw in draws])
            for group, number in zip(values.groups, numbers, strict=True)
        ]
        return Ragged(groups, values.order)

    def _masked(
        self, units: Tensor, axes: Axes, scaler: nn.Module | None, draws: list[Tensor]
    ) -> Tensor:
        masked = torch.zeros(1, dtype=torch.bool, device=units.device)
        for axis, share, draw in zip(axes, (self.time_mask, self.freq_mask), draws, strict=True):
            size = units.shape[axis]
            shape = [len(units), *(size if i == axis else 1 for i in range(1, units.ndim))]
            inside = _inside(draw, size, round(share * size)).to(units.device)
            masked = masked | inside.reshape(shape)
        return torch.where(masked, _mean(units, scaler), units)


def check_spec_augment(spec_augment: Any, body: Backbone, name: str) -> SpecAugment | None:
    """Settings of the parameter, None for none; raise where `body` sees no spectrograms."""
    settings = SpecAugment.of(spec_augment)
    if settings is not None and spectrogram_axes(body) is None:
        kind = body.input_spec.kind
        raise ValueError(
            f"spec_augment={spec_augment!r} masks spectrograms, but backbone={name} works on "
            f"{'waveforms' if kind == 'waveform' else kind}; give spec_augment=False, or a network "
            "on spectrograms. A Backbone of your own says by its attribute unit_axes which axes "
            "are time and frequency; a module that takes arrays (n, n_bands, n_frames), by "
            "input_spec = InputSpec('spectrogram')."
        )
    return settings


def spectrogram_axes(body: Backbone) -> Axes | None:
    """Axes of time and of frequency in units (n_units, ...); None where these are none."""
    return (2, 1) if body.input_spec.kind == "spectrogram" else body.unit_axes


def _check(name: str, value: Any) -> None:
    """Refuse a setting out of range."""
    if name.startswith("n_"):
        fits = isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0
        right = "give a number of masks, 0 or more"
    else:
        fits = isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) <= 1
        right = "give a share of the unit, from 0 to 1"
    if not fits:
        raise ValueError(f"spec_augment holds {name}={value!r}; {right}.")


def _draws(n_units: int, n_masks: int) -> Tensor:
    """Uniform in [0, 1), for the width and the place of each mask: (n_units, 2, n_masks)."""
    return torch.rand(n_units, 2, n_masks, dtype=torch.float64)


def _inside(draws: Tensor, size: int, widest: int) -> Tensor:
    """Which of `size` places each unit's masks cover: (n_units, size)."""
    width = (draws[:, 0] * (widest + 1)).floor()
    # The paper leaves out the last place, so that the last frame would never be masked.
    start = (draws[:, 1] * (size - width + 1)).floor()
    place = torch.arange(size)
    inside = (place >= start.unsqueeze(2)) & (place < (start + width).unsqueeze(2))
    return inside.any(1)


def _mean(units: Tensor, scaler: nn.Module | None) -> Tensor:
    """What the standardised unit is on average, before it is standardised."""
    axes = tuple(range(1, units.ndim))
    if not isinstance(scaler, Scaler):
        return units.mean(axes, keepdim=True)
    return scaler(units).mean(axes, keepdim=True) * scaler.scale + scaler.mean
