"""What channels do to a waveform."""

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import soundfile
import soxr
from scipy import signal

__all__ = [
    "CODECS",
    "TELEPHONE",
    "add_noise",
    "band_filter",
    "coder",
    "make_noise",
    "make_room",
    "reverberate",
]

# Hz; the band of narrow-band telephony (ITU-T G.712).
TELEPHONE = (300.0, 3400.0)
ORDER = 4


class _Codec(NamedTuple):
    container: str
    subtype: str
    rates: tuple[int, ...] | None


CODECS = {
    "ogg": _Codec("OGG", "VORBIS", None),
    "mp3": _Codec(
        "MP3",
        "MPEG_LAYER_III",
        (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    ),
    "gsm": _Codec("WAV", "GSM610", (8000,)),
}


def band_filter(band: tuple[float, float], sr: float) -> np.ndarray:
    """Second-order sections of a Butterworth band-pass filter."""
    return np.asarray(signal.butter(ORDER, band, "bandpass", fs=sr, output="sos"))


def make_room(reverberation: float, sr: float, generator: np.random.Generator) -> np.ndarray:
    """Impulse response of a room: the direct sound, then noise that decays by 60 dB.

    Polack's statistical model: Gaussian noise with an exponential envelope. The tail has the energy
    of the direct sound, as at the critical distance.
    """
    time = np.arange(1, max(2, int(reverberation * sr))) / sr
    tail = generator.normal(size=len(time)) * 10 ** (-3 * time / reverberation)
    return np.concatenate([[1.0], tail / np.linalg.norm(tail)])


def reverberate(clip: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Convolve, cut to the clip's length, at the clip's level."""
    wet = signal.oaconvolve(clip, response)[: len(clip)]
    level = np.linalg.norm(wet)
    return np.asarray(wet * (np.linalg.norm(clip) / level) if level > 0 else clip)


def make_noise(kind: Any, n_samples: int, generator: np.random.Generator) -> np.ndarray:
    """White or pink noise, or a stretch of a recording, repeated where it is too short."""
    if isinstance(kind, np.ndarray):
        start = generator.integers(len(kind))
        return np.asarray(kind[(start + np.arange(n_samples)) % len(kind)])
    noise = generator.normal(size=n_samples)
    if kind == "white" or n_samples < 3:
        return noise
    spectrum = np.fft.rfft(noise)
    bins = np.arange(len(spectrum))
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(bins, 1)), n_samples)


def add_noise(clip: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """Sum in which the clip has `snr` dB more power than the noise; silence stays silence."""
    level = np.linalg.norm(noise)
    if level == 0:
        return clip
    return np.asarray(clip + noise * (np.linalg.norm(clip) / level * 10 ** (-snr / 20)))


def coder(name: str, sr: float) -> Callable[[np.ndarray], np.ndarray]:
    """Function that encodes and decodes a clip, at a rate that the codec has."""
    codec = CODECS[name]
    rate = int(sr)
    if codec.rates and (sr not in codec.rates):
        rate = max((r for r in codec.rates if r <= sr), default=codec.rates[0])

    def through(clip: np.ndarray) -> np.ndarray:
        samples = clip if rate == sr else soxr.resample(clip, sr, rate)
        file = io.BytesIO()
        soundfile.write(file, samples, rate, format=codec.container, subtype=codec.subtype)
        file.seek(0)
        decoded = soundfile.read(file, dtype="float32")[0]
        if rate != sr:
            decoded = soxr.resample(decoded, rate, sr)
        return np.pad(decoded, (0, max(0, len(clip) - len(decoded))))[: len(clip)]

    return through
