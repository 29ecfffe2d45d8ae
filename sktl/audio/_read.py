"""Files to mono waveforms at one sample rate, decoded in threads ahead of use."""

import math
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np

from .._validation import check_sr
from ..exceptions import AudioReadError

__all__ = ["load_audio", "read_ahead"]

Path = str | os.PathLike[str]


def load_audio(path: Path, sr: float) -> np.ndarray:
    """Read an audio file as one mono waveform.

    Equal to ``librosa.load(path, sr=sr)``: decoded by soundfile, mixed to mono as the mean
    of the channels, then resampled by soxr in high quality.

    Parameters
    ----------
    path : str or PathLike
        File in any format that libsndfile reads, such as WAV, FLAC, OGG and MP3.
    sr : float
        Sample rate of the result in Hz.

    Returns
    -------
    ndarray of float32 of shape (n_samples,)
        Values in [-1, 1].

    Raises
    ------
    AudioReadError
        If the file is missing, cannot be decoded, or holds no samples.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np, soundfile
    >>> from sktl.audio import load_audio
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "tone.wav")
    ...     soundfile.write(path, np.sin(np.arange(8000) / 5), 8000)
    ...     load_audio(path, sr=16000).shape
    (16000,)
    """
    check_sr(sr)
    try:
        return _decode(path, sr)
    except _Unreadable as error:
        raise AudioReadError(f"{os.fspath(path)}: {error}.") from error


def read_ahead(
    paths: Sequence[Path], sr: float, n_threads: int, ahead: int
) -> Iterator[np.ndarray | str]:
    """Waveforms in order, at most `ahead` files before their use; a str says why there is none."""
    with ThreadPoolExecutor(n_threads) as pool:
        rest = iter(paths)
        pending: deque[Future[np.ndarray | str]] = deque(
            pool.submit(_try_decode, path, sr) for path in islice(rest, max(1, ahead))
        )
        try:
            while pending:
                waveform = pending.popleft().result()
                pending.extend(pool.submit(_try_decode, path, sr) for path in islice(rest, 1))
                yield waveform
        finally:
            for future in pending:
                future.cancel()


class _Unreadable(Exception):
    """Why a file gives no waveform."""


def _try_decode(path: Path, sr: float) -> np.ndarray | str:
    try:
        return _decode(path, sr)
    except _Unreadable as error:
        return str(error)


def _decode(path: Path, sr: float) -> np.ndarray:
    import soundfile

    if not os.path.isfile(path):
        raise _Unreadable("no such file")
    try:
        samples, file_sr = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise _Unreadable(f"cannot be decoded ({error})") from error
    if not len(samples):
        raise _Unreadable("holds no samples")
    mono = _mix_to_mono(samples)
    if not np.isfinite(mono).all():
        raise _Unreadable("holds NaN or infinity")
    return _resample(mono, file_sr, sr)


def _mix_to_mono(samples: np.ndarray) -> np.ndarray:
    """Mean over channels: (n_samples, n_channels) → (n_samples,)."""
    if samples.shape[1] == 1:
        return samples[:, 0]
    if samples.shape[1] == 2:  # many times faster than mean() on interleaved stereo
        return (samples[:, 0] + samples[:, 1]) * np.float32(0.5)
    return samples.mean(axis=1)


def _resample(samples: np.ndarray, from_sr: float, to_sr: float) -> np.ndarray:
    """Resample to ``ceil(n_samples * to_sr / from_sr)`` samples, as librosa does."""
    if from_sr == to_sr:
        return samples
    import soxr

    n_samples = math.ceil(len(samples) * (to_sr / from_sr))
    resampled = soxr.resample(samples, from_sr, to_sr, quality="soxr_hq")[:n_samples]
    return np.pad(resampled, (0, n_samples - len(resampled)))
