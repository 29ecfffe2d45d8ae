"""Ours and the other libraries, each as its users call it: arrays in, arrays out."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import librosa
import numpy as np
from _cases import Case
from _reference import TOP_DB, lpc_of_clip
from scipy.signal import get_window

AMIN = 1e-10
OURS = "sktl"


@dataclass(frozen=True)
class Task:
    """One case on given clips, with a number of threads, on a device."""

    case: Case
    clips: Any
    n_threads: int = 1
    device: str = "cpu"


class NotSupported(Exception):
    """Why a competitor cannot run a case."""


@dataclass(frozen=True)
class Peer:
    """A competitor.

    `build` prepares what does not depend on the clips and returns a function that computes
    all of them. `adapt` turns its result into arrays (n_values, n_frames) in dB, outside the
    timing. `pad_mode`, `floor` and `frames_fewer` say which of librosa's options it follows.
    """

    name: str
    build: Callable[[Task], Callable[[], Any]]
    features: tuple[str, ...] = ("mel", "mfcc")
    data: tuple[str, ...] = ("dense",)
    adapt: Callable[[Any], Iterable[np.ndarray]] = iter
    pad_mode: str = "constant"
    floor: str = "clip"
    frames_fewer: int = 0
    threads: bool = False
    torch_threads: bool = False
    gpu: bool = False

    def takes(self, case: Case, device: str) -> bool:
        """Whether the case is within what it can do."""
        on_device = self.gpu or device == "cpu"
        return case.feature in self.features and case.data in self.data and on_device


def transformer_of(case: Case, **options: Any) -> Any:
    """Our transformer, not pooled."""
    from sktl import LPC, MFCC, MelSpectrogram

    options |= {"sr": case.sr, "hop_length": case.hop_length, "pooling": None}
    if case.feature == "lpc":
        return LPC(case.order, frame_length=case.n_fft, dtype="float64", **options)
    options["n_fft"] = case.n_fft
    if case.feature == "mfcc":
        return MFCC(case.n_mfcc, n_mels=case.n_mels, **options)
    return MelSpectrogram(case.n_mels, **options)


def _ours(task: Task) -> Callable[[], Any]:
    options: dict[str, Any] = {"output": "torch"} if task.device == "cuda" else {}
    transformer = transformer_of(task.case, device=task.device, n_jobs=task.n_threads, **options)
    return lambda: transformer.transform(task.clips)


def _each_clip(task: Task, function: Callable[[np.ndarray], np.ndarray]) -> Callable[[], Any]:
    """Clip by clip, in a pool of threads where more than one is asked for."""
    if task.n_threads == 1:
        return lambda: [function(clip) for clip in task.clips]
    pool = ThreadPoolExecutor(task.n_threads)
    return lambda: list(pool.map(function, task.clips))


def _mel_options(case: Case) -> dict[str, Any]:
    return {
        **{"sr": case.sr, "n_fft": case.n_fft, "hop_length": case.hop_length},
        **{"n_mels": case.n_mels, "pad_mode": "constant"},
    }


def _to_feature(case: Case, power: np.ndarray) -> np.ndarray:
    level = librosa.power_to_db(power, amin=AMIN, top_db=TOP_DB)
    if case.feature == "mel":
        return level
    return librosa.feature.mfcc(S=level, n_mfcc=case.n_mfcc)


def librosa_features(y: np.ndarray, case: Case) -> np.ndarray:
    return _to_feature(case, librosa.feature.melspectrogram(y=y, **_mel_options(case)))


def _librosa_clips(task: Task) -> Callable[[], Any]:
    if task.case.feature == "lpc":
        return _each_clip(task, lambda y: lpc_of_clip(task.case, y.astype(np.float64)))
    return _each_clip(task, lambda y: librosa_features(y, task.case))


def _librosa_lpc_float32(task: Task) -> Callable[[], Any]:
    return _each_clip(task, lambda y: lpc_of_clip(task.case, y))


def _librosa_batch(task: Task) -> Callable[[], Any]:
    return lambda: librosa_features(task.clips, task.case)


def _librosa_cached(task: Task) -> Callable[[], Any]:
    case = task.case
    weights = librosa.filters.mel(sr=case.sr, n_fft=case.n_fft, n_mels=case.n_mels)

    def compute(y: np.ndarray) -> np.ndarray:
        spectrum = librosa.stft(
            y, n_fft=case.n_fft, hop_length=case.hop_length, pad_mode="constant"
        )
        return _to_feature(case, weights @ (np.abs(spectrum) ** 2))

    return _each_clip(task, compute)


def _python_speech_features(task: Task) -> Callable[[], Any]:
    import python_speech_features as psf

    case = task.case
    options = {
        **{"samplerate": case.sr, "nfft": case.n_fft, "nfilt": case.n_mels, "preemph": 0},
        **{"winlen": case.n_fft / case.sr, "winstep": case.hop_length / case.sr},
        "winfunc": lambda n: get_window("hann", n),
    }

    def mel(y: np.ndarray) -> np.ndarray:
        energies, _ = psf.fbank(np.pad(y, case.n_fft // 2), **options)
        return 10.0 * np.log10(energies * case.n_fft)

    def mfcc(y: np.ndarray) -> np.ndarray:
        extra = {"numcep": case.n_mfcc, "ceplifter": 0, "appendEnergy": False}
        return psf.mfcc(np.pad(y, case.n_fft // 2), **options, **extra)

    return _each_clip(task, mel if case.feature == "mel" else mfcc)


def _spafe(task: Task) -> Callable[[], Any]:
    from spafe.features.lpc import lpc
    from spafe.features.mfcc import mel_spectrogram, mfcc
    from spafe.utils.preprocessing import SlidingWindow

    case = task.case
    window = SlidingWindow(case.n_fft / case.sr, case.hop_length / case.sr, "hanning")
    weights = librosa.filters.mel(sr=case.sr, n_fft=case.n_fft, n_mels=case.n_mels)
    options = {
        **{"fs": case.sr, "pre_emph": False, "window": window},
        **{"nfilts": case.n_mels, "nfft": case.n_fft, "fbanks": weights * case.n_fft},
    }

    def compute(y: np.ndarray) -> np.ndarray:
        y = np.pad(y, case.n_fft // 2)
        if case.feature == "lpc":
            y = y.astype(np.float64)
            return lpc(y, fs=case.sr, order=case.order + 1, pre_emph=False, window=window)[0][:, 1:]
        if case.feature == "mfcc":
            return mfcc(y, num_ceps=case.n_mfcc, **options)
        return 10.0 * np.log10(np.maximum(mel_spectrogram(y, **options)[0], AMIN))

    return _each_clip(task, compute)


def _audioflux(task: Task) -> Callable[[], Any]:
    import audioflux
    from audioflux.type import (
        SpectralDataType,
        SpectralFilterBankNormalType,
        SpectralFilterBankScaleType,
        SpectralFilterBankStyleType,
    )

    case = task.case
    exponent = case.n_fft.bit_length() - 1
    if case.n_fft != 2**exponent:
        raise NotSupported(f"n_fft={case.n_fft} is no power of two")
    bank = audioflux.BFT(
        num=case.n_mels,
        radix2_exp=exponent,
        samplate=case.sr,
        low_fre=0.0,
        high_fre=case.sr / 2,
        slide_length=case.hop_length,
        scale_type=SpectralFilterBankScaleType.MEL,
        style_type=SpectralFilterBankStyleType.SLANEY,
        normal_type=SpectralFilterBankNormalType.BAND_WIDTH,
        data_type=SpectralDataType.POWER,
    )

    def compute(y: np.ndarray) -> np.ndarray:
        level = 10.0 * np.log10(bank.bft(np.pad(y, case.n_fft // 2), result_type=1) + AMIN)
        return np.maximum(level, level.max() - np.float32(TOP_DB))

    return _each_clip(task, compute)


def _asrfront(task: Task) -> Callable[[], Any]:
    from asrfront import whisper

    case = task.case
    if (case.sr, case.n_fft, case.hop_length, case.n_mels) != (16000, 400, 160, 80):
        raise NotSupported("computes 16 kHz, n_fft 400, hop 160 and 80 mels only")
    options = {"n_mels": 80, "pad_or_trim": False, "n_threads": task.n_threads}
    return lambda: whisper.log_mel_batch(task.clips, **options)


def _transposed(rows: Iterable[np.ndarray]) -> Iterable[np.ndarray]:
    return (row.T for row in rows)


def _natural_log_to_db(rows: Iterable[np.ndarray]) -> Iterable[np.ndarray]:
    return (row.T * (10.0 / np.log(10.0)) for row in rows)


def _whisper_to_db(rows: Iterable[np.ndarray]) -> Iterable[np.ndarray]:
    """Undo Whisper's ``(log10(power) + 4) / 4``."""
    return (40.0 * row - 40.0 for row in rows)


RAGGED = ("FSDD",)
BOTH = ("dense", *RAGGED)
ALL = ("mel", "mfcc", "lpc")
PEERS = (
    Peer(OURS, _ours, features=ALL, data=BOTH, threads=True, gpu=True),
    Peer("librosa, clip by clip", _librosa_clips, features=ALL, data=BOTH, threads=True),
    Peer("librosa, mel matrix cached", _librosa_cached, data=BOTH, threads=True),
    Peer("librosa, one batch", _librosa_batch, floor="batch"),
    Peer("librosa, float32", _librosa_lpc_float32, features=("lpc",)),
    Peer("python_speech_features", _python_speech_features, ("mel",), BOTH, _transposed),
    Peer("python_speech_features", _python_speech_features, ("mfcc",), BOTH, _natural_log_to_db),
    Peer("spafe", _spafe, ("mel", "lpc"), BOTH, _transposed),
    Peer("spafe", _spafe, ("mfcc",), BOTH, _natural_log_to_db),
    Peer("audioflux", _audioflux, ("mel",), BOTH),
    Peer(
        "asrfront (Whisper's log-mel)",
        _asrfront,
        ("mel",),
        adapt=_whisper_to_db,
        pad_mode="reflect",
        frames_fewer=1,
        threads=True,
    ),
)
