"""What every feature of clips shares: validation, batching, pooling, names."""

from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if
from torch import Tensor

from .._validation import (
    Interval,
    Options,
    StrOptions,
    _check_feature_names_in,
    _fit_context,
    count_threads,
    resolve_device,
)
from ..audio import Clips, validate_clips
from ._clipwise import ClipwiseFeatures
from ._deltas import delta_names, delta_segments
from ._layout import Layout
from ._normalize import NORMALIZATIONS, normalize_segments
from ._plan import FramePlan
from ._pooling import POOLINGS, Pooling, n_pooled, pooled_names
from ._run import ClipError

__all__ = ["FrameFeatures", "numbered"]


def _has_columns(estimator: "FrameFeatures") -> bool:
    """Only rows of numbers have names, and only those of numpy can become data frames."""
    if estimator.pooling is not None and estimator.output == "numpy":
        return True
    needed = "`pooling`, as without it clips have frames"
    if estimator.pooling is not None:
        needed = "output='numpy', as tensors have no names"
    raise AttributeError(f"named columns of {type(estimator).__name__} need {needed}")


class FrameFeatures(TransformerMixin, BaseEstimator):
    """Base of the transformers that turn each frame of a clip into coefficients.

    A subclass gives `_plan`, `_band_names` and `_check_settings`.
    """

    sr: float
    hop_length: int
    pooling: Pooling | None
    deltas: int
    normalize: Any
    duration: float | None
    dtype: str
    device: str
    output: Literal["numpy", "torch"]
    n_jobs: int | None
    on_error: Any

    _parameter_constraints: dict = {
        "sr": [Interval(Real, 0, None, closed="neither")],
        "hop_length": [Interval(Integral, 1, None, closed="left")],
        "center": ["boolean"],
        "deltas": [Options(Integral, {0, 1, 2})],
        "normalize": [StrOptions(set(NORMALIZATIONS)), None],
        "pooling": [StrOptions(set(POOLINGS)), callable, None],
        "duration": [Interval(Real, 0, None, closed="neither"), None],
        "dtype": [StrOptions({"float32", "float64"})],
        "device": [str],
        "output": [StrOptions({"numpy", "torch"})],
        "n_jobs": [Integral, None],
        "on_error": [StrOptions({"raise", "nan"})],
    }

    def _plan(self, dtype: torch.dtype, device: torch.device) -> FramePlan:
        """How clips of a dtype are computed on a device."""
        raise NotImplementedError

    def _band_names(self) -> list[str]:
        """Names of the coefficients of a frame, without deltas."""
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
        resolve_device(self.device)
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
        ndarray or Tensor
            Shape (n_clips, n_columns) with `pooling`; else (n_clips, n_coefficients,
            n_frames), or an object array (for tensors a list) of n_clips arrays of shape
            (n_coefficients, n_frames_i) when the clips differ in their number of frames.
            In memory, frames are outermost, as in ``librosa.stft``. The row of a file that
            cannot be read is NaN, with ``on_error="nan"``.

        Raises
        ------
        ValueError
            If a clip is empty, not finite, stereo or unscaled integer PCM.
        AudioReadError
            If files are missing or cannot be decoded, with ``on_error="raise"``.
        """
        self._validate_params()
        self._check_settings()
        device = resolve_device(self.device)
        # On the CPU the samples are searched for NaN when they are read for their features.
        found_later = device.type == "cpu" and self.output == "numpy"
        clips = self._validate_clips(X, reset=False, check_finite=not found_later)
        n_coefficients = len(self._coefficient_names())
        features = ClipwiseFeatures(
            plan=self._plan(getattr(torch, self.dtype), device),
            device=device,
            n_coefficients=n_coefficients,
            after=self._after if self.deltas or self.normalize is not None else None,
            pooling=self.pooling,
            n_columns=0 if self.pooling is None else n_pooled(n_coefficients, self.pooling),
            n_samples=self._duration_samples(),
            output=self.output,
        )
        try:
            return features.run(clips, count_threads(self.n_jobs))
        except ClipError as error:
            self._validate_clips(X, reset=False)  # in its own words, if it is about NaN
            name = clips.rows[error.index] if clips.from_files else f"X[{error.index}]"
            raise ValueError(f"{name} holds {error}.") from None
        except (MemoryError, OverflowError) as error:
            if self.duration is None:
                raise
            raise ValueError(
                f"duration={self.duration!r} s pads every clip to {self._duration_samples():.3g} "
                f"samples, too many for the memory ({error}); give a shorter one."
            ) from error

    @available_if(_has_columns)
    def set_output(self, *, transform: Any = None) -> Self:
        """Choose the container of the rows that `transform` returns.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            None leaves it as it is.

        Returns
        -------
        self : estimator
        """
        return super().set_output(transform=transform)

    @available_if(_has_columns)
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

    def _validate_clips(self, X: Any, reset: bool, check_finite: bool = True) -> Clips:
        return validate_clips(
            self,
            X,
            sr=self.sr,
            reset=reset,
            on_error=self.on_error,
            n_jobs=self.n_jobs,
            dtype=self.dtype,
            keep_tensors=self.output == "torch",
            check_finite=check_finite,
        )

    def _coefficient_names(self) -> list[str]:
        return delta_names(self._band_names(), self.deltas)

    def _after(self, values: Tensor, layout: Layout) -> Tensor:
        """What follows the coefficients of the clips of a group, (n_rows, n_values)."""
        return delta_segments(
            self._normalized(values, layout), layout.starts, layout.stops, self.deltas
        )

    def _normalized(self, values: Tensor, layout: Layout) -> Tensor:
        return normalize_segments(values, layout.starts, layout.stops, self.normalize)

    def _duration_samples(self) -> int | None:
        return None if self.duration is None else max(1, round(self.duration * self.sr))

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
