"""Linear prediction coefficients by Burg's method."""

from numbers import Integral
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from .._validation import Interval, check_sr
from ._base import FrameFeatures, numbered
from ._burg import burg
from ._frames import Framing, check_waveforms
from ._kernels import located
from ._plan import FramePlan, Rows
from ._pooling import Pooling
from ._run import run_waveforms

__all__ = ["LPC", "lpc"]


def lpc(
    y: Tensor,
    *,
    order: int = 16,
    frame_length: int = 400,
    hop_length: int = 160,
    center: bool = True,
) -> Tensor:
    """Linear prediction coefficients of each frame of waveforms of one length.

    Equal to ``librosa.lpc(frames, order=order)`` in float64, without the leading 1.

    Parameters
    ----------
    y : Tensor of shape (..., n_samples)
        Waveforms, float32 or float64 (half precision becomes float32). The computation always
        runs in float64, and can be differentiated.
    order, frame_length, hop_length, center
        As in `LPC`.

    Returns
    -------
    Tensor of shape (..., order, n_frames)
        Coefficients a_1 … a_order, in the dtype of `y`.

    References
    ----------
    .. [1] J. P. Burg, "A new analysis technique for time series data", NATO Advanced Study
       Institute on Signal Processing, 1968.
    .. [2] L. Marple, "A new autoregressive spectrum analysis algorithm", IEEE Trans. Acoust.,
       Speech, Signal Process. 28(4), 1980, equations 5, 13 to 16.

    Examples
    --------
    >>> import torch
    >>> from sktl.features import lpc
    >>> y = 0.9 ** torch.arange(400, dtype=torch.float64)
    >>> lpc(y, order=1, center=False).round(decimals=3)
    tensor([[-0.9940]], dtype=torch.float64)
    """
    y = check_waveforms(y)
    _check_order(order, frame_length)
    framing = Framing(frame_length, hop_length, center)
    return run_waveforms(y, LPCPlan(y.dtype, y.device, framing, order))


class LPCPlan(FramePlan):
    """Burg's method on each frame, in float64."""

    def __init__(
        self, dtype: torch.dtype, device: torch.device, framing: Framing, order: int
    ) -> None:
        window = torch.ones(framing.frame_length, dtype=torch.float64, device=device)
        super().__init__(framing, window, order, order, dtype)

    def frames(self, windowed: Tensor) -> Tensor:
        return burg(windowed, self.n_values).to(self.dtype)

    @property
    def is_compiled(self) -> bool:
        return True

    def rows(self, clips: Rows, outs: Rows) -> np.ndarray:
        from ._burg_kernel import burg_kernel  # slow to import

        like, energies = np.empty(self.n_values, outs[0].dtype), np.empty(len(clips))
        framing = self.framing
        burg_kernel(like.dtype.name)(
            *(*located(clips, outs), like, framing.margin, framing.hop_length),
            *(framing.frame_length, energies),
        )
        return energies


def _check_order(order: int, frame_length: int) -> None:
    if order >= frame_length:
        raise ValueError(
            f"order={order} needs frames of at least {order + 1} samples, but "
            f"frame_length={frame_length}; give a smaller order or longer frames."
        )


class LPC(FrameFeatures):
    """Linear prediction coefficients of each frame, pooled to one row per clip.

    Frame x is predicted as ``x[t] = -(a_1 x[t - 1] + … + a_order x[t - order])``, fitted by
    Burg's method. The numbers are those of ``librosa.lpc(frames, order=order)[1:]`` on
    float64 frames cut by ``librosa.util.frame``: the leading 1 is left out, since it is the
    same everywhere. Frames are not windowed, as Burg's method needs no window.

    Parameters
    ----------
    order : int, default=16
        Number of coefficients: two per kHz of sampling rate is usual for speech.
    sr : float, default=16000
        Sample rate in Hz: of the arrays given, and to which files are resampled.
    frame_length : int, default=400
        Length of a frame in samples, more than `order`: 25 ms at 16 kHz.
    hop_length : int, default=160
        Samples from one frame to the next: 10 ms at 16 kHz, 100 frames per second.
    center : bool, default=True
        Centre frame t at sample ``t * hop_length``, with ``frame_length // 2`` zeros at
        both ends of the clip, so that there are as many frames as in `MFCC`; else begin it
        there. Clips shorter than a frame are padded with zeros.
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
        Of the result.
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
    lpc : The same for a torch tensor.
    MFCC : Cepstral coefficients.

    Notes
    -----
    The coefficients of a silent frame, all zeros, are 0. The computation always runs in
    float64; `dtype` is that of the clips and the result.

    Examples
    --------
    >>> import numpy as np
    >>> from sktl import LPC
    >>> rng = np.random.default_rng(0)
    >>> clips = [rng.uniform(-1, 1, size=n) for n in (16000, 9000)]
    >>> transformer = LPC(order=8, pooling="mean")
    >>> transformer.fit_transform(clips).shape
    (2, 8)
    >>> transformer.get_feature_names_out()[:2]
    array(['lpc_01_mean', 'lpc_02_mean'], dtype=object)
    """

    _parameter_constraints: dict = {
        **FrameFeatures._parameter_constraints,
        "order": [Interval(Integral, 1, None, closed="left")],
        "frame_length": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        order: int = 16,
        *,
        sr: float = 16000,
        frame_length: int = 400,
        hop_length: int = 160,
        center: bool = True,
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
        self.order = order
        self.sr = sr
        self.frame_length = frame_length
        self.hop_length = hop_length
        self.center = center
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
        framing = Framing(self.frame_length, self.hop_length, self.center)
        return LPCPlan(dtype, device, framing, self.order)

    def _band_names(self) -> list[str]:
        return numbered("lpc", 1, self.order)

    def _check_settings(self) -> None:
        check_sr(self.sr)
        _check_order(self.order, self.frame_length)
