"""Time of decoding alone, computing alone, and both as our transformers do it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import librosa
import numpy as np
from _cases import Case, audio_files
from _timing import Run, Times, interleave


@dataclass(frozen=True)
class Source:
    """Files of one kind and what is computed from them."""

    title: str
    folder: str
    suffix: str
    case: Case


FSDD_8K = Case("", "", "mel", sr=8000, n_fft=256, hop_length=80, n_mels=40)
SOURCES = (
    Source("FSDD, WAV 8 kHz, kept at 8 kHz, 256/40", "fsdd", ".wav", FSDD_8K),
    Source("FSDD, WAV 8 kHz, resampled to 16 kHz, 512/64", "fsdd", ".wav", Case("", "", "mel")),
    Source("ESC-10, OGG 44.1 kHz, to 16 kHz, 512/64", "esc10", ".ogg", Case("", "", "mel")),
)


@dataclass(frozen=True)
class FileTimes:
    """What was measured: seconds by (step, threads), and how far from librosa the results are."""

    n_files: int
    seconds: float
    times: dict[Any, Times]
    waveform_error: float
    feature_error: float


def measure_files(
    source: Source, threads: list[int], rounds: int, quick: bool, peer: Callable
) -> FileTimes:
    """Time all steps in interleaved rounds; `peer` computes one clip with librosa."""
    from sktl.audio import load_audio

    paths = audio_files(source.folder, source.suffix, quick)
    sr = source.case.sr
    clips = [load_audio(path, sr) for path in paths]
    truth = [librosa.load(path, sr=sr)[0] for path in paths]
    runs: dict[Any, tuple[Run, int]] = {
        ("librosa", 1): (lambda: [peer(librosa.load(path, sr=sr)[0]) for path in paths], 1)
    }
    for n_threads in threads:
        for step, run in _steps(source.case, paths, clips, n_threads).items():
            runs[step, n_threads] = (run, 1)
    return FileTimes(
        n_files=len(paths),
        seconds=sum(len(clip) for clip in clips) / sr,
        times=interleave(runs, rounds),
        waveform_error=_largest_difference(clips, truth),
        feature_error=_largest_difference(runs["both", threads[0]][0](), [peer(y) for y in truth]),
    )


def _steps(
    case: Case, paths: list[Path], clips: list[np.ndarray], n_threads: int
) -> dict[str, Run]:
    from _peers import transformer_of

    from sktl.audio import validate_clips

    transformer = transformer_of(case, device="cpu", n_jobs=n_threads)

    def decode() -> None:
        read = validate_clips(transformer, paths, sr=case.sr, reset=True, n_jobs=n_threads)
        for _ in read.chunks(size=512, max_samples=2**19):
            pass

    return {
        "decode": decode,
        "compute": lambda: transformer.transform(clips),
        "both": lambda: transformer.transform(paths),
    }


def _largest_difference(actual: Any, expected: list[np.ndarray]) -> float:
    """Over all files; infinite where shapes differ."""
    pairs = list(zip(actual, expected, strict=True))
    if any(ours.shape != truth.shape for ours, truth in pairs):
        return np.inf
    return max(float(np.abs(ours - truth).max()) for ours, truth in pairs)
