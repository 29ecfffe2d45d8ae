"""What counts as a list of clips, and its validation before any long work."""

import os
import warnings
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Literal

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import BaseEstimator

from .._validation import check_sr, validate_data
from ..exceptions import AudioReadError
from ._read import read_ahead

__all__ = ["Clips", "is_clips", "validate_clips"]

# scikit-learn's own checks pass small whole numbers; PCM goes far beyond.
LARGEST_UNSCALED = 128


def is_clips(X: Any) -> bool:
    """Tell whether `X` is a sequence of clips rather than one numeric array.

    Decided by the type of the elements, never by whether their lengths agree.

    Parameters
    ----------
    X : object
        Anything given as `X` to an estimator.

    Returns
    -------
    bool
        True for a sequence (list, tuple, 1-D object or str array, Series) whose elements
        are file paths, arrays or tensors. False for numeric arrays, nested lists of
        numbers and data frames, which are rows of equal length.

    Examples
    --------
    >>> import numpy as np
    >>> from sktl.audio import is_clips
    >>> is_clips(["a.wav", "b.wav"]), is_clips([np.zeros(8), np.zeros(8)])
    (True, True)
    >>> is_clips(np.zeros((2, 8))), is_clips([[0.0, 0.5], [0.5, 0.0]])
    (False, False)
    """
    if not _is_sequence(X):
        return False
    return any(_is_path(clip) or getattr(clip, "ndim", 0) >= 1 for clip in islice(X, 1))


class Clips:
    """Validated clips at one sample rate, made by `validate_clips`.

    Parameters
    ----------
    rows : sequence
        One 1-D array or one path per clip, or a 2-D array.
    sr : float
        Sample rate in Hz.
    from_files : bool, default=False
        Whether `rows` are paths.
    on_error : {"raise", "nan"}, default="raise"
        What to do about unreadable files.
    n_threads : int, default=1
        Threads that decode files.
    dtype : dtype, default=float32
        Of the arrays that `chunks` gives.

    Attributes
    ----------
    dense : bool
        Whether the clips came as a 2-D array.

    Examples
    --------
    >>> import numpy as np
    >>> from sktl.audio import Clips
    >>> clips = Clips([np.zeros(3), np.ones(5), np.ones(4)], sr=16000)
    >>> len(clips), clips.dense
    (3, False)
    >>> [[len(clip) for clip in chunk] for chunk in clips.chunks(2)]
    [[3, 5], [4]]
    """

    def __init__(
        self,
        rows: Any,
        sr: float,
        *,
        from_files: bool = False,
        on_error: Literal["raise", "nan"] = "raise",
        n_threads: int = 1,
        dtype: Any = np.float32,
    ) -> None:
        self.rows = rows
        self.sr = sr
        self.from_files = from_files
        self.on_error = on_error
        self.n_threads = n_threads
        self.dtype = np.dtype(dtype)
        self.dense = isinstance(rows, np.ndarray) and rows.ndim == 2

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Sequence[int] | np.ndarray) -> "Clips":
        """Clips number `index`, in that order.

        Parameters
        ----------
        index : array-like of int of shape (n,)
            Positions, from 0.

        Returns
        -------
        Clips
        """
        rows = np.asarray(self.rows)[index] if self.dense else [self.rows[i] for i in index]
        return Clips(
            rows,
            self.sr,
            from_files=self.from_files,
            on_error=self.on_error,
            n_threads=self.n_threads,
            dtype=self.dtype,
        )

    def chunks(self, size: int) -> Iterator[list[np.ndarray | None]]:
        """Iterate over the clips in order, `size` at a time.

        Files are decoded in threads at most one chunk ahead of use.

        Parameters
        ----------
        size : int
            Clips per chunk; the last chunk may be shorter.

        Yields
        ------
        list of (ndarray of shape (n_samples,) or None)
            None stands for an unreadable file, with ``on_error="nan"``.

        Raises
        ------
        AudioReadError
            With ``on_error="raise"``, at the first file that cannot be decoded; the
            message names it and all such files after it.

        Warns
        -----
        UserWarning
            Once, at the end, with the number of unreadable files.
        """
        clips = self._decoded(size) if self.from_files else map(self._as_array, self.rows)
        while chunk := list(islice(clips, size)):
            yield chunk

    def _as_array(self, clip: Any) -> np.ndarray:
        return np.asarray(_to_numpy(clip), dtype=self.dtype)

    def _decoded(self, ahead: int) -> Iterator[np.ndarray | None]:
        failures: list[str] = []
        waveforms = read_ahead(self.rows, self.sr, self.n_threads, ahead)
        for path, waveform in zip(self.rows, waveforms, strict=True):
            if isinstance(waveform, str):
                failures.append(f"{os.fspath(path)}: {waveform}")
            if failures and self.on_error == "raise":
                continue
            yield None if isinstance(waveform, str) else self._as_array(waveform)
        if failures and self.on_error == "raise":
            raise AudioReadError(_name_all("cannot be read", failures, len(self)))
        if failures:
            warnings.warn(
                f"{len(failures)} of {len(self)} audio files cannot be read; their rows are "
                f"NaN. The first is {failures[0]}.",
                UserWarning,
                stacklevel=2,
            )


def validate_clips(
    estimator: BaseEstimator,
    X: Any,
    *,
    sr: float,
    reset: bool,
    on_error: Literal["raise", "nan"] = "raise",
    n_jobs: int | None = None,
    dtype: Any = np.float32,
) -> Clips:
    """Check the clips given to an estimator; no file is opened yet.

    Parameters
    ----------
    estimator : estimator
        Gets `n_features_in_` (and `feature_names_in_`) when `X` is a 2-D array; a list of
        clips sets neither.
    X : array-like of shape (n_clips, n_samples) or sequence of clips
        A 2-D array, or a sequence of 1-D arrays or tensors, all in [-1, 1] at `sr`; or a
        sequence of paths of audio files.
    sr : float
        Sample rate in Hz.
    reset : bool
        True in `fit`; else a 2-D `X` must have the number of samples seen in `fit`.
    on_error : {"raise", "nan"}, default="raise"
        With "nan", missing and unreadable files come out of `Clips.chunks` as None.
    n_jobs : int, default=None
        Threads that decode files; None means 1 and -1 all processors.
    dtype : dtype, default=float32
        Floating dtype of the clips.

    Returns
    -------
    Clips

    Raises
    ------
    ValueError
        If a clip is empty, not finite, stereo or unscaled integer PCM, if `X` is empty, or
        if `sr` is not a sample rate.
    AudioReadError
        If files are missing, with ``on_error="raise"``; the message names all of them.

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
    if isinstance(X, str | os.PathLike):
        raise ValueError(f"X={os.fspath(X)!r} is a single path; give a list of paths, [{X!r}].")
    if not is_clips(X):
        return Clips(_validate_dense(estimator, X, reset, dtype), sr, dtype=dtype)
    if reset:
        for name in ("n_features_in_", "feature_names_in_"):
            vars(estimator).pop(name, None)
    rows = list(X)
    options: dict[str, Any] = {"on_error": on_error, "dtype": dtype}
    if _is_path(rows[0]):
        _check_paths(rows, on_error)
        n_threads = max(1, effective_n_jobs(n_jobs))
        return Clips(rows, sr, from_files=True, n_threads=n_threads, **options)
    for index, clip in enumerate(rows):
        _check_clip(index, clip)
    return Clips(rows, sr, **options)


def _validate_dense(estimator: BaseEstimator, X: Any, reset: bool, dtype: Any) -> np.ndarray:
    if _is_sequence(X) and len(X) == 0:
        raise ValueError("X is empty; give at least one clip.")
    if hasattr(X, "columns") and any(_is_path(v) for v in np.asarray(X)[:1].ravel()):
        raise ValueError(
            "X is a data frame that holds text; for file paths give one column of it, "
            "e.g. X['path']."
        )
    X = _to_numpy(X)
    shape = getattr(X, "shape", ())
    if len(shape) == 3:
        raise ValueError(
            f"X has shape {tuple(shape)}: clips of several channels, such as stereo, or "
            "spectrograms. Give one channel, shape (n_clips, n_samples), e.g. X.mean(axis=1)."
        )
    _check_scaled("X", X)
    return validate_data(estimator, X, reset=reset, dtype=dtype)


def _check_clip(index: int, clip: Any) -> None:
    """Refuse what is not one finite, scaled, mono waveform."""
    name = f"X[{index}]"
    if _is_path(clip) or not hasattr(clip, "ndim"):
        raise ValueError(
            f"{name} is a {type(clip).__name__} but X[0] is an array; give arrays only or "
            "paths only."
        )
    clip = np.asarray(_to_numpy(clip))
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


def _check_paths(rows: list[Any], on_error: str) -> None:
    """Name every element that is no path, else every file that is missing."""
    for index, path in enumerate(rows):
        if not _is_path(path):
            raise ValueError(
                f"X[{index}] is a {type(path).__name__} but X[0] is a path; give arrays only "
                "or paths only."
            )
    if on_error == "nan":
        return
    missing = [os.fspath(path) for path in rows if not os.path.isfile(path)]
    if missing:
        raise AudioReadError(_name_all("do not exist", missing, len(rows)))


def _name_all(problem: str, names: list[str], total: int) -> str:
    lines = "\n".join(f"  {name}" for name in names)
    return f"{len(names)} of {total} audio files {problem}:\n{lines}"


def _is_path(clip: Any) -> bool:
    return isinstance(clip, str | os.PathLike)


def _is_sequence(X: Any) -> bool:
    if isinstance(X, np.ndarray):
        return X.ndim == 1 and X.dtype.kind in "OUT"
    if isinstance(X, str | bytes):
        return False
    return isinstance(X, Sequence) or (hasattr(X, "iloc") and getattr(X, "ndim", 0) == 1)


def _to_numpy(values: Any) -> Any:
    """Bring tensors to numpy; leave the rest alone."""
    if hasattr(values, "detach"):
        return values.detach().cpu().numpy()
    return values
