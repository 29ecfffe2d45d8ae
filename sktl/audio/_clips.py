"""What counts as a list of clips, and the clips of one in chunks."""

import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, Literal

import numpy as np

from ..exceptions import AudioReadError
from ._ahead import read_ahead
from ._tensors import is_tensor, to_numpy, torch_dtype

__all__ = ["MAX_SAMPLES", "Clips", "is_clips", "is_path", "is_sequence", "name_all"]

# Of a chunk, and of the waveforms that wait: four minutes at 16 kHz, 16 MB.
MAX_SAMPLES = 2**22


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
    if not is_sequence(X):
        return False
    return any(is_path(clip) or getattr(clip, "ndim", 0) >= 1 for clip in islice(X, 1))


class Clips:
    """Validated clips at one sample rate, made by `validate_clips`.

    Parameters
    ----------
    rows : sequence
        One 1-D array, 1-D tensor or path per clip, or a 2-D array or tensor.
    sr : float
        Sample rate in Hz.
    from_files : bool, default=False
        Whether `rows` are paths.
    on_error : {"raise", "nan"}, default="raise"
        What to do about unreadable files.
    n_threads : int, default=1
        Threads that decode files.
    dtype : dtype, default=float32
        Of the arrays or tensors that `chunks` gives.
    keep_tensors : bool, default=False
        Whether rows that are tensors come out of `chunks` as tensors on their device,
        instead of as arrays.

    Attributes
    ----------
    dense : bool
        Whether the clips came as a 2-D array or tensor.

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
        keep_tensors: bool = False,
    ) -> None:
        self.rows = rows
        self.sr = sr
        self.from_files = from_files
        self.on_error = on_error
        self.n_threads = n_threads
        self.dtype = np.dtype(dtype)
        self.keep_tensors = keep_tensors
        self.dense = getattr(rows, "ndim", 1) == 2

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
        rows = self.rows[np.asarray(index)] if self.dense else [self.rows[i] for i in index]
        return Clips(
            rows,
            self.sr,
            from_files=self.from_files,
            on_error=self.on_error,
            n_threads=self.n_threads,
            dtype=self.dtype,
            keep_tensors=self.keep_tensors,
        )

    def chunks(self, size: int, max_samples: int = MAX_SAMPLES) -> Iterator[Any]:
        """Iterate over the clips in order, a few at a time.

        Files are decoded in threads of their own, ahead of use until the waveforms that wait
        have twice `max_samples` samples. One file more per thread is being decoded meanwhile.

        Parameters
        ----------
        size : int
            Most clips per chunk.
        max_samples : int, default=4194304
            Most samples per chunk; a longer clip is a chunk of its own.

        Yields
        ------
        list of (ndarray or tensor of shape (n_samples,), or None)
            None stands for an unreadable file, with ``on_error="nan"``. Of `dense` clips, one
            array or tensor of shape (n, n_samples).

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
        if self.dense:
            step = max(1, min(size, max_samples // self.rows.shape[1]))
            for first in range(0, len(self), step):
                yield self._convert(self.rows[first : first + step])
            return
        chunk: list[Any] = []
        n_samples = 0
        for clip in self._arrays(2 * max_samples):
            n_new = 0 if clip is None else len(clip)
            if chunk and n_samples + n_new > max_samples:
                yield chunk
                chunk, n_samples = [], 0
            chunk.append(clip)
            n_samples += n_new
            if len(chunk) >= size or n_samples >= max_samples:
                yield chunk
                chunk, n_samples = [], 0
        if chunk:
            yield chunk

    def _convert(self, clip: Any) -> Any:
        if self.keep_tensors and is_tensor(clip):
            return clip.detach().to(torch_dtype(self.dtype))
        if type(clip) is not np.ndarray:
            clip = to_numpy(clip)
        if clip.dtype == self.dtype:
            return clip if clip.flags.c_contiguous else np.ascontiguousarray(clip)
        with np.errstate(over="raise"):
            try:
                return np.ascontiguousarray(clip, dtype=self.dtype)
            except FloatingPointError:
                largest = np.finfo(self.dtype).max
                too_large = ((np.abs(to_numpy(row)) > largest).any() for row in self.rows)
                raise ValueError(
                    f"X[{list(too_large).index(True)}] holds values too large for {self.dtype}; "
                    "give floats in [-1, 1]."
                ) from None

    def _arrays(self, max_samples: int) -> Iterator[Any]:
        """Clips in the form that `chunks` gives."""
        if self.from_files:
            return chain.from_iterable(self._decoded(max_samples))
        return map(self._convert, self.rows)

    def _decoded(self, max_samples: int) -> Iterator[list[np.ndarray | None]]:
        failures: list[str] = []
        n_read = 0
        for run in read_ahead(self.rows, self.sr, self.n_threads, max_samples):
            waveforms: list[Any] = run
            if str in map(type, run):
                waveforms = [None if isinstance(found, str) else found for found in run]
                for index, found in enumerate(run, n_read):
                    if isinstance(found, str):
                        failures.append(f"{os.fspath(self.rows[index])}: {found}")
            n_read += len(run)
            if self.dtype != np.float32:
                waveforms = [None if y is None else y.astype(self.dtype) for y in waveforms]
            if not failures or self.on_error == "nan":
                yield waveforms
        if failures and self.on_error == "raise":
            raise AudioReadError(name_all("audio files cannot be read", failures, len(self)))
        if failures:
            warnings.warn(
                f"{len(failures)} of {len(self)} audio files cannot be read; their rows are "
                f"NaN. The first is {failures[0]}.",
                UserWarning,
                stacklevel=2,
            )


def name_all(problem: str, names: Sequence[Any], total: int) -> str:
    """Message that lists paths, one a line and none twice."""
    lines = "\n".join(
        f"  {name or repr(name)} ({count} times)" if count > 1 else f"  {name or repr(name)}"
        for name, count in Counter(names).items()
    )
    return f"{len(names)} of {total} {problem}:\n{lines}"


def is_path(clip: Any) -> bool:
    """Tell whether `clip` names a file."""
    return isinstance(clip, str | os.PathLike)


def is_sequence(X: Any) -> bool:
    """Tell whether `X` is a sequence of objects, not of numbers."""
    if isinstance(X, np.ndarray):
        return X.ndim == 1 and X.dtype.kind in "OSUT"
    if isinstance(X, str | bytes):
        return False
    return isinstance(X, Sequence) or (hasattr(X, "iloc") and getattr(X, "ndim", 0) == 1)
