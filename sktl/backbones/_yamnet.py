"""YAMNet: MobileNet trained on AudioSet's 521 classes."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from ._base import Backbone, InputSpec
from ._conv import ArrangedConv2d, channels_last, conv_norm_relu
from ._front_ends import LogMelPatches
from ._units import UnitSpan

__all__ = ["YAMNet"]

# Stride and channels of layers 2 to 14 (layer 1: stride 2, 32 channels).
_LAYERS = (
    *((1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512)),
    *((1, 512), (1, 512), (1, 512), (1, 512), (1, 512), (2, 1024), (1, 1024)),
)
_N_CLASSES = 521
# Blocks with images so large that those of many patches do not fit into a processor's cache.
_LARGE = 6
_PIXELS_AT_ONCE = 32 * 96 * 64


class _SamePadConv2d(ArrangedConv2d):
    """TensorFlow's "SAME" padding: for stride 2 the odd pixel goes to the end."""

    def arranged(self, images: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, list[int]]:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        sizes = images.shape[-2:]
        totals = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in sizes]
        odd = [total % 2 for total in totals]
        if any(odd) and torch.is_grad_enabled() and weight.requires_grad:
            # A kernel of 4 × 4 would take three times as long backwards.
            images = functional.pad(images, (0, odd[1], 0, odd[0]))
            totals = [total - rest for total, rest in zip(totals, odd, strict=True)]
        elif any(odd):
            # Before the kernel a zero is cheap; after the images it would be a copy of them.
            weight = functional.pad(weight, (odd[1], 0, odd[0], 0))
        return images, weight, [(total + 1) // 2 for total in totals]


class _ConvNormRelu(nn.Module):
    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int, groups: int) -> None:
        super().__init__()
        self.conv = _SamePadConv2d(n_in, n_out, kernel, stride, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(n_out, eps=1e-4)

    def forward(self, images: Tensor) -> Tensor:
        return conv_norm_relu(self.conv, self.bn, images)


class _First(nn.Module):
    """Patches (n, n_frames, n_mels) → (n, 32, n_frames / 2, n_mels / 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.fused = _ConvNormRelu(1, 32, 3, 2, 1)

    def forward(self, patches: Tensor) -> Tensor:
        return self.fused(channels_last(patches))


class _Separable(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.depthwise_conv = _ConvNormRelu(n_in, n_in, 3, stride, n_in)
        self.pointwise_conv = _ConvNormRelu(n_in, n_out, 1, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.pointwise_conv(self.depthwise_conv(channels_last(images)))


class YAMNet(Backbone):
    """Depthwise-separable network on 0.96 s log-mel patches, trained on AudioSet.

    Howard et al., "MobileNets", 2017, as published by Plakal and Ellis in
    ``tensorflow/models/research/audioset/yamnet``. 14 blocks, embedding of 1024 values.

    Attributes
    ----------
    patches : LogMelPatches
        The front end.
    classifier : nn.Linear
        The published classes, used by :meth:`scores` only.

    Examples
    --------
    >>> import torch
    >>> from sktl.backbones import YAMNet
    >>> network = YAMNet().eval()
    >>> [units] = network.front_end([torch.zeros(16000)])
    >>> units.shape, network(units).shape, network.scores(units).shape
    (torch.Size([1, 96, 64]), torch.Size([1, 1024]), torch.Size([1, 521]))
    """

    patches = LogMelPatches()
    input_spec = InputSpec("waveform", sr=patches.sr, min_samples=patches.patch_samples)
    unit_axes = (1, 2)
    embedding_size = 1024
    uses_linear = False

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_First()]
        n_in = 32
        for stride, n_out in _LAYERS:
            layers.append(_Separable(n_in, n_out, stride))
            n_in = n_out
        self.blocks = nn.ModuleList(layers)
        self.classifier = nn.Linear(n_in, _N_CLASSES).requires_grad_(False)

    def front_end(self, clips: list[Tensor]) -> list[Tensor]:
        """Log-mel patches (n_patches, 96, 64) of each waveform."""
        return [self.patches(clip) for clip in clips]

    def unit_span(self, shape: tuple[int, ...]) -> UnitSpan:
        """Patches of 0.96 s."""
        return self.patches.span

    def run_blocks(self, values: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Run ``blocks[start:stop]``; without gradients on a CPU, the first on few patches each."""
        first, last, _ = slice(start, stop).indices(len(self.blocks))
        middle = min(last, _LARGE)
        parts = values.split(max(1, _PIXELS_AT_ONCE // values.shape[-2:].numel()))
        if first < middle and len(parts) > 1 and values.is_cpu and not torch.is_grad_enabled():
            run = super().run_blocks
            values = torch.cat([run(part, first, middle) for part in parts])
            first = middle
        return super().run_blocks(values, first, last)

    def pool(self, activations: Tensor) -> Tensor:
        """Mean over frequency and time."""
        # One layout, whichever the last block's: the order of the sum changes its last bits.
        return activations.contiguous().mean((2, 3))

    def scores(self, units: Tensor) -> Tensor:
        """Probability of each AudioSet class in each patch.

        Parameters
        ----------
        units : Tensor of shape (n_patches, 96, 64)
            Log-mel patches.

        Returns
        -------
        Tensor of shape (n_patches, 521)
        """
        return torch.sigmoid(self.classifier(self(units)))

    def import_state_dict(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename published keys: ``layer1.`` is ``blocks.0.``."""
        return {
            re.sub(r"^layer(\d+)\.", lambda found: f"blocks.{int(found[1]) - 1}.", key): value
            for key, value in state.items()
        }

    @staticmethod
    def export_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename keys to the published ones: ``blocks.0.`` is ``layer1.``."""
        return {
            re.sub(r"^blocks\.(\d+)\.", lambda found: f"layer{int(found[1]) + 1}.", key): value
            for key, value in state.items()
        }
