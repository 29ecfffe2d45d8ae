"""PANNs: plain convolutional networks trained on AudioSet's 527 classes."""

from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..features import mel_filters
from ..features._bands import FilterBank
from ._base import Backbone, InputSpec
from ._conv import channels_last, conv_norm_relu
from ._units import UnitSpan

__all__ = ["PANN", "Size"]

Size = Literal["Cnn6", "Cnn10", "Cnn14"]

SR = 32000
N_FFT, HOP = 1024, 320
N_MELS, FMIN, FMAX = 64, 50.0, 14000.0
AMIN = 1e-10
# Blocks halve the number of frames five times: a shorter clip leaves none.
MIN_SAMPLES = 31 * HOP


class _Widths(NamedTuple):
    """What one network of the family differs in."""

    channels: tuple[int, ...]
    kernels: tuple[int, ...]
    """Of the convolutions of each block."""
    embedding_size: int


SIZES: dict[str, _Widths] = {
    "Cnn6": _Widths((64, 128, 256, 512), (5,), 512),
    "Cnn10": _Widths((64, 128, 256, 512), (3, 3), 512),
    "Cnn14": _Widths((64, 128, 256, 512, 1024, 2048), (3, 3), 2048),
}


class _Block(nn.Module):
    """Convolutions with batch normalisation, then a mean over squares of `pool` × `pool`."""

    def __init__(self, n_in: int, n_out: int, kernels: tuple[int, ...], pool: int) -> None:
        super().__init__()
        self.pool = pool
        self.n_layers = len(kernels)
        widths = (n_in, *(n_out for _ in kernels))
        for number, (before, after) in enumerate(pairwise(widths), 1):
            size = kernels[number - 1]
            conv = nn.Conv2d(before, after, size, padding=size // 2, bias=False)
            self.add_module(f"conv{number}", conv)
            self.add_module(f"bn{number}", nn.BatchNorm2d(after))

    def forward(self, images: Tensor) -> Tensor:
        images = channels_last(images)
        for number in range(1, self.n_layers + 1):
            conv, bn = getattr(self, f"conv{number}"), getattr(self, f"bn{number}")
            images = conv_norm_relu(conv, bn, images)
        return functional.avg_pool2d(images, self.pool) if self.pool > 1 else images


class _First(_Block):
    """Normalise each band of log-mel (n, n_frames, n_mels), then as any block."""

    def __init__(self, n_out: int, kernels: tuple[int, ...]) -> None:
        super().__init__(1, n_out, kernels, 2)
        self.bn0 = nn.BatchNorm2d(N_MELS)

    def forward(self, frames: Tensor) -> Tensor:
        bands = frames.transpose(1, 2).unsqueeze(3)
        return super().forward(self.bn0(bands).permute(0, 3, 2, 1))


class _Dense(nn.Module):
    """Mean over the bands, maximum plus mean over time, then a layer: (n, c, t, b) → (n, d)."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(n_in, n_out)

    def forward(self, images: Tensor) -> Tensor:
        # One layout, whichever the last block's: the order of the sum changes its last bits.
        frames = images.contiguous().mean(3)
        return torch.relu(self.fc1(frames.amax(2) + frames.mean(2)))


class PANN(Backbone):
    """VGG-like network on the log-mel of a whole clip at 32 kHz, trained on AudioSet.

    Kong et al., "PANNs: large-scale pretrained audio neural networks for audio pattern
    recognition", IEEE/ACM TASLP 28, 2020, table 1. A block for each stage of convolutions and
    one for the layer that makes the embedding. Clips need not be of one length: those of
    different lengths are run one after the other, so that no padding enters the result.

    Parameters
    ----------
    size : {"Cnn6", "Cnn10", "Cnn14"}, default="Cnn14"
        Of 4.8, 5.2 and 80.8 million parameters, the published classifier among them.

    Examples
    --------
    >>> import torch
    >>> from sktl.backbones import PANN
    >>> network = PANN("Cnn10").eval()
    >>> [units] = network.front_end([torch.zeros(32000)])
    >>> units.shape, network(units).shape, len(network.blocks)
    (torch.Size([1, 101, 64]), torch.Size([1, 512]), 5)
    """

    input_spec = InputSpec("waveform", sr=SR, min_samples=MIN_SAMPLES, varying=True)
    unit_axes = (1, 2)

    def __init__(self, size: Size = "Cnn14") -> None:
        super().__init__()
        if size not in SIZES:
            raise ValueError(f"size={size!r} is unknown; give one of {', '.join(SIZES)}.")
        channels, kernels, self.embedding_size = SIZES[size]
        stages: list[nn.Module] = [_First(channels[0], kernels)]
        for n_in, n_out in pairwise(channels):
            # The last of six blocks leaves the size as it is.
            stages.append(_Block(n_in, n_out, kernels, 1 if len(stages) == 5 else 2))
        self.blocks = nn.ModuleList([*stages, _Dense(channels[-1], self.embedding_size)])

    def front_end(self, clips: list[Tensor]) -> list[Tensor]:
        """Log-mel (1, n_frames, 64) of each waveform in dB, centred frames, mirrored ends."""
        return [_log_mel(clip).unsqueeze(0) for clip in clips]

    def unit_span(self, shape: tuple[int, ...]) -> UnitSpan:
        """The whole clip, the first frame centred on its first sample."""
        length = shape[0] * HOP / SR
        return UnitSpan(length, length, -HOP / 2 / SR)

    def import_state_dict(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename published keys; the front end's and the classifier's are left out."""
        last = len(self.blocks) - 1
        renamed = {}
        for key, value in state.items():
            module, _, rest = key.partition(".")
            if module.startswith("conv_block"):
                renamed[f"blocks.{int(module.removeprefix('conv_block')) - 1}.{rest}"] = value
            elif module in ("bn0", "fc1"):
                renamed[f"blocks.{0 if module == 'bn0' else last}.{key}"] = value
            elif module not in ("spectrogram_extractor", "logmel_extractor", "fc_audioset"):
                renamed[key] = value
        return renamed


def _log_mel(clip: Tensor) -> Tensor:
    """(n_samples,) → (n_frames, n_mels)."""
    clip = functional.pad(clip, (0, max(0, MIN_SAMPLES - len(clip))))
    margin = N_FFT // 2
    mirrored = functional.pad(clip[None, None], (margin, margin), mode="reflect")[0, 0]
    return 10.0 * _bank()(mirrored).clamp(min=AMIN).log10()


@lru_cache(maxsize=1)
def _bank() -> FilterBank:
    """Slaney's mel bands, as librosa makes them by default."""
    window = torch.hann_window(N_FFT, dtype=torch.float64).numpy()
    filters = mel_filters(sr=SR, n_fft=N_FFT, n_mels=N_MELS, fmin=FMIN, fmax=FMAX)
    return FilterBank(window, filters, HOP)
