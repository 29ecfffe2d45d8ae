"""Linear prediction coefficients by Burg's method."""

from numbers import Integral
from typing import Literal

import torch
from torch import Tensor

from .._validation import Interval, check_sr
from ._base import FrameFeatures, numbered
from ._frames import FRAMES_PER_BLOCK, check_waveforms, cut_frames, frame_blocks

__all__ = ["LPC", "lpc"]

# Burg's method passes over its frames once per order: few enough to stay in the L2 cache.
FRAMES_IN_CACHE = 128


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
        Waveforms, float32 or float64. The computation always runs in float64, and can be
        differentiated.
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
    check_waveforms(y)
    _check_order(order, frame_length)
    frames = cut_frames(y.double(), frame_length, hop_length, center)
    n_clips = max(1, frames[..., 0, 0].numel())
    size = FRAMES_PER_BLOCK if y.is_cuda else max(1, FRAMES_IN_CACHE // n_clips)
    blocks = [_burg(block, order) for block in frame_blocks(frames, size)]
    return torch.cat(blocks, dim=-2).mT.to(y.dtype)


def _burg(frames: Tensor, order: int) -> Tensor:
    """Burg's lattice: (..., frame_length) → (..., order)."""
    forward, backward = frames[..., 1:], frames[..., :-1]
    tiny = torch.finfo(frames.dtype).tiny
    coefficients = frames[..., :0]
    for _ in range(order):
        # Marple's equations 15 and 16; the sum itself keeps |reflection| <= 1, which his
        # recursion 17 loses on frames that are predicted almost exactly.
        energy = forward.square().sum(-1) + backward.square().sum(-1)
        reflection = -2.0 * (forward * backward).sum(-1) / (energy + tiny)
        reflection = reflection.unsqueeze(-1)
        mirrored = reflection * coefficients.flip(-1)
        coefficients = torch.cat([coefficients + mirrored, reflection], dim=-1)
        forward, backward = (
            (forward + reflection * backward)[..., 1:],
            (backward + reflection * forward)[..., :-1],
        )
    return coefficients


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
    pooling : {"mean", "mean_std", "quantiles"} or None, default="mean_std"
        Statistics over the frames; None keeps the frames.
    dtype : {"float32", "float64"}, default="float32"
        Of the result.
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
        pooling: Literal["mean", "mean_std", "quantiles"] | None = "mean_std",
        dtype: Literal["float32", "float64"] = "float32",
        device: str = "auto",
        n_jobs: int | None = None,
        on_error: Literal["raise", "nan"] = "raise",
    ) -> None:
        self.order = order
        self.sr = sr
        self.frame_length = frame_length
        self.hop_length = hop_length
        self.center = center
        self.duration = duration
        self.pooling = pooling
        self.dtype = dtype
        self.device = device
        self.n_jobs = n_jobs
        self.on_error = on_error

    def _compute(self, y: Tensor) -> Tensor:
        return lpc(
            y,
            order=self.order,
            frame_length=self.frame_length,
            hop_length=self.hop_length,
            center=self.center,
        )

    def _coefficient_names(self) -> list[str]:
        return numbered("lpc", 1, self.order)

    def _check_settings(self) -> None:
        check_sr(self.sr)
        _check_order(self.order, self.frame_length)
