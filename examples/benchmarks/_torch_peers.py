"""Libraries on torch: tensors of the CPU share memory with the arrays given and returned."""

from collections.abc import Callable, Iterable
from typing import Any

import librosa
import numpy as np
import torch
from _cases import Case
from _peers import AMIN, BOTH, RAGGED, Peer, Task
from _reference import TOP_DB
from scipy.fft import dct
from torch import Tensor

Compute = Callable[[Tensor], Tensor]


def _whole_batch(task: Task, compute: Compute) -> Callable[[], Any]:
    return lambda: _call(compute, task.clips)


def _each_clip(task: Task, compute: Compute) -> Callable[[], Any]:
    return lambda: [_call(compute, clip[None])[0] for clip in task.clips]


@torch.inference_mode()
def _call(compute: Compute, clips: np.ndarray | Tensor) -> np.ndarray | Tensor:
    if isinstance(clips, Tensor):
        return compute(clips)
    return compute(torch.from_numpy(clips)).numpy()


def _to_db(power: Tensor) -> Tensor:
    """Levels of (n, n_mels, n_frames), floored per clip."""
    level = power.clamp(min=AMIN).log10().mul(10.0)
    return torch.maximum(level, level.amax((-2, -1), keepdim=True) - TOP_DB)


def _torchaudio(task: Task) -> Compute:
    from torchaudio import transforms

    case = task.case
    options = {
        **{"n_fft": case.n_fft, "hop_length": case.hop_length, "n_mels": case.n_mels},
        **{"norm": "slaney", "mel_scale": "slaney", "pad_mode": "constant"},
        "window_fn": hann,
    }
    if case.feature == "mfcc":
        module = transforms.MFCC(case.sr, case.n_mfcc, melkwargs=options)
    else:
        to_db = transforms.AmplitudeToDB("power", TOP_DB)
        module = torch.nn.Sequential(transforms.MelSpectrogram(case.sr, **options), to_db)
    module = module.to(task.device)
    # AmplitudeToDB takes top_db per clip only where there is a dimension of channels.
    return lambda x: module(x[:, None])[:, 0]


def _nnaudio(task: Task) -> Compute:
    from nnAudio import features

    case = task.case
    options = {
        **{"sr": case.sr, "n_fft": case.n_fft, "hop_length": case.hop_length},
        **{"n_mels": case.n_mels, "pad_mode": "constant", "verbose": False},
    }
    if case.feature == "mfcc":
        return features.MFCC(n_mfcc=case.n_mfcc, top_db=TOP_DB, **options).to(task.device)
    module = features.MelSpectrogram(**options).to(task.device)
    return lambda x: _to_db(module(x))


def _torchlibrosa(task: Task) -> Compute:
    from torchlibrosa.stft import LogmelFilterBank, Spectrogram

    case = task.case
    spectrogram = Spectrogram(n_fft=case.n_fft, hop_length=case.hop_length, pad_mode="constant").to(
        task.device
    )
    log_mel = LogmelFilterBank(
        **{"sr": case.sr, "n_fft": case.n_fft, "n_mels": case.n_mels},
        **{"fmin": 0, "fmax": case.sr / 2, "amin": AMIN, "top_db": TOP_DB},
    ).to(task.device)
    return lambda x: log_mel(spectrogram(x))


def _plain(task: Task) -> Compute:
    case = task.case
    window = hann(case.n_fft).to(task.device)
    weights = mel_weights(case).to(task.device)
    basis = dct_weights(case).to(task.device)

    def compute(x: Tensor) -> Tensor:
        spectrum = torch.stft(
            x,
            case.n_fft,
            case.hop_length,
            window=window,
            pad_mode="constant",
            return_complex=True,
        )
        level = _to_db(weights @ spectrum.abs().square())
        return level if case.feature == "mel" else basis @ level

    return compute


def hann(n: int) -> Tensor:
    """Window in float32; computed in float64, since `torch.hann_window` loses a digit."""
    return torch.hann_window(n, dtype=torch.float64).float()


def mel_weights(case: Case) -> Tensor:
    """Shape (n_mels, n_fft // 2 + 1)."""
    weights = librosa.filters.mel(sr=case.sr, n_fft=case.n_fft, n_mels=case.n_mels)
    return torch.from_numpy(weights)


def dct_weights(case: Case) -> Tensor:
    """Shape (n_mfcc, n_mels)."""
    basis = dct(np.eye(case.n_mels, dtype=np.float32), axis=0, norm="ortho")
    return torch.from_numpy(basis[: case.n_mfcc])


def _time_last(batch: np.ndarray) -> Iterable[np.ndarray]:
    """From torchlibrosa's (n, 1, n_frames, n_mels)."""
    return batch[:, 0].swapaxes(-1, -2)


def _each_time_last(rows: Iterable[np.ndarray]) -> Iterable[np.ndarray]:
    return (row[0].T for row in rows)


def _batched(name: str, make: Callable[[Task], Compute], **options: Any) -> Peer:
    def build(task: Task) -> Callable[[], Any]:
        return _whole_batch(task, make(task))

    return Peer(name, build, threads=True, torch_threads=True, gpu=True, **options)


def _by_clip(name: str, make: Callable[[Task], Compute], **options: Any) -> Peer:
    def build(task: Task) -> Callable[[], Any]:
        return _each_clip(task, make(task))

    return Peer(f"{name}, clip by clip", build, gpu=True, **options)


TORCH_PEERS = (
    _batched("torchaudio, one batch", _torchaudio),
    _by_clip("torchaudio", _torchaudio, data=BOTH),
    _batched("nnAudio", _nnaudio),
    _by_clip("nnAudio", _nnaudio, data=RAGGED),
    _batched("torchlibrosa", _torchlibrosa, features=("mel",), adapt=_time_last, floor="batch"),
    _by_clip("torchlibrosa", _torchlibrosa, features=("mel",), data=RAGGED, adapt=_each_time_last),
    _batched("torch.stft and a matrix product", _plain),
)
