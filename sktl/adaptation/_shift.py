"""Recordings as they would sound over another channel, for test beds."""

import zlib
from collections.abc import Callable
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import signal
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags

from .._random import integer_seed
from .._validation import Interval, StrOptions, _fit_context, check_is_fitted, check_sr
from ..audio import Clips, validate_clips
from ._shift_effects import (
    CODECS,
    TELEPHONE,
    add_noise,
    band_filter,
    coder,
    make_noise,
    make_room,
    reverberate,
)

__all__ = ["DomainShift"]

CHUNK = 64


class DomainShift(TransformerMixin, BaseEstimator):
    """Makes a domain shift of known kind: room, noise, gain, band, codec, in this order.

    For test beds: recordings whose labels are known become a target domain, on which adaptation can
    be measured. The same clip comes out the same wherever it stands in `X`.

    Parameters
    ----------
    sr : float, default=16000
        Sample rate in Hz of the waveforms, and at which files are read.
    room : float or array-like of shape (n_samples,), default=None
        Reverberation time in seconds, above 0, of a room that is drawn in fit; or an impulse
        response at `sr`.
    noise : {"white", "pink"} or array-like of shape (n_samples,), default="white"
        Kind of noise, or a recording of it at `sr`; added where `snr` is given.
    snr : float, default=None
        Power of the clip over that of the noise in dB; None adds none.
    gain : float or tuple of float, default=None
        In dB; a pair (low, high) draws one for each clip.
    band : "telephone" or tuple of float, default="telephone"
        Limits of a band-pass filter in Hz, above 0 and below half of `sr`; "telephone" is 300
        to 3400. None leaves the band.
    codec : {"ogg", "mp3", "gsm"}, default=None
        Encoded and decoded once by soundfile: Ogg Vorbis, MPEG-1/2 layer III, or GSM 06.10 at
        8 kHz. Values beyond -1 and 1 are cut off, as in any file.
    random_state : int, RandomState instance or None, default=None
        Seed of room, noise and gains.
    n_jobs : int, default=None
        Threads that decode files; None means 1 and -1 all processors.

    Attributes
    ----------
    response_ : ndarray of shape (n_samples,) or None
        Impulse response of the room.
    n_features_in_ : int
        Number of samples, where X was a 2-D array.

    Notes
    -----
    Lengths stay as they are: what rings on beyond the end is cut off, and codecs that lose samples
    are padded with zeros. A drawn room is the direct sound followed by Gaussian noise that decays
    by 60 dB in the reverberation time, both of equal energy (Polack's model, as in Naylor and
    Gaubitch, "Speech dereverberation", 2010); the level of a clip is kept.

    Examples
    --------
    >>> import numpy as np
    >>> from sktl.adaptation import DomainShift
    >>> clips = np.random.default_rng(0).normal(size=(2, 16000)) * 0.1
    >>> telephone = DomainShift(codec="gsm").fit_transform(clips)
    >>> spectrum = np.abs(np.fft.rfft(telephone[0])) ** 2  # a bin per Hz
    >>> bool(spectrum[5000:].sum() < 1e-3 * spectrum.sum())
    True
    """

    _parameter_constraints: dict[str, Any] = {
        "sr": [Interval(Real, 0, None, closed="neither")],
        "room": [Interval(Real, 0, None, closed="neither"), "array-like", None],
        "noise": [StrOptions({"white", "pink"}), "array-like"],
        "snr": [Interval(Real, None, None, closed="neither"), None],
        "gain": [Real, tuple, None],
        "band": [StrOptions({"telephone"}), tuple, list, None],
        "codec": [StrOptions(set(CODECS)), None],
        "random_state": ["random_state"],
        "n_jobs": [int, None],
    }

    def __init__(
        self,
        sr: float = 16000,
        *,
        room: Any = None,
        noise: Any = "white",
        snr: float | None = None,
        gain: float | tuple[float, float] | None = None,
        band: str | tuple[float, float] | None = "telephone",
        codec: str | None = None,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.sr = sr
        self.room = room
        self.noise = noise
        self.snr = snr
        self.gain = gain
        self.band = band
        self.codec = codec
        self.random_state = random_state
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the parameters and draw the room.

        Parameters
        ----------
        X : array-like of shape (n_clips, n_samples) or sequence of clips
            Waveforms at `sr` with values in [-1, 1], as one array or as a sequence of 1-D arrays
            of any lengths; or paths of audio files, which are not opened yet.
        y : None
            Ignored.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If `band` does not fit `sr`, or `room` or `noise` is no waveform.
        """
        check_sr(self.sr)
        self._band()
        self._gains()
        self._noise()
        self._clips(X, reset=True)
        self._seed = integer_seed(self.random_state)
        self.response_ = self._response()
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Let every clip go through the channel.

        Parameters
        ----------
        X : array-like of shape (n_clips, n_samples) or sequence of clips
            As in `fit`.

        Returns
        -------
        ndarray of float32
            Shape (n_clips, n_samples) for an array, else an object array of n_clips 1-D arrays.

        Raises
        ------
        ValueError
            If a clip is empty or not finite.
        AudioReadError
            If files are missing or cannot be decoded.
        """
        check_is_fitted(self, "response_")
        clips = self._clips(X, reset=False)
        effects = self._effects()
        found = [self._through(clip, effects) for part in clips.chunks(CHUNK) for clip in part]
        if clips.dense:
            return np.stack(found)
        ragged = np.empty(len(found), dtype=object)
        ragged[:] = found
        return ragged

    def _through(
        self,
        clip: np.ndarray,
        effects: list[Callable[[np.ndarray, np.random.Generator], np.ndarray]],
    ) -> np.ndarray:
        generator = np.random.default_rng([self._seed, zlib.crc32(clip.tobytes())])
        for effect in effects:
            clip = effect(clip, generator).astype(np.float32)
        return clip

    def _effects(self) -> list[Callable[[np.ndarray, np.random.Generator], np.ndarray]]:
        """One function of a clip and a generator for each thing that is done."""
        found: list[Callable[[np.ndarray, np.random.Generator], np.ndarray]] = []
        response, snr, gains, band = self.response_, self.snr, self._gains(), self._band()
        if response is not None:
            found.append(lambda clip, _: reverberate(clip, response))
        if snr is not None:
            kind = self._noise()
            found.append(lambda clip, g: add_noise(clip, make_noise(kind, len(clip), g), snr))
        if gains is not None:
            found.append(lambda clip, g: clip * 10 ** (g.uniform(*gains) / 20))
        if band is not None:
            sections = band_filter(band, self.sr)
            found.append(lambda clip, _: signal.sosfilt(sections, clip))
        if self.codec is not None:
            through = coder(self.codec, self.sr)
            found.append(lambda clip, _: through(clip))
        return found

    def _clips(self, X: Any, reset: bool) -> Clips:
        return validate_clips(self, X, sr=self.sr, reset=reset, n_jobs=self.n_jobs)

    def _response(self) -> np.ndarray | None:
        if self.room is None:
            return None
        if isinstance(self.room, Real):
            return make_room(float(self.room), self.sr, np.random.default_rng(self._seed))
        return _waveform(self.room, "room")

    def _noise(self) -> Any:
        return self.noise if isinstance(self.noise, str) else _waveform(self.noise, "noise")

    def _gains(self) -> tuple[float, float] | None:
        if self.gain is None:
            return None
        low, high = self.gain if isinstance(self.gain, tuple) else (self.gain, self.gain)
        if not -np.inf < low <= high < np.inf:
            raise ValueError(f"gain={self.gain!r}; give dB, or a pair of the lowest and highest.")
        return float(low), float(high)

    def _band(self) -> tuple[float, float] | None:
        if self.band is None:
            return None
        low, high = TELEPHONE if isinstance(self.band, str) else self.band
        if not 0 < low < high < self.sr / 2:
            raise ValueError(
                f"band={self.band!r} with sr={self.sr!r}; give two frequencies in Hz, the lower "
                "first, above 0 and below half of sr."
            )
        return float(low), float(high)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _waveform(given: ArrayLike, name: str) -> np.ndarray:
    found = np.asarray(given, dtype=np.float64)
    if found.ndim != 1 or not found.size or not np.isfinite(found).all() or not found.any():
        raise ValueError(
            f"{name} has shape {found.shape}; give one mono waveform of finite samples that are "
            "not all zero."
        )
    return found
