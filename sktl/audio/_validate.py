"""Clips are checked before any long work."""

import math
import os
import warnings
from numbers import Number
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator

from .._validation import (
    _check_feature_names,
    _check_n_features,
    check_sr,
    count_threads,
    validate_data,
)
from ..exceptions import AudioReadError
from ._clips import Clips, is_clips, is_path, name_all
from ._container import check_container, files_in
from ._tensors import all_finite, is_tensor, to_numpy

__all__ = ["validate_clips"]

# scikit-learn's own checks pass small whole numbers; PCM goes far beyond.
LARGEST_UNSCALED = 128
# Full scale of 32 bits; what is larger is no PCM.
LARGEST_PCM = 2**31
SAMPLES_LOOKED_AT = 1024
# BLAS starts threads for longer products.
FEW_SAMPLES = 2**13


def validate_clips(
    estimator: BaseEstimator,
    X: Any,
    *,
    sr: float,
    reset: bool,
    on_error: Literal["raise", "nan"] = "raise",
    n_jobs: int | None = None,
    dtype: Any = np.float32,
    keep_tensors: bool = False,
    check_finite: bool = True,
) -> Clips:
    """Check the clips given to an estimator; no file is opened yet.

    Parameters
    ----------
    estimator : estimator
        Gets `n_features_in_` (and `feature_names_in_`) when `X` is a 2-D array; a list of
        clips sets neither.
    X : array-like of shape (n_clips, n_samples) or sequence of clips
        A 2-D array or tensor, or a sequence of 1-D arrays or tensors, all in [-1, 1] at
        `sr`; or a sequence of paths of audio files.
    sr : float
        Sample rate in Hz.
    reset : bool
        True in `fit`; else a 2-D `X` must have the number of samples seen in `fit`.
    on_error : {"raise", "nan"}, default="raise"
        With "nan", missing and unreadable files come out of `Clips.chunks` as None.
    n_jobs : int, default=None
        Threads that decode files; None means 1 and -1 all processors.
    dtype : dtype, default=float32
        Floating dtype of the clips that `Clips.chunks` gives.
    keep_tensors : bool, default=False
        Whether clips given as one 2-D tensor, or as a sequence of tensors only, come out of
        `Clips.chunks` as tensors on their device. They are checked there too.
    check_finite : bool, default=True
        Whether to read every sample in search of NaN and infinity. Without it, the caller
        must do so when it reads them.

    Returns
    -------
    Clips

    Raises
    ------
    ValueError
        If a clip is empty, not finite, stereo or unscaled integer PCM, if `X` is empty or in
        none of the forms above, or if `sr` or `n_jobs` makes no sense.
    AudioReadError
        If files are missing or folders, with ``on_error="raise"``; the message names all of
        them.

    Warns
    -----
    UserWarning
        If the clips are floats of the size of integer PCM, as a few samples of them tell.

    Examples
    --------
    >>> import numpy as np
    >>> from sktl import MFCC
    >>> from sktl.audio import validate_clips
    >>> clips = validate_clips(MFCC(), [np.zeros(8), np.zeros(4)], sr=16000, reset=True)
    >>> len(clips)
    2
    """
    check_sr(sr)
    n_threads = count_threads(n_jobs)
    check_container(X)
    options: dict[str, Any] = {"on_error": on_error, "dtype": dtype}
    if not is_clips(X):
        keep_tensors = keep_tensors and is_tensor(X)
        if keep_tensors:
            rows = _validate_tensor(estimator, X, reset, dtype)
        else:
            rows = _validate_dense(estimator, X, reset, dtype, check_finite)
        _warn_if_unscaled(rows)
        return Clips(rows, sr, keep_tensors=keep_tensors, **options)
    if reset:
        for name in ("n_features_in_", "feature_names_in_"):
            vars(estimator).pop(name, None)
    rows = list(X)
    if is_path(rows[0]):
        paths = _to_paths(rows)
        if on_error == "raise":
            _check_paths(paths)
        return Clips(paths, sr, from_files=True, n_threads=n_threads, **options)
    keep_tensors = keep_tensors and all(map(is_tensor, rows))
    if keep_tensors:
        _check_tensors(rows)
    else:
        _check_arrays(rows, check_finite)
    _warn_if_unscaled(rows)
    return Clips(rows, sr, keep_tensors=keep_tensors, **options)


def _validate_dense(
    estimator: BaseEstimator, X: Any, reset: bool, dtype: Any, check_finite: bool = True
) -> np.ndarray:
    X = to_numpy(X)
    if isinstance(X, list | tuple) and isinstance(X[0], Number):
        X = np.asarray(X)
    shape: tuple[int, ...] = tuple(getattr(X, "shape", ()))
    if len(shape) == 1 and X.dtype.kind in "fiub":
        raise ValueError(
            f"X has shape {shape}: Expected 2D array, got 1D array instead. If X is one "
            "clip, give a list of it, [X]; Reshape your data otherwise."
        )
    if len(shape) == 3:
        channels = 1 + int(shape[2] < shape[1])
        raise ValueError(
            f"X has shape {shape}: clips of several channels, such as stereo, or "
            "spectrograms. Give one channel, shape (n_clips, n_samples), e.g. "
            f"X.mean(axis={channels})."
        )
    _check_scaled("X", X)
    # Floats keep their width here: a copy of the whole array would be as large as the corpus.
    dtypes = [dtype, np.float32, np.float64]
    X = validate_data(estimator, X, reset=reset, dtype=dtypes, ensure_all_finite=False)
    if check_finite:
        _check_rows_finite(X)
    return X


def _check_rows_finite(X: np.ndarray) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(X.sum()):
            return
    for index, row in enumerate(X):
        _check_finite(f"X[{index}]", row)


def _validate_tensor(estimator: BaseEstimator, X: Any, reset: bool, dtype: Any) -> Any:
    """The same on a tensor, which only leaves its device when something is unusual."""
    if X.ndim == 2 and X.is_floating_point() and X.numel() and all_finite([X]):
        _check_feature_names(estimator, X, reset=reset)
        _check_n_features(estimator, X, reset=reset)
        return X
    import torch

    return torch.from_numpy(_validate_dense(estimator, X, reset, dtype)).to(X.device)


def _check_arrays(clips: list[Any], check_finite: bool) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        for index, clip in enumerate(clips):
            ordinary = type(clip) is np.ndarray and clip.ndim == 1 and clip.dtype.kind == "f"
            if not (ordinary and clip.size and (not check_finite or _is_plainly_finite(clip))):
                _check_clip(index, clip)


def _is_plainly_finite(clip: np.ndarray) -> bool:
    """Tell by one product, which overflows only for broken or enormous samples."""
    return clip.size <= FEW_SAMPLES and math.isfinite(clip.dot(clip))


def _check_tensors(clips: list[Any]) -> None:
    """Refuse what `_check_clip` refuses, with one transfer when all is well."""
    ordinary = (clip.ndim == 1 and clip.is_floating_point() and clip.numel() for clip in clips)
    if all(ordinary) and all_finite(clips):
        return
    for index, clip in enumerate(clips):
        _check_clip(index, clip)


def _check_clip(index: int, clip: Any) -> None:
    """Refuse what is not one finite, scaled, mono waveform."""
    name = f"X[{index}]"
    if is_path(clip) or not hasattr(clip, "ndim"):
        raise ValueError(
            f"{name} is a {type(clip).__name__} but X[0] is an array; give arrays only or "
            "paths only."
        )
    clip = np.asarray(to_numpy(clip))
    if clip.ndim != 1:
        raise ValueError(
            f"{name} has shape {clip.shape}: several channels, such as stereo, or a "
            "spectrogram. Give one channel, shape (n_samples,), e.g. the mean over channels."
        )
    if clip.size == 0:
        raise ValueError(f"{name} is empty: a clip needs at least one sample.")
    _check_scaled(name, clip)
    if clip.dtype.kind not in "fiub":
        raise ValueError(f"{name} has dtype {clip.dtype}; give floats in [-1, 1].")
    _check_finite(name, clip)


def _check_finite(name: str, clip: np.ndarray) -> None:
    if not np.isfinite(clip).all():
        raise ValueError(f"{name} contains NaN or infinity; every sample must be finite.")


def _check_scaled(name: str, values: Any) -> None:
    """Refuse integer PCM: int8, uint8 and int16 always, wider integers when they are large."""
    dtype = getattr(values, "dtype", None)
    if not isinstance(dtype, np.dtype) or dtype.kind not in "iu":
        return
    largest = np.abs(values, dtype=np.float64).max(initial=0.0)
    if dtype.itemsize > 2 and largest <= LARGEST_UNSCALED:
        return
    bits = 8 * dtype.itemsize
    if dtype.itemsize > 2:
        bits = next((bits for bits in (16, 24) if largest <= 2 ** (bits - 1)), 32)
    full_scale = 2 ** (bits - 1)
    shifted = f"({name} - {full_scale})" if dtype.kind == "u" else name
    raise ValueError(
        f"{name} has dtype {dtype}: PCM that was not scaled. Give floats in [-1, 1]; for "
        f"{bits}-bit samples that is {shifted} / {full_scale}."
    )


def _warn_if_unscaled(clips: Any) -> None:
    """Look at a few samples of the first, the middle and the last clip."""
    largest = 0.0
    for index in {0, len(clips) // 2, len(clips) - 1}:
        clip = clips[index]
        few = to_numpy(clip[:: 1 + len(clip) // SAMPLES_LOOKED_AT])
        if few.dtype.kind == "f":
            largest = max(largest, float(few.max()), -float(few.min()))
    if LARGEST_UNSCALED < largest <= LARGEST_PCM:
        bits = next(bits for bits in (16, 24, 32) if largest <= 2 ** (bits - 1))
        warnings.warn(
            f"X holds values as large as {largest:g}, but clips lie in [-1, 1]. If these are "
            f"samples of {bits} bits, divide them by {2 ** (bits - 1)}.",
            UserWarning,
            stacklevel=4,
        )


def _to_paths(rows: list[Any]) -> list[str]:
    """Paths as they are opened; name the first element that is none."""
    kinds = {kind for kind in set(map(type, rows)) if not issubclass(kind, str | os.PathLike)}
    if kinds:
        index = next(i for i, path in enumerate(rows) if type(path) in kinds)
        raise ValueError(
            f"X[{index}] is a {type(rows[index]).__name__} but X[0] is a path; give arrays only "
            "or paths only."
        )
    return list(map(os.fspath, rows))


def _check_paths(paths: list[str]) -> None:
    """Name every path of no file."""
    others = [path for path in paths if not _looks_like_a_file(path)]
    folders = [path for path in others if os.path.isdir(path)]
    missing = [path for path in others if not os.path.isdir(path)]
    problems = []
    if missing:
        at_home = any(os.fsdecode(path).startswith("~") for path in missing)
        hint = " ('~' is not expanded: give os.path.expanduser(path))" if at_home else ""
        problems.append(name_all(f"audio files do not exist{hint}", missing, len(paths)))
    if folders:
        advice = "paths are folders; give the files in them, e.g. " + files_in("folder")
        problems.append(name_all(advice, folders, len(paths)))
    if problems:
        raise AudioReadError("\n".join(problems))


def _looks_like_a_file(path: str | bytes) -> bool:
    """Tell at half the cost of `isfile`; a folder named like a file is found when it is read."""
    if isinstance(path, str) and "." in path[-5:] and "\0" not in path:
        return os.access(path, os.F_OK)
    return os.path.isfile(path)
