"""What is computed, and from which clips."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

N_CLIPS, CLIP_SECONDS, SR = 200, 4.0, 16000


@dataclass(frozen=True)
class Case:
    """One feature with its settings, computed from one data set."""

    key: str
    title: str
    feature: str
    data: str = "dense"
    sr: int = SR
    n_fft: int = 512
    hop_length: int = 160
    n_mels: int = 64
    n_mfcc: int = 20
    order: int = 16


CASES = (
    Case("mel400", "log-mel, n_fft 400, 80 mels", "mel", n_fft=400, n_mels=80),
    Case("mel512", "log-mel, n_fft 512, 64 mels", "mel"),
    Case("mel1024", "log-mel, n_fft 1024, 128 mels", "mel", n_fft=1024, n_mels=128),
    Case("mfcc", "MFCC(20), n_fft 512, 64 mels", "mfcc"),
    Case("lpc", "LPC(16), frames of 400", "lpc", n_fft=400),
    Case(
        "fsdd-mel-8k",
        "log-mel, 8 kHz, n_fft 256, hop 80, 40 mels",
        "mel",
        data="FSDD",
        sr=8000,
        n_fft=256,
        hop_length=80,
        n_mels=40,
    ),
    Case("fsdd-mel-16k", "log-mel, resampled to 16 kHz, n_fft 512, 64 mels", "mel", data="FSDD"),
    Case(
        "fsdd-mfcc",
        "MFCC(20), 8 kHz, n_fft 256, hop 80, 40 mels",
        "mfcc",
        data="FSDD",
        sr=8000,
        n_fft=256,
        hop_length=80,
        n_mels=40,
    ),
    Case(
        "fsdd-lpc",
        "LPC(16), 8 kHz, frames of 200, hop 80",
        "lpc",
        data="FSDD",
        sr=8000,
        n_fft=200,
        hop_length=80,
    ),
)


class MissingData(Exception):
    """Why a data set cannot be used here."""


def data_folder(name: str) -> Path:
    """Folder of a data set where `sktl.datasets` keeps it."""
    from sktl._download import home

    folder = home() / "data" / name
    if not folder.is_dir():
        raise MissingData(f"{_data_root()}/{name} does not exist")
    return folder


def _data_root() -> str:
    return "$SKTL_HOME/data" if os.environ.get("SKTL_HOME") else "the cache folder's data"


def audio_files(name: str, suffix: str, quick: bool) -> list[Path]:
    """Files of a data set, in order; some twenty of them in a quick run."""
    paths = sorted(data_folder(name).rglob(f"*{suffix}"))
    if not paths:
        raise MissingData(f"{_data_root()}/{name} holds no {suffix} files")
    return paths[:: max(1, len(paths) // 20)] if quick else paths


def load_clips(case: Case, quick: bool) -> np.ndarray | list[np.ndarray]:
    """Clips as one array (dense), or as a list of arrays of many lengths (FSDD)."""
    if case.data == "dense":
        return speech_like(6 if quick else N_CLIPS, 1.0 if quick else CLIP_SECONDS)
    from sktl.audio import load_audio

    return [load_audio(path, case.sr) for path in audio_files("fsdd", ".wav", quick)]


def speech_like(n_clips: int, seconds: float, seed: int = 0) -> np.ndarray:
    """Noise through resonances that change every 0.2 s, with a level from 0 to -50 dB.

    A floor of noise at -70 dB keeps denormal numbers away, which would slow any FFT down.
    """
    rng = np.random.default_rng(seed)
    n_segments, length = round(seconds / 0.2), round(0.2 * SR)
    clips = np.empty((n_clips, n_segments * length), dtype=np.float32)
    for clip in clips:
        for start in range(0, len(clip), length):
            noise = lfilter([1.0], _resonances(rng), rng.standard_normal(length))
            level = 10 ** (-rng.uniform(0, 50) / 20)
            clip[start : start + length] = 0.3 * level * noise / np.abs(noise).max()
    clips += rng.standard_normal(clips.shape, dtype=np.float32) * np.float32(1e-4)
    return clips


def _resonances(rng: np.random.Generator) -> np.ndarray:
    """Denominator of a filter with three formants."""
    frequencies = rng.uniform([250, 900, 2000], [900, 2000, 3800])
    radii = np.exp(-np.pi * rng.uniform(50, 200, size=3) / SR)
    denominator = np.ones(1)
    for frequency, radius in zip(frequencies, radii, strict=True):
        cosine = np.cos(2 * np.pi * frequency / SR)
        denominator = np.convolve(denominator, [1.0, -2 * radius * cosine, radius**2])
    return denominator


def n_frames(case: Case, clips: np.ndarray | list[np.ndarray]) -> int:
    """Frames of all clips, centred every `hop_length` samples."""
    return sum(1 + len(clip) // case.hop_length for clip in clips)


def seconds_of(case: Case, clips: np.ndarray | list[np.ndarray]) -> float:
    """Duration of all clips."""
    return sum(len(clip) for clip in clips) / case.sr
