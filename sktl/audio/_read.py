"""One file as a waveform."""

import os

import numpy as np

from .._validation import check_sr
from ..exceptions import AudioReadError
from ._decode import Path, Unreadable, decode

__all__ = ["load_audio"]


def load_audio(path: Path, sr: float) -> np.ndarray:
    """Read an audio file as one mono waveform.

    Equal to ``librosa.load(path, sr=sr)``: decoded by soundfile, mixed to mono as the mean
    of the channels, then resampled by soxr in high quality. Unlike there, a file that is cut
    short is an error.

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
        If the file is missing, cannot be decoded, holds no samples, or holds fewer than its
        header announces; if its header contradicts itself, or a page of an OGG file is
        damaged. A WAV file of unknown length, as programs write it to a pipe, is read to its
        end; so is an MP3 file of constant bit rate that has no Xing tag.

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
        return decode(path, sr)
    except Unreadable as error:
        raise AudioReadError(f"{os.fspath(path)}: {error}.") from error
