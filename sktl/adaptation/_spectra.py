"""What transformers share that map bands: columns of rows, or rows of spectrograms."""

from typing import Any

import numpy as np

from .._validation import check_array, validate_data
from ._base import DomainTransformer

__all__ = ["BandTransformer", "Spectra", "as_given", "moments", "scale_and_shift"]

# Rows of the same number of bands: 2-D, 3-D with frames last, or one 2-D array per clip.
Spectra = np.ndarray | list[np.ndarray]


class BandTransformer(DomainTransformer):
    """Base of transformers that scale and shift every band; `X` may be 2-D, 3-D or ragged."""

    n_bands_: int

    def _check_rows(self, X: Any, reset: bool) -> Spectra:
        if not _is_ragged(X):
            rows = validate_data(
                self, X, dtype=[np.float64, np.float32], allow_nd=True, reset=reset
            )
            if rows.ndim > 3:
                raise ValueError(
                    f"X has shape {rows.shape}; give rows (n, n_bands), or spectrograms (n, "
                    "n_bands, n_frames), or a list of (n_bands, n_frames)."
                )
            self._check_bands(rows.shape[1], reset)
            return np.asarray(rows)
        if not len(X):
            raise ValueError("X holds no spectrogram; give one or more.")
        spectra = [
            check_array(each, dtype=[np.float64, np.float32], input_name=f"X[{i}]")
            for i, each in enumerate(X)
        ]
        for i, each in enumerate(spectra):
            if len(each) != len(spectra[0]):
                raise ValueError(
                    f"X[{i}] has {len(each)} bands but X[0] has {len(spectra[0])}; give "
                    "spectrograms (n_bands, n_frames) of the same bands."
                )
        self._check_bands(len(spectra[0]), reset)
        return spectra

    def _check_bands(self, n_bands: int, reset: bool) -> None:
        if reset:
            self.n_bands_ = n_bands
        elif n_bands != self.n_bands_:
            raise ValueError(
                f"X has {n_bands} bands, but {type(self).__name__} was fitted with {self.n_bands_}."
            )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_bands_")


def moments(spectra: Spectra, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every band, over rows and frames."""
    if isinstance(spectra, np.ndarray):
        part, axes = spectra[mask], (0, 2)[: spectra.ndim - 1]
    else:
        frames = [each for each, taken in zip(spectra, mask, strict=True) if taken]
        part, axes = np.concatenate(frames, axis=1), (1,)
    return part.mean(axis=axes, dtype=np.float64), part.std(axis=axes, dtype=np.float64)


def scale_and_shift(
    spectra: Spectra, mask: np.ndarray, scale: np.ndarray, shift: np.ndarray
) -> Spectra:
    """Rows of which those of a mask are x * scale + shift, band by band."""
    if isinstance(spectra, np.ndarray):
        bands = (-1,) + (1,) * (spectra.ndim - 2)
        mapped = spectra[mask] * scale.reshape(bands) + shift.reshape(bands)
        found = spectra.copy()
        found[mask] = mapped
        return found
    return [
        (each * scale[:, None] + shift[:, None]).astype(each.dtype) if taken else each
        for each, taken in zip(spectra, mask, strict=True)
    ]


def as_given(spectra: Spectra) -> np.ndarray:
    """Ragged spectrograms as an object array, all others as they are."""
    if isinstance(spectra, np.ndarray):
        return spectra
    found = np.empty(len(spectra), dtype=object)
    found[:] = spectra
    return found


def _is_ragged(X: Any) -> bool:
    if isinstance(X, np.ndarray):
        return X.dtype == object and X.ndim == 1
    return isinstance(X, list | tuple) and len(X) > 0 and len(getattr(X[0], "shape", ())) == 2
