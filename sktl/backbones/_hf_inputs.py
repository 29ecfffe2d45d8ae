"""Clips as the networks of transformers take them: what its feature extractors compute."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from ..features import mel_filters
from ._front_ends import mel_weights
from ._units import UnitSpan

__all__ = ["ASTInput", "CLAPInput", "SpeechInput", "WhisperInput"]

# Floor of the power in a mel band; AST's is that of Kaldi, one step of float32.
FLOOR = 1e-10
KALDI_FLOOR = torch.finfo(torch.float32).eps
PREEMPHASIS = 0.97


def _windows(clip: Tensor, n_samples: int) -> list[Tensor]:
    """Consecutive windows; a rest shorter than half of one is left out, a short clip is not."""
    first, *others = clip.split(n_samples)
    return [first, *(window for window in others if 2 * len(window) >= n_samples)]


def _padded(clip: Tensor, n_samples: int) -> Tensor:
    return functional.pad(clip, (0, max(0, n_samples - len(clip))))


def _power(windows: Tensor, n_fft: int, hop_length: int) -> Tensor:
    """(n, n_samples) → (n, n_bins, n_frames), centred frames, mirrored ends."""
    hann = torch.hann_window(n_fft, dtype=windows.dtype, device=windows.device)
    spectrum = torch.stft(windows, n_fft, hop_length, window=hann, return_complex=True)
    return spectrum.abs().square()


@lru_cache(maxsize=8)
def _filters(**settings: Any) -> Tensor:
    return torch.from_numpy(mel_filters(**settings))


@dataclass(frozen=True)
class SpeechInput:
    """The waveform, of mean 0 and variance 1 if `do_normalize`: (1, n_samples)."""

    sr: int
    do_normalize: bool

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """As a ``Wav2Vec2FeatureExtractor`` of these settings."""
        return cls(settings["sampling_rate"], bool(settings["do_normalize"]))

    def __call__(self, clip: Tensor, min_samples: int) -> Tensor:
        """Zeros that fill up a short clip do not enter its mean and variance."""
        if self.do_normalize:
            clip = (clip - clip.mean()) / (clip.var(correction=0) + 1e-7).sqrt()
        return _padded(clip, min_samples).unsqueeze(0)


@dataclass(frozen=True)
class WhisperInput:
    """Log-mel of windows of `n_samples`, zeros at the end: (n_windows, n_mels, n_frames)."""

    sr: int
    n_fft: int
    hop_length: int
    n_samples: int
    n_mels: int

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """As a ``WhisperFeatureExtractor`` of these settings."""
        s = settings
        n_samples = s["chunk_length"] * s["sampling_rate"]
        return cls(s["sampling_rate"], s["n_fft"], s["hop_length"], n_samples, s["feature_size"])

    @property
    def span(self) -> UnitSpan:
        """Every second frame of the log-mel, centred on its first sample, is the network's."""
        length = self.n_samples / self.sr
        return UnitSpan(length, length, -self.hop_length / self.sr)

    def __call__(self, clip: Tensor) -> Tensor:
        """A window's values lie within 8 (80 dB) of its loudest."""
        windows = torch.stack([_padded(w, self.n_samples) for w in _windows(clip, self.n_samples)])
        power = _power(windows, self.n_fft, self.hop_length)[..., :-1]
        settings = {"sr": self.sr, "n_fft": self.n_fft, "n_mels": self.n_mels, "fmax": 8000.0}
        mel = _filters(**settings).to(clip) @ power
        log_mel = mel.clamp(min=FLOOR).log10()
        loudest = log_mel.amax((1, 2), keepdim=True)
        return (log_mel.maximum(loudest - 8.0) + 4.0) / 4.0


@dataclass(frozen=True)
class ASTInput:
    """Kaldi's filter bank of windows of `max_frames`: (n_windows, max_frames, n_mels)."""

    sr: int
    n_mels: int
    max_frames: int
    do_normalize: bool
    mean: float
    std: float

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """As an ``ASTFeatureExtractor`` of these settings."""
        s = settings
        sizes = (s["sampling_rate"], s["num_mel_bins"], s["max_length"])
        return cls(*sizes, bool(s["do_normalize"]), float(s["mean"]), float(s["std"]))

    @property
    def win_length(self) -> int:
        """Samples of a frame, 25 ms."""
        return self.sr * 25 // 1000

    @property
    def hop_length(self) -> int:
        """Samples from frame to frame, 10 ms."""
        return self.sr // 100

    @property
    def n_samples(self) -> int:
        """Samples of a window."""
        return self.win_length + (self.max_frames - 1) * self.hop_length

    def __call__(self, clip: Tensor) -> Tensor:
        """Frames after the end of a clip are zero before the normalisation."""
        windows = _windows(_padded(clip, self.win_length).double(), self.n_samples)
        banks = [self._filter_bank(window) for window in windows]
        padded = torch.stack(
            [functional.pad(bank, (0, 0, 0, self.max_frames - len(bank))) for bank in banks]
        )
        if self.do_normalize:
            padded = (padded - self.mean) / (2.0 * self.std)
        return padded.to(clip.dtype)

    def _filter_bank(self, window: Tensor) -> Tensor:
        """(n_samples,) → (n_frames, n_mels), in float64."""
        n_fft = 1 << (self.win_length - 1).bit_length()
        frames = window.unfold(0, self.win_length, self.hop_length)
        frames = frames - frames.mean(1, keepdim=True)
        before = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
        hann = torch.hann_window(
            self.win_length, periodic=False, dtype=window.dtype, device=window.device
        )
        power = torch.fft.rfft((frames - PREEMPHASIS * before) * hann, n=n_fft).abs().square()
        weights = mel_weights(self.sr, n_fft, self.n_mels, 20.0, self.sr / 2)
        return (power @ torch.as_tensor(weights).to(window)).clamp(min=KALDI_FLOOR).log()


@dataclass(frozen=True)
class CLAPInput:
    """Mel spectrogram in dB of windows of `n_samples`: (n_windows, 1, n_frames, n_mels)."""

    sr: int
    n_fft: int
    hop_length: int
    n_samples: int
    n_mels: int
    fmin: float
    fmax: float
    slaney: bool
    padding: str

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """As a ``ClapFeatureExtractor`` of these settings; its random crops are not made."""
        s = settings
        n_samples = s["max_length_s"] * s["sampling_rate"]
        sizes = (s["fft_window_size"], s["hop_length"], n_samples, s["feature_size"])
        band = (float(s["frequency_min"]), float(s["frequency_max"]))
        slaney = s["truncation"] != "fusion"
        return cls(s["sampling_rate"], *sizes, *band, slaney, s["padding"])

    @property
    def span(self) -> UnitSpan:
        """Windows one after another."""
        return UnitSpan(self.n_samples / self.sr, self.n_samples / self.sr)

    def __call__(self, clip: Tensor) -> Tensor:
        """A short clip is repeated as `padding` says."""
        windows = torch.stack([self._fill(w) for w in _windows(clip.double(), self.n_samples)])
        power = _power(windows, self.n_fft, self.hop_length)
        settings = {"sr": self.sr, "n_fft": self.n_fft, "n_mels": self.n_mels}
        band = {"fmin": self.fmin, "fmax": self.fmax}
        scale = {"htk": not self.slaney, "norm": "slaney" if self.slaney else None}
        mel = _filters(**settings, **band, **scale).to(windows) @ power
        decibels = 10.0 * mel.clamp(min=FLOOR).log10()
        return decibels.transpose(1, 2).unsqueeze(1).to(clip.dtype)

    def _fill(self, window: Tensor) -> Tensor:
        times = self.n_samples // len(window)
        if self.padding == "repeat":
            window = window.repeat(times + 1)[: self.n_samples]
        elif self.padding == "repeatpad":
            window = window.repeat(times)
        return _padded(window, self.n_samples)
