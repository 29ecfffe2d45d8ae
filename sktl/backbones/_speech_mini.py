"""speech-mini: a small network for short spoken clips, shipped with its weights."""

import torch
from torch import Tensor, nn

from ._base import Backbone, InputSpec
from ._conv import conv_norm_relu
from ._front_ends import LogMelPatches
from ._units import UnitSpan

__all__ = ["SpeechMini"]

# Mel magnitude, relative to the clip's loudness, below which sound is taken for silence.
_FLOOR = 0.003
# Mel magnitude of a clip that is taken for silence altogether.
_QUIETEST = 1e-4


class _ImageBlock(nn.Module):
    """Convolution over frames and bands that halves the bands, and the frames if asked."""

    def __init__(self, n_in: int, n_out: int, kernel: int = 3, time_stride: int = 2) -> None:
        super().__init__()
        stride, padding = (time_stride, 2), kernel // 2
        self.conv = nn.Conv2d(n_in, n_out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 3:
            x = x.unsqueeze(1)
        return conv_norm_relu(self.conv, self.bn, x)


class _Collapse(nn.Module):
    """Bands become channels: (n, c, frames, bands) → (n, channels, frames)."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(n_in, n_out, 1, bias=False)
        self.bn = nn.BatchNorm1d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(2, 3).flatten(1, 2)
        return conv_norm_relu(self.conv, self.bn, x)


class _TimeBlock(nn.Module):
    """Residual depthwise-separable convolution along time."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(
            width, width, kernel, padding=kernel // 2, groups=width, bias=False
        )
        self.bn1 = nn.BatchNorm1d(width)
        self.pointwise = nn.Conv1d(width, width, 1, bias=False)
        self.bn2 = nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.depthwise(x)))
        return torch.relu(x + self.bn2(self.pointwise(y)))


class _Summary(nn.Module):
    """Attention over frames, then a linear map: (n, channels, frames) → (n, embedding)."""

    def __init__(self, width: int, n_heads: int, size: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.score = nn.Conv1d(width, n_heads, 1)
        self.linear = nn.Linear(2 * width, size, bias=False)
        self.bn = nn.BatchNorm1d(size)

    def forward(self, x: Tensor) -> Tensor:
        weight = torch.softmax(self.score(x), dim=-1)
        heads = x.unflatten(1, (self.n_heads, -1))
        attended = (heads * weight.unsqueeze(2)).sum(-1).flatten(1)
        return self.bn(self.linear(torch.cat([attended, x.amax(-1)], dim=1)))


class SpeechMini(Backbone):
    """Small convolutional network for spoken words, pretrained on synthetic speech.

    Input: mono waveforms at 16 kHz. The front end computes 48 log-mel bands (60 to 7600 Hz,
    25 ms frames every 10 ms) relative to the clip's own loudness, so the embedding does not
    depend on gain, and cuts them into patches of 96 frames (0.975 s) every 48 frames. The
    last patch is padded with silence; a clip's embedding is the mean over its patches.

    Blocks: 0 to 2 are convolutions over frames and bands, 3 turns bands into channels,
    4 to 8 are residual convolutions along time, 9 pools frames by attention and maximum
    into 192 values; their direction is the embedding.

    Training: synthetic speech alone. 2,000 English words and 1,920 of sixteen other
    languages (the ten digits, in every one of them, and what sounds like them left out) by
    1,728 accent and voice combinations of espeak-ng and six voices of Flite, hibari and
    Piper, with noise, reverberation, band limits, speed and gain varied, to tell the words
    and their sounds whatever the voice. The scripts, the log and the validation are in
    ``examples/pretraining``.

    Attributes
    ----------
    input_spec : InputSpec
        Waveforms at 16000 Hz.
    blocks : nn.ModuleList
        Ten blocks.
    embedding_size : int
        192.

    Examples
    --------
    >>> import torch
    >>> from sktl.backbones._speech_mini import SpeechMini
    >>> network = SpeechMini().eval()
    >>> units = network.front_end([torch.randn(8000), torch.randn(24000)])
    >>> [tuple(u.shape) for u in units]
    [(1, 96, 48), (3, 96, 48)]
    >>> tuple(network(units[1]).shape)
    (3, 192)
    """

    patches = LogMelPatches(n_mels=48, fmin=60.0, fmax=7600.0, offset=1e-8)
    input_spec = InputSpec("waveform", sr=patches.sr, min_samples=patches.patch_samples)
    unit_axes = (1, 2)
    embedding_size = 192

    def __init__(self) -> None:
        super().__init__()
        width = 256
        self.blocks = nn.ModuleList(
            [
                _ImageBlock(1, 16, kernel=5),
                _ImageBlock(16, 32, time_stride=1),
                _ImageBlock(32, 48),
                _Collapse(48 * 6, width),
                *[_TimeBlock(width, 5) for _ in range(5)],
                _Summary(width, 8, self.embedding_size),
            ]
        )

    def front_end(self, clips: list[Tensor]) -> list[Tensor]:
        """Turn each waveform into patches of shape (n_patches, 96, 48)."""
        return [self._patches(clip) for clip in clips]

    def unit_span(self, shape: tuple[int, ...]) -> UnitSpan:
        """Patches of 0.96 s."""
        return self.patches.span

    def pool(self, activations: Tensor) -> Tensor:
        """Scale to length sqrt(192), so that entries are about one."""
        return torch.nn.functional.normalize(activations) * self.embedding_size**0.5

    def _patches(self, clip: Tensor) -> Tensor:
        patches = self.patches
        step = patches.patch_hop * patches.hop_length
        beyond = max(0, len(clip) - patches.patch_samples)
        n_samples = patches.patch_samples + -(-beyond // step) * step
        clip = torch.nn.functional.pad(clip, (0, n_samples - len(clip)))
        mel = self._relative(patches.log_mel(clip))
        return mel.unfold(0, patches.patch_frames, patches.patch_hop).transpose(1, 2).contiguous()

    def _relative(self, log_mel: Tensor) -> Tensor:
        """Log-mel over the loudness of the loud frames, floored at about -50 dB."""
        power = log_mel.mul(2).exp().mean(-1)
        loudness = (power.square().sum(-1) / power.sum(-1)).sqrt() + _QUIETEST
        floor = log_mel.new_tensor(_FLOOR).log()
        relative = torch.logaddexp(log_mel - loudness.log()[..., None, None], floor)
        return (relative - 0.5 * floor) / 2.0
