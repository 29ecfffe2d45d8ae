"""What every feature of clips shares: validation, batching, pooling, names."""

from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if
from torch import Tensor

from .._validation import (
    Interval,
    StrOptions,
    _check_feature_names_in,
    _fit_context,
    resolve_device,
)
from ..audio import Clips, validate_clips
from ._pooling import POOLINGS, pool_frames, pooled_names

__all__ = ["FrameFeatures", "numbered"]

CLIPS_PER_CHUNK = 64
SAMPLES_PER_BATCH = 2**17


def _is_pooled(estimator: "FrameFeatures") -> bool:
    """Only rows of numbers have names and can become data frames."""
    return estimator.pooling is not None


class FrameFeatures(TransformerMixin, BaseEstimator):
    """Base of the transformers that turn each frame of a clip into coefficients.

    A subclass gives `_compute`, `_coefficient_names` and `_check_settings`.
    """

    sr: float
    hop_length: int
    pooling: str | None
    duration: float | None
    dtype: str
    device: str
    n_jobs: int | None
    on_error: Any

    _parameter_constraints: dict = {
        "sr": [Interval(Real, 0, None, closed="neither")],
        "hop_length": [Interval(Integral, 1, None, closed="left")],
        "center": ["boolean"],
        "pooling": [StrOptions(set(POOLINGS)), None],
        "duration": [Interval(Real, 0, None, closed="neither"), None],
        "dtype": [StrOptions({"float32", "float64"})],
        "device": [str],
        "n_jobs": [Integral, None],
        "on_error": [StrOptions({"raise", "nan"})],
    }

    def _compute(self, y: Tensor) -> Tensor:
        """Turn (n, n_samples) into (n, n_coefficients, n_frames)."""
        raise NotImplementedError

    def _coefficient_names(self) -> list[str]:
        raise NotImplementedError

    def _check_settings(self) -> None:
        """Check relations between parameters."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the parameters and the clips; there is nothing to learn.

        Parameters
        ----------
        X : array-like of shape (n_clips, n_samples) or sequence of clips
            Waveforms at `sr` with values in [-1, 1], as one array or as a sequence of 1-D
            arrays or tensors of any lengths; or a sequence of paths of audio files, which
            are not opened yet.
        y : None
            Ignored.

        Returns
        -------
        self : estimator
        """
        self._check_settings()
        self._validate_clips(X, reset=True)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Compute the features of every clip.

        Parameters
        ----------
        X : array-like of shape (n_clips, n_samples) or sequence of clips
            As in `fit`. Files are decoded ahead of the computation.

        Returns
        -------
        ndarray
            Shape (n_clips, n_statistics * n_coefficients) with `pooling`; else
            (n_clips, n_coefficients, n_frames), or an object array of n_clips arrays of
            shape (n_coefficients, n_frames_i) when the clips differ in their number of
            frames. The row of a file that cannot be read is NaN, with ``on_error="nan"``.

        Raises
        ------
        ValueError
            If a clip is empty, not finite, stereo or unscaled integer PCM.
        AudioReadError
            If files are missing or cannot be decoded, with ``on_error="raise"``.
        """
        self._validate_params()
        self._check_settings()
        clips = self._validate_clips(X, reset=False)
        device = resolve_device(self.device)
        rows: list[np.ndarray | None] = []
        for chunk in clips.chunks(CLIPS_PER_CHUNK):
            rows += self._transform_chunk(chunk, device)
        return self._stack(rows)

    @available_if(_is_pooled)
    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the output columns: feature, coefficient, statistic.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Checked against the names seen in `fit`, otherwise ignored.

        Returns
        -------
        ndarray of str objects
        """
        _check_feature_names_in(self, input_features, generate_names=False)
        assert self.pooling is not None
        return np.array(pooled_names(self._coefficient_names(), self.pooling), dtype=object)

    def _validate_clips(self, X: Any, reset: bool) -> Clips:
        return validate_clips(
            self,
            X,
            sr=self.sr,
            reset=reset,
            on_error=self.on_error,
            n_jobs=self.n_jobs,
            dtype=self.dtype,
        )

    def _transform_chunk(
        self, chunk: list[np.ndarray | None], device: torch.device
    ) -> list[np.ndarray | None]:
        """Features of each clip; clips of equal length are computed together."""
        rows: list[np.ndarray | None] = [None] * len(chunk)
        by_length: dict[int, list[int]] = {}
        clips = [None if clip is None else self._fix_duration(clip) for clip in chunk]
        for index, clip in enumerate(clips):
            if clip is not None:
                by_length.setdefault(len(clip), []).append(index)
        for length, indices in by_length.items():
            step = max(1, SAMPLES_PER_BATCH // length)
            for start in range(0, len(indices), step):
                batch = indices[start : start + step]
                stacked = np.stack([clips[index] for index in batch])  # type: ignore[misc]
                for index, row in zip(batch, self._transform_batch(stacked, device), strict=True):
                    rows[index] = row
        return rows

    def _transform_batch(self, y: np.ndarray, device: torch.device) -> np.ndarray:
        with torch.no_grad():
            values = self._compute(torch.from_numpy(y).to(device))
            if self.pooling is not None:
                values = pool_frames(values, self.pooling)
            return values.cpu().numpy()

    def _fix_duration(self, clip: np.ndarray) -> np.ndarray:
        """Crop to `duration`; pad too, except where the padding would enter statistics."""
        if self.duration is None:
            return clip
        n_samples = max(1, round(self.duration * self.sr))
        missing = n_samples - len(clip)
        if missing > 0 and self.pooling is None:
            return np.pad(clip, (0, missing))
        return clip[:n_samples]

    def _stack(self, rows: list[np.ndarray | None]) -> np.ndarray:
        """One array of all rows where their shapes agree, else an array of arrays."""
        n_coefficients = len(self._coefficient_names())
        if self.pooling is None:
            empty_shape: tuple[int, ...] = (n_coefficients, 1)
        else:
            empty_shape = (n_coefficients * len(POOLINGS[self.pooling]),)
        shapes = {row.shape for row in rows if row is not None} or {empty_shape}
        if len(shapes) == 1:
            nan_row = np.full(shapes.pop(), np.nan, dtype=self.dtype)
            return np.stack([nan_row if row is None else row for row in rows])
        nan_row = np.full(empty_shape, np.nan, dtype=self.dtype)
        ragged = np.empty(len(rows), dtype=object)
        for index, row in enumerate(rows):
            ragged[index] = nan_row.copy() if row is None else row
        return ragged

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.transformer_tags.preserves_dtype = [self.dtype]
        return tags


def numbered(prefix: str, first: int, count: int) -> list[str]:
    """Names with as many digits as the last of them needs, two at least."""
    digits = max(2, len(str(first + count - 1)))
    return [f"{prefix}_{index:0{digits}d}" for index in range(first, first + count)]
