"""Burg's method on many frames in torch, for other devices than the CPU and for gradients."""

import torch
from torch import Tensor

__all__ = ["burg"]

# The lattice passes over its frames several times per order: few enough for the L2 cache.
FRAMES_IN_CACHE = 128


def burg(frames: Tensor, order: int) -> Tensor:
    """Linear prediction coefficients a_1 … a_order of each frame, without the leading 1.

    Parameters
    ----------
    frames : Tensor of shape (n_frames, frame_length)
        float32 or float64, strided at will. The computation always runs in float64.
    order : int
        Number of coefficients, 1 to ``frame_length - 1``.

    Returns
    -------
    Tensor of shape (n_frames, order)
        In float64; 0 for silent frames. Differentiable.

    References
    ----------
    .. [1] J. P. Burg, "A new analysis technique for time series data", NATO Advanced Study
       Institute on Signal Processing, 1968.
    .. [2] L. Marple, "A new autoregressive spectrum analysis algorithm", IEEE Trans. Acoust.,
       Speech, Signal Process. 28(4), 1980, equations 5, 13 to 16.
    """
    frames = frames.double()
    size = len(frames) if frames.is_cuda else FRAMES_IN_CACHE
    return torch.cat([_lattice(block, order) for block in frames.split(max(1, size))])


def _lattice(frames: Tensor, order: int) -> Tensor:
    """By the same equations as the compiled lattice."""
    # By a power of two, so that no square leaves the range of float64; the coefficients of a
    # scaled frame are the same.
    _, exponent = torch.frexp(frames.detach().abs().amax(-1, keepdim=True))
    scaled = frames * torch.exp2(-exponent.clamp(-1000, 1000).double())
    forward, backward = scaled[:, 1:], scaled[:, :-1]
    coefficients = scaled[:, :0]
    for _ in range(order):
        energy = forward.square().sum(-1, keepdim=True) + backward.square().sum(-1, keepdim=True)
        cross = (forward * backward).sum(-1, keepdim=True)
        reflection = -2.0 * cross / energy.where(energy != 0, 1.0)
        mirrored = reflection * coefficients.flip(-1)
        coefficients = torch.cat([coefficients + mirrored, reflection], dim=-1)
        forward, backward = (
            torch.addcmul(forward[:, 1:], reflection, backward[:, 1:]),
            torch.addcmul(backward[:, :-1], reflection, forward[:, :-1]),
        )
    return coefficients
