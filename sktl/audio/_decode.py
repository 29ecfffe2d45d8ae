"""One file to one mono waveform, or the reason why there is none."""

import math
import os

import numpy as np

from ._truncation import missing_part
from ._wav import Samples, read_wav

__all__ = ["Path", "Unreadable", "decode"]

Path = str | os.PathLike[str]

LOWEST_SR, HIGHEST_SR = 100, 1_000_000
# Beyond unscaled PCM of any width: whatever it is, no sound.
LARGEST_SAMPLE = 2.0**31
# libsndfile has a number far beyond this for an unknown length.
MOST_SAMPLES = 2**48
# What libsndfile calls otherwise.
REASONS = {
    "File does not exist or is not a regular file (possibly a pipe?)": "it is cut short, damaged "
    "or no audio file",
    "Internal error : SF_INFO struct incomplete": "its header announces an impossible sample rate "
    "or number of channels",
}
# Samples per channel looked at in float64 at once.
BLOCK = 2**16


class Unreadable(Exception):
    """Why a file gives no waveform."""


def decode(path: Path, sr: float, samples: Samples | None = None) -> np.ndarray:
    """Mono float32 at `sr`; `Unreadable` for whatever is wrong with the file.

    `samples` are those of the file where they were read before.
    """
    samples = samples or read_wav(path) or _read_any(path)
    if not len(samples.values):
        raise Unreadable("holds no samples")
    if not LOWEST_SR <= samples.sr <= HIGHEST_SR:
        raise Unreadable(f"announces a sample rate of {samples.sr} Hz")
    mono = _mix_to_mono(samples.values)
    if not samples.integers and not _are_samples(mono):
        raise Unreadable(_why_no_samples(path))
    return _resample(mono, samples.sr, sr)


def _read_any(path: Path) -> Samples:
    """Decode with soundfile, and see that nothing is missing."""
    import soundfile

    if not os.path.isfile(path):
        home = " ('~' is not expanded)" if os.fsdecode(path).startswith("~") else ""
        raise Unreadable("is a folder" if os.path.isdir(path) else f"no such file{home}")
    if os.path.getsize(path) == 0:
        raise Unreadable("is empty: a file of no bytes")
    until = ""
    try:
        with soundfile.SoundFile(path) as file:
            if file.frames > MOST_SAMPLES:
                raise Unreadable("does not say how many samples it holds")
            until = f" to the end of the {file.frames} samples it announces"
            values = file.read(dtype="float32", always_2d=True)
            missing = missing_part(path, file, len(values))
            sr = file.samplerate
    except (soundfile.SoundFileError, OSError, MemoryError, ValueError) as error:
        reason = getattr(error, "error_string", str(error)).rstrip(".")
        raise Unreadable(f"cannot be decoded{until} ({REASONS.get(reason, reason)})") from error
    if missing:
        raise Unreadable(missing)
    return Samples(values, sr, integers=False)


def _are_samples(mono: np.ndarray) -> bool:
    return bool(mono.max() <= LARGEST_SAMPLE and mono.min() >= -LARGEST_SAMPLE)


def _why_no_samples(path: Path) -> str:
    """What a file holds whose mean over channels is not finite, or larger than any sample."""
    import soundfile

    with soundfile.SoundFile(path) as file:
        blocks = file.blocks(BLOCK, dtype="float64")
        largest = np.max([np.abs(block).max() for block in blocks])
    if not np.isfinite(largest):
        return "holds NaN or infinity"
    return f"holds samples too large for any sound, up to {largest:g}; samples lie in [-1, 1]"


def _mix_to_mono(samples: np.ndarray) -> np.ndarray:
    """Mean over channels: (n_samples, n_channels) or (n_samples,) → (n_samples,)."""
    if samples.ndim == 1:
        return samples
    if samples.shape[1] == 1:
        return samples[:, 0]
    with np.errstate(over="ignore", invalid="ignore"):
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
    missing = n_samples - len(resampled)
    return np.pad(resampled, (0, missing)) if missing else resampled
