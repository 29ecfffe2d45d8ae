"""Log-mel spectrograms."""

from numbers import Integral, Real
from typing import Any, Literal

import torch
from torch import Tensor

from .._validation import Interval, StrOptions
from ._base import FrameFeatures, numbered
from ._filters import check_band
from ._frames import check_waveforms
from ._layout import Layout
from ._mel_plan import MelPlan, window_values
from ._normalize import NORMALIZATIONS
from ._pcen import pcen
from ._plan import FramePlan
from ._pooling import Pooling
from ._run import run_waveforms

__all__ = ["MelFeatures", "MelSpectrogram", "mel_spectrogram"]

# The bias of PCEN is meant for 32-bit PCM.
PCM_SCALE = 2.0**31


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
        and can be differentiated. Half precision is computed in float32.
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
    y = check_waveforms(y)
    plan = MelPlan(
        y.dtype,
        y.device,
        sr=sr,
        n_fft=n_fft,
        win_length=win_length,
        hop_length=hop_length,
        window=window,
        center=center,
        n_mels=n_mels,
        fmin=fmin,
        fmax=fmax,
        htk=htk,
        norm=norm,
        power=power,
        ref=ref,
        amin=amin,
        top_db=top_db,
    )
    return run_waveforms(y, plan)


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
        window_values(self.window, self.win_length, self.n_fft)

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
    deltas : {0, 1, 2}, default=0
        Append the first, or the first and second, derivative of each coefficient over time,
        as ``librosa.feature.delta`` with a width of 9 frames; in clips of fewer frames the
        first and last frame are repeated, ``mode="nearest"``.
    normalize : {"clip", "band", "pcen"} or None, default=None
        "clip": zero mean and unit standard deviation over all of a clip's values; "band":
        of each coefficient over the clip's frames (with a plain "mean" or "mean_std" nothing
        would be left of the coefficients themselves, only of their deltas); "pcen": per-channel
        energy normalization as ``librosa.pcen`` with its defaults, in place of decibels, on
        the spectrogram times ``2 ** 31``. Deltas are taken after it.
    pooling : {"mean", "mean_std", "quantiles"}, callable or None, default=None
        Statistics over the frames; quantiles are those of 10, 25, 50, 75 and 90 %. A
        callable takes the array (n_coefficients, n_frames) of one clip and returns a 1-D
        array of the same length for every clip. None keeps the frames.
    dtype : {"float32", "float64"}, default="float32"
        Of the computation and the result.
    device : str, default="auto"
        Where to compute: "cpu", "cuda", "cuda:1"; "auto" is "cuda" where there is one.
    output : {"numpy", "torch"}, default="numpy"
        "torch" gives tensors on `device`, and leaves clips that are tensors there already
        where they are. Clips of unequal length then come out as a list of tensors.
    n_jobs : int, default=None
        Threads that compute, and as many that decode files; None means 1, -1 all processors.
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
    librosa's on speech, in "float64", given clips in float64, within 1e-6 dB (with a number
    as `norm`, which librosa rounds differently, within 2e-6). Settings that show more than about 80
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
        "normalize": [StrOptions({*NORMALIZATIONS, "pcen"}), None],
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
        deltas: Literal[0, 1, 2] = 0,
        normalize: Literal["clip", "band", "pcen"] | None = None,
        pooling: Pooling | None = None,
        dtype: Literal["float32", "float64"] = "float32",
        device: str = "auto",
        output: Literal["numpy", "torch"] = "numpy",
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
        self.deltas = deltas
        self.normalize = normalize
        self.pooling = pooling
        self.dtype = dtype
        self.device = device
        self.output = output
        self.n_jobs = n_jobs
        self.on_error = on_error

    def _plan(self, dtype: torch.dtype, device: torch.device) -> FramePlan:
        plan = MelPlan(
            dtype,
            device,
            norm=self.norm,
            ref=self.ref,
            amin=self.amin,
            decibels=self.normalize != "pcen",
            **self._mel_options(),
        )
        if self.normalize == "pcen":
            plan.largest_energy /= PCM_SCALE
        return plan

    def _normalized(self, values: Tensor, layout: Layout) -> Tensor:
        if self.normalize != "pcen":
            return super()._normalized(values, layout)
        for clip in layout.split(values):
            clip.copy_(pcen(clip.mT * PCM_SCALE, sr=self.sr, hop_length=self.hop_length).mT)
        return values

    def _band_names(self) -> list[str]:
        return numbered("mel", 0, self.n_mels)
