"""Per-channel energy normalization."""

from typing import Any

import numpy as np
import torch
from scipy.signal import lfilter
from torch import Tensor

__all__ = ["pcen"]


def pcen(
    S: Tensor,
    *,
    sr: float = 16000,
    hop_length: int = 160,
    gain: float = 0.98,
    bias: float = 2.0,
    power: float = 0.5,
    time_constant: float = 0.4,
    eps: float = 1e-6,
    b: float | None = None,
) -> Tensor:
    r"""Per-channel energy normalization (PCEN) of spectrograms.

    Each band is divided by its own smoothed past, an automatic gain control, and then
    compressed by a root instead of a logarithm:

    .. math::

        M_t &= (1 - b)\, M_{t-1} + b\, S_t \\
        P_t &= \left(\frac{S_t}{(\epsilon + M_t)^{gain}} + bias\right)^{power}
               - bias^{power}

    (equations 2 and 1 of [1]_). Equal to ``librosa.pcen``, with M = 1 before the first
    frame; for ``power=0``, log(1 + ...) replaces the root, as there.

    Parameters
    ----------
    S : Tensor of shape (..., n_bands, n_frames)
        Magnitude or power of each band, not in dB, float32 or float64. The defaults of
        `eps` and `bias` suit waveforms with the range of 32-bit integers: multiply the
        magnitude spectrum of a waveform in [-1, 1] by ``2**31``, as librosa advises.
    sr : float, default=16000
        Sample rate in Hz.
    hop_length : int, default=160
        Samples from one frame to the next.
    gain : float, default=0.98
        Exponent of the smoothed past, at least 0; 0 for no gain control.
    bias : float, default=2.0
        Added before the compression, at least 0.
    power : float, default=0.5
        Exponent of the compression, at least 0.
    time_constant : float, default=0.4
        Seconds over which the past is smoothed, positive: about as long as the background
        stays the same, see [2]_.
    eps : float, default=1e-6
        Keeps the division from zero, positive.
    b : float, default=None
        Weight of the present in the smoothing, from 0 to 1; None derives it from
        `time_constant`.

    Returns
    -------
    Tensor of shape (..., n_bands, n_frames)
        In the dtype of `S`, on its device; can be differentiated.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or `S` does not hold floats.

    References
    ----------
    .. [1] Y. Wang, P. Getreuer, T. Hughes, R. F. Lyon and R. A. Saurous, "Trainable frontend
       for robust and far-field keyword spotting", ICASSP 2017.
    .. [2] V. Lostanlen, J. Salamon, M. Cartwright, B. McFee, A. Farnsworth, S. Kelling and
       J. P. Bello, "Per-channel energy normalization: why and how", IEEE Signal Processing
       Letters 26(1), 2019.

    Examples
    --------
    A band that grows a hundredfold comes out a tenth higher, once the gain has adapted:

    >>> import torch
    >>> from sktl.features import pcen
    >>> S = torch.ones(1, 800, dtype=torch.float64)
    >>> S[:, 400:] = 100.0
    >>> pcen(2.0**31 * S)[0, [399, 799]].round(decimals=2)
    tensor([0.4700, 0.5100], dtype=torch.float64)
    """
    if not S.is_floating_point() or S.ndim < 1:
        raise ValueError(f"S has dtype {S.dtype} and shape {tuple(S.shape)}; give bands of floats.")
    _check_range(gain=gain, bias=bias, power=power)
    if b is None:
        b = _smoothing(sr, hop_length, time_constant)
    if not 0 <= b <= 1:
        raise ValueError(f"b={b!r} is no weight of a mean; give a number from 0 to 1.")
    if eps <= 0:
        raise ValueError(f"eps={eps!r} is not positive; it keeps the division from zero.")
    past = _smooth(S.double(), b)
    smooth = torch.exp(-gain * (np.log(eps) + torch.log1p(past / eps)))
    levelled = S * smooth
    if power == 0:
        return torch.log1p(levelled).to(S.dtype)
    if bias == 0:
        return levelled.pow(power).to(S.dtype)
    return (bias**power * torch.expm1(power * torch.log1p(levelled / bias))).to(S.dtype)


def _smooth(values: Tensor, b: float) -> Tensor:
    """Recursive mean over the frames of float64 values, from 1 on."""
    if values.device.type == "cpu" and not (values.requires_grad and torch.is_grad_enabled()):
        initial = np.full((*values.shape[:-1], 1), 1.0 - b)
        past, _ = lfilter([b], [1.0, b - 1.0], values.detach().numpy(), zi=initial)
        return torch.from_numpy(past)
    past = torch.ones_like(values[..., 0])
    frames = []
    for frame in values.unbind(-1):
        past = (1.0 - b) * past + b * frame
        frames.append(past)
    return torch.stack(frames, dim=-1)


def _smoothing(sr: float, hop_length: int, time_constant: float) -> float:
    """Weight b of the present whose filter has half its power at the time constant."""
    if time_constant <= 0:
        raise ValueError(f"time_constant={time_constant!r} s is not positive.")
    n_frames = time_constant * sr / hop_length
    return float((np.sqrt(1 + 4 * n_frames**2) - 1) / (2 * n_frames**2))


def _check_range(**exponents: Any) -> None:
    for name, value in exponents.items():
        if not value >= 0:
            raise ValueError(f"{name}={value!r} is negative or no number; give 0 or more.")
