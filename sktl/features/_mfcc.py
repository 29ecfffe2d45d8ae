"""Mel-frequency cepstral coefficients."""

from functools import lru_cache
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor

from .._validation import Interval, Options, StrOptions
from ._base import numbered
from ._frames import check_waveforms
from ._mel import MelFeatures
from ._mel_plan import MelPlan
from ._plan import FramePlan
from ._pooling import Pooling
from ._run import run_waveforms

__all__ = ["MFCC", "mfcc"]


def mfcc(
    y: Tensor,
    *,
    sr: float = 16000,
    n_mfcc: int = 20,
    dct_type: Literal[1, 2, 3] = 2,
    norm: Literal["ortho"] | None = "ortho",
    lifter: float = 0,
    mel_norm: Literal["slaney"] | float | None = "slaney",
    **mel_options: Any,
) -> Tensor:
    """Mel-frequency cepstral coefficients of waveforms of one length.

    Equal to ``librosa.feature.mfcc`` clip by clip.

    Parameters
    ----------
    y : Tensor of shape (..., n_samples)
        Waveforms, float32 or float64; the computation runs in their dtype, on their device,
        and can be differentiated. Half precision is computed in float32.
    sr, n_mfcc, dct_type, norm, lifter, mel_norm
        As in `MFCC`.
    **mel_options
        Other arguments of `mel_spectrogram`.

    Returns
    -------
    Tensor of shape (..., n_mfcc, n_frames)

    Examples
    --------
    >>> import torch
    >>> from sktl.features import mfcc
    >>> mfcc(torch.zeros(2, 16000), n_mfcc=13, n_mels=40).shape
    torch.Size([2, 13, 101])
    """
    y = check_waveforms(y)
    plan = MFCCPlan(
        y.dtype,
        y.device,
        sr=sr,
        n_mfcc=n_mfcc,
        dct_type=dct_type,
        dct_norm=norm,
        lifter=lifter,
        norm=mel_norm,
        **mel_options,
    )
    return run_waveforms(y, plan)


class MFCCPlan(MelPlan):
    """Cosine transform of a log-mel spectrogram; parameters as in `MFCC` and `MelPlan`."""

    def __init__(
        self,
        dtype: torch.dtype,
        device: torch.device,
        *,
        n_mfcc: int,
        n_mels: int = 64,
        dct_type: int,
        dct_norm: str | None,
        lifter: float,
        **mel_options: Any,
    ) -> None:
        _check_n_mfcc(n_mfcc, n_mels)
        basis = _basis(n_mfcc, n_mels, dct_type, dct_norm, lifter)
        super().__init__(dtype, device, n_mels=n_mels, basis=basis, **mel_options)


@lru_cache(maxsize=32)
def _basis(n_mfcc: int, n_mels: int, dct_type: int, norm: str | None, lifter: float) -> np.ndarray:
    """Cosine transform and liftering as one matrix (n_mels, n_mfcc)."""
    basis = dct(np.eye(n_mels), axis=1, type=dct_type, norm=norm)[:, :n_mfcc]
    if lifter > 0:
        basis = basis * (1 + (lifter / 2) * np.sin(np.pi * np.arange(1, 1 + n_mfcc) / lifter))
    return basis


def _check_n_mfcc(n_mfcc: int, n_mels: int) -> None:
    if n_mfcc > n_mels:
        raise ValueError(
            f"n_mfcc={n_mfcc} but n_mels={n_mels} bands give only {n_mels} coefficients; give "
            "a smaller n_mfcc or more bands."
        )


class MFCC(MelFeatures):
    """Mel-frequency cepstral coefficients, pooled to one row per clip.

    The numbers are those of ``librosa.feature.mfcc(y=clip, ...)``, clip by clip, with
    ``pad_mode="constant"``: a cosine transform of the log-mel spectrogram. By default a row
    is the mean and standard deviation of each coefficient over the frames, ready for any
    classical model.

    Parameters
    ----------
    n_mfcc : int, default=20
        Number of coefficients, at most `n_mels`.
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
    n_mels : int, default=64
        Number of mel bands. The default keeps every band at least one FFT bin wide at
        16 kHz with ``n_fft=512``; 128 bands would leave some empty there.
    dct_type : {1, 2, 3}, default=2
        Type of the cosine transform.
    norm : "ortho" or None, default="ortho"
        Normalization of the cosine transform.
    lifter : float, default=0
        With a positive number, coefficient k = 0, 1, … is multiplied by
        ``1 + lifter / 2 * sin(pi * (k + 1) / lifter)``.
    mel_norm : "slaney", float or None, default="slaney"
        Scaling of the mel bands, see `mel_filters`.
    power : float, default=2.0
        Exponent of the magnitude spectrum: 2 for power, 1 for magnitude.
    top_db : float, default=80.0
        Floor in dB below the loudest value of the clip; None for no floor.
    duration : float, default=None
        Seconds to which every clip is cropped, or padded with zeros, at its end. With
        `pooling`, short clips are not padded: zeros would enter the statistics.
    deltas : {0, 1, 2}, default=0
        Append the first, or the first and second, derivative of each coefficient over time,
        as ``librosa.feature.delta`` with a width of 9 frames; in clips of fewer frames the
        first and last frame are repeated, ``mode="nearest"``.
    normalize : {"clip", "band"} or None, default=None
        "clip": zero mean and unit standard deviation over all of a clip's values; "band":
        of each coefficient over the clip's frames (with a plain "mean" or "mean_std" nothing
        would be left of the coefficients themselves, only of their deltas). Deltas
        are taken after it.
    pooling : {"mean", "mean_std", "quantiles"}, callable or None, default="mean_std"
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
    mfcc : The same for a torch tensor.
    MelSpectrogram : The spectrogram it begins with.

    Notes
    -----
    librosa runs its FFT in float64. In "float32" the coefficients lie within 2e-3 of
    librosa's on speech, in "float64", given clips in float64, within 1e-6, whatever `lifter`
    and `norm`. A number as `mel_norm` is rounded differently by librosa: orthonormal
    coefficients then lie within 5e-6.

    Examples
    --------
    >>> import numpy as np
    >>> from sktl import MFCC
    >>> rng = np.random.default_rng(0)
    >>> clips = [rng.uniform(-1, 1, size=n) for n in (16000, 9000)]
    >>> transformer = MFCC(n_mfcc=13)
    >>> transformer.fit_transform(clips).shape
    (2, 26)
    >>> transformer.get_feature_names_out()[[3, 16]]
    array(['mfcc_03_mean', 'mfcc_03_std'], dtype=object)
    """

    _parameter_constraints: dict = {
        **MelFeatures._parameter_constraints,
        "n_mfcc": [Interval(Integral, 1, None, closed="left")],
        "dct_type": [Options(Integral, {1, 2, 3})],
        "norm": [StrOptions({"ortho"}), None],
        "lifter": [Interval(Real, 0, None, closed="left")],
        "mel_norm": [StrOptions({"slaney"}), Interval(Real, 0, None, closed="right"), None],
    }

    def __init__(
        self,
        n_mfcc: int = 20,
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
        n_mels: int = 64,
        dct_type: Literal[1, 2, 3] = 2,
        norm: Literal["ortho"] | None = "ortho",
        lifter: float = 0,
        mel_norm: Literal["slaney"] | float | None = "slaney",
        power: float = 2.0,
        top_db: float | None = 80.0,
        duration: float | None = None,
        deltas: Literal[0, 1, 2] = 0,
        normalize: Literal["clip", "band"] | None = None,
        pooling: Pooling | None = "mean_std",
        dtype: Literal["float32", "float64"] = "float32",
        device: str = "auto",
        output: Literal["numpy", "torch"] = "numpy",
        n_jobs: int | None = None,
        on_error: Literal["raise", "nan"] = "raise",
    ) -> None:
        self.n_mfcc = n_mfcc
        self.sr = sr
        self.n_fft = n_fft
        self.win_length = win_length
        self.hop_length = hop_length
        self.window = window
        self.center = center
        self.fmin = fmin
        self.fmax = fmax
        self.htk = htk
        self.n_mels = n_mels
        self.dct_type = dct_type
        self.norm = norm
        self.lifter = lifter
        self.mel_norm = mel_norm
        self.power = power
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
        return MFCCPlan(
            dtype,
            device,
            n_mfcc=self.n_mfcc,
            dct_type=self.dct_type,
            dct_norm=self.norm,
            lifter=self.lifter,
            norm=self.mel_norm,
            **self._mel_options(),
        )

    def _band_names(self) -> list[str]:
        return numbered("mfcc", 0, self.n_mfcc)

    def _check_settings(self) -> None:
        super()._check_settings()
        _check_n_mfcc(self.n_mfcc, self.n_mels)
        if self.dct_type == 1 and self.n_mels == 1:
            raise ValueError("dct_type=1 needs n_mels >= 2, not 1.")
