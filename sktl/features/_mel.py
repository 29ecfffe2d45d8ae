"""Log-mel spectrograms."""

from functools import lru_cache
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import torch
from scipy.signal import get_window
from torch import Tensor

from .._validation import Interval, StrOptions
from ._base import FrameFeatures, numbered
from ._filters import check_band, mel_filters
from ._frames import check_waveforms, cut_frames, frame_blocks

__all__ = ["MelFeatures", "MelSpectrogram", "mel_spectrogram", "project"]

# Rounding of a float32 FFT shows in bins further below the loudest one than this.
FLOAT32_RANGE_DB = 85.0


def mel_spectrogram(
    y: Tensor,
    *,
    sr: float = 16000,
    n_fft: int = 512,
    win_length: int | None = None,
    hop_length: int = 160,
    window: Any = "hann",
    center: bool = True,
    n_mels: int = 64,
    fmin: float = 0.0,
    fmax: float | None = None,
    htk: bool = False,
    norm: Literal["slaney"] | float | None = "slaney",
    power: float = 2.0,
    ref: float | Literal["max"] = 1.0,
    amin: float = 1e-10,
    top_db: float | None = 80.0,
) -> Tensor:
    """Log-mel spectrogram in dB of waveforms of one length.

    Equal to ``librosa.power_to_db(librosa.feature.melspectrogram(...))`` clip by clip.

    Parameters
    ----------
    y : Tensor of shape (..., n_samples)
        Waveforms, float32 or float64; the computation runs in their dtype, on their device,
        and can be differentiated.
    sr, n_fft, win_length, hop_length, window, center, n_mels, fmin, fmax, htk, norm, power
        As in `MelSpectrogram`.
    ref, amin, top_db
        As in `MelSpectrogram`.

    Returns
    -------
    Tensor of shape (..., n_mels, n_frames)
        Level in dB.

    Examples
    --------
    >>> import torch
    >>> from sktl.features import mel_spectrogram
    >>> mel_spectrogram(torch.zeros(2, 16000), sr=16000, n_mels=40).shape
    torch.Size([2, 40, 101])
    """
    check_waveforms(y)
    bands, spread_db = _filters_and_spread(
        sr=sr, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, htk=htk, norm=norm
    )
    weights = torch.as_tensor(bands.T).to(y)
    frames = cut_frames(y.reshape(-1, y.shape[-1]), n_fft, hop_length, center)
    wide = top_db is None or 2.0 / power * (top_db + spread_db) > FLOAT32_RANGE_DB
    win = torch.as_tensor(_window(window, win_length, n_fft), device=y.device)
    win = win.to(torch.float64 if wide else y.dtype)
    blocks = [
        project(_spectrum(block * win, power).to(y.dtype), weights)
        for block in frame_blocks(frames)
    ]
    level = _power_to_db(torch.cat(blocks, dim=-2).mT, ref, amin, top_db)
    return level.reshape(*y.shape[:-1], *level.shape[-2:])


def project(values: Tensor, weights: Tensor) -> Tensor:
    """Matrix product (n, n_frames, k) @ (k, m), where no clip's numbers depend on others."""
    if values.is_cuda:
        return values @ weights
    # BLAS adds in an order that depends on the number of rows: one product per clip.
    return torch.stack([clip @ weights for clip in values])


def _spectrum(frames: Tensor, power: float) -> Tensor:
    spectrum = torch.fft.rfft(frames)
    if power == 2.0:
        return torch.view_as_real(spectrum).square().sum(-1)
    return spectrum.abs() ** power


def _power_to_db(
    power: Tensor, ref: float | Literal["max"], amin: float, top_db: float | None
) -> Tensor:
    """Level per clip of (n, n_mels, n_frames), floored at `top_db` below its maximum."""
    level = 10.0 * torch.log10(power.clamp(min=amin))
    loudest = level.amax((-2, -1), keepdim=True)
    if ref == "max":
        level, loudest = level - loudest, torch.zeros_like(loudest)
    elif ref != 1.0:
        shift = 10.0 * np.log10(max(amin, abs(ref)))
        level, loudest = level - shift, loudest - shift
    return level if top_db is None else torch.maximum(level, loudest - top_db)


def _window(window: Any, win_length: int | None, n_fft: int) -> np.ndarray:
    """Window of `win_length` samples in the middle of `n_fft`."""
    length = n_fft if win_length is None else win_length
    if callable(window):
        values = np.asarray(window(length))
    elif isinstance(window, str | tuple | Real):
        try:
            values = get_window(window, length, fftbins=True)
        except ValueError as error:
            raise ValueError(
                f"window={window!r} is not a window that scipy.signal.get_window knows, such "
                f"as 'hann' ({error})"
            ) from error
    else:
        values = np.asarray(window, dtype=np.float64)
    if values.shape != (length,):
        raise ValueError(
            f"window has shape {values.shape} but frames are {length} samples long; give "
            f"{length} values, or a name such as 'hann'."
        )
    before = (n_fft - length) // 2
    return np.pad(values, (before, n_fft - length - before))


@lru_cache(maxsize=32)
def _filters_and_spread(**options: Any) -> tuple[np.ndarray, float]:
    """Mel filters, and by how many dB the sums of their weights differ."""
    filters = mel_filters(**options)
    sums = filters.sum(axis=1)
    levels = 10.0 * np.log10(sums[sums > 0])
    return filters, float(np.ptp(levels)) if levels.size else 0.0


MEL_OPTIONS = (
    *("sr", "n_fft", "win_length", "hop_length", "window", "center"),
    *("n_mels", "fmin", "fmax", "htk", "power", "top_db"),
)


class MelFeatures(FrameFeatures):
    """Base of the features that begin with a log-mel spectrogram."""

    n_fft: int
    win_length: int | None
    window: Any
    center: bool
    n_mels: int
    fmin: float
    fmax: float | None
    htk: bool
    power: float
    top_db: float | None

    _parameter_constraints: dict = {
        **FrameFeatures._parameter_constraints,
        "n_fft": [Interval(Integral, 1, None, closed="left")],
        "win_length": [Interval(Integral, 1, None, closed="left"), None],
        "window": [str, tuple, Real, "array-like", callable],
        "n_mels": [Interval(Integral, 1, None, closed="left")],
        "fmin": [Interval(Real, 0, None, closed="left")],
        "fmax": [Interval(Real, 0, None, closed="neither"), None],
        "htk": ["boolean"],
        "power": [Interval(Real, 0, None, closed="neither")],
        "top_db": [Interval(Real, 0, None, closed="left"), None],
    }

    def _check_settings(self) -> None:
        check_band(self.sr, self.fmin, self.fmax)
        if self.win_length is not None and self.win_length > self.n_fft:
            raise ValueError(
                f"win_length={self.win_length} is longer than n_fft={self.n_fft}; the window "
                "must fit into the FFT."
            )
        _window(self.window, self.win_length, self.n_fft)

    def _mel_options(self) -> dict[str, Any]:
        names = [
            "sr",
            "n_fft",
            "win_length",
            "hop_length",
            "window",
            "center",
            "n_mels",
            "fmin",
            "fmax",
            "htk",
            "power",
            "top_db",
        ]
        return {name: getattr(self, name) for name in names}


class MelSpectrogram(MelFeatures):
    """Log-mel spectrogram of each clip, in dB.

    The numbers are those of ``librosa.power_to_db(librosa.feature.melspectrogram(y=clip,
    ...))``, clip by clip, with ``pad_mode="constant"``. Both `ref` and `top_db` refer to
    one clip, never to the batch it came in.

    Parameters
    ----------
    n_mels : int, default=64
        Number of mel bands. The default keeps every band at least one FFT bin wide at
        16 kHz with ``n_fft=512``; 128 bands would leave some empty there.
    sr : float, default=16000
        Sample rate in Hz: of the arrays given, and to which files are resampled.
    n_fft : int, default=512
        Length of the FFT in samples: 32 ms at 16 kHz, within which speech hardly changes.
    win_length : int, default=None
        Length of the window in samples, at most `n_fft`, in whose middle it lies; None
        means `n_fft`.
    hop_length : int, default=160
        Samples from one frame to the next: 10 ms at 16 kHz, 100 frames per second.
    window : str, tuple, float, array-like or callable, default="hann"
        Passed to `scipy.signal.get_window`; or `win_length` values; or a function of the
        length.
    center : bool, default=True
        Centre frame t at sample ``t * hop_length``, with ``n_fft // 2`` zeros at both ends
        of the clip; else begin it there. Clips shorter than a frame are padded with zeros.
    fmin : float, default=0.0
        Lowest frequency in Hz.
    fmax : float, default=None
        Highest frequency in Hz; None means ``sr / 2``.
    htk : bool, default=False
        Use HTK's mel scale instead of Slaney's.
    norm : "slaney", float or None, default="slaney"
        Scaling of the mel bands, see `mel_filters`.
    power : float, default=2.0
        Exponent of the magnitude spectrum: 2 for power, 1 for magnitude.
    ref : float or "max", default=1.0
        Level that counts as 0 dB: a power, or the loudest value of the clip.
    amin : float, default=1e-10
        Smallest power before the logarithm.
    top_db : float, default=80.0
        Floor in dB below the loudest value of the clip; None for no floor.
    duration : float, default=None
        Seconds to which every clip is cropped, or padded with zeros, at its end. With
        `pooling`, short clips are not padded: zeros would enter the statistics.
    pooling : {"mean", "mean_std", "quantiles"}, default=None
        Statistics over the frames; None keeps the frames.
    dtype : {"float32", "float64"}, default="float32"
        Of the computation and the result.
    device : str, default="auto"
        Where to compute: "cpu", "cuda", "cuda:1"; "auto" is "cuda" where there is one.
    n_jobs : int, default=None
        Threads that decode files; None means 1, -1 all processors.
    on_error : {"raise", "nan"}, default="raise"
        Raise on files that cannot be read, or make their rows NaN and warn once.

    Attributes
    ----------
    n_features_in_ : int
        Samples per clip seen in `fit`; only for 2-D arrays.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names seen in `fit`; only for data frames with string column names.

    See Also
    --------
    mel_spectrogram : The same for a torch tensor.
    MFCC : Cosine transform of the log-mel spectrogram.

    Notes
    -----
    librosa runs its FFT in float64. In "float32" the result lies within 2e-3 dB of
    librosa's on speech, in "float64" within 1e-6 dB. Settings that show more than about 80
    dB of the power spectrum (``top_db=None``, ``power=1``, or bands of unequal weight as with
    ``norm=None``) run the FFT in float64 whatever the `dtype`.

    Examples
    --------
    >>> import numpy as np
    >>> from sktl import MelSpectrogram
    >>> rng = np.random.default_rng(0)
    >>> clips = rng.uniform(-1, 1, size=(2, 16000))
    >>> MelSpectrogram().fit_transform(clips).shape
    (2, 64, 101)
    >>> ragged = [clips[0], clips[1, :8000]]
    >>> [image.shape for image in MelSpectrogram().fit_transform(ragged)]
    [(64, 101), (64, 51)]
    >>> MelSpectrogram(duration=0.5).fit_transform(ragged).shape
    (2, 64, 51)
    """

    _parameter_constraints: dict = {
        **MelFeatures._parameter_constraints,
        "norm": [StrOptions({"slaney"}), Interval(Real, 0, None, closed="right"), None],
        "ref": [StrOptions({"max"}), Interval(Real, 0, None, closed="neither")],
        "amin": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        n_mels: int = 64,
        *,
        sr: float = 16000,
        n_fft: int = 512,
        win_length: int | None = None,
        hop_length: int = 160,
        window: Any = "hann",
        center: bool = True,
        fmin: float = 0.0,
        fmax: float | None = None,
        htk: bool = False,
        norm: Literal["slaney"] | float | None = "slaney",
        power: float = 2.0,
        ref: float | Literal["max"] = 1.0,
        amin: float = 1e-10,
        top_db: float | None = 80.0,
        duration: float | None = None,
        pooling: Literal["mean", "mean_std", "quantiles"] | None = None,
        dtype: Literal["float32", "float64"] = "float32",
        device: str = "auto",
        n_jobs: int | None = None,
        on_error: Literal["raise", "nan"] = "raise",
    ) -> None:
        self.n_mels = n_mels
        self.sr = sr
        self.n_fft = n_fft
        self.win_length = win_length
        self.hop_length = hop_length
        self.window = window
        self.center = center
        self.fmin = fmin
        self.fmax = fmax
        self.htk = htk
        self.norm = norm
        self.power = power
        self.ref = ref
        self.amin = amin
        self.top_db = top_db
        self.duration = duration
        self.pooling = pooling
        self.dtype = dtype
        self.device = device
        self.n_jobs = n_jobs
        self.on_error = on_error

    def _compute(self, y: Tensor) -> Tensor:
        options = self._mel_options()
        return mel_spectrogram(y, norm=self.norm, ref=self.ref, amin=self.amin, **options)

    def _coefficient_names(self) -> list[str]:
        return numbered("mel", 0, self.n_mels)
