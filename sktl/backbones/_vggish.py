"""VGGish: VGG on log-mel patches, trained on a preliminary version of YouTube-8M."""

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from ._base import Backbone, InputSpec
from ._conv import channels_last, conv_norm_relu
from ._front_ends import LogMelPatches
from ._units import UnitSpan

__all__ = ["VGGish"]

# Channels of the convolutions between two poolings.
_STAGES = ((64,), (128,), (256, 256), (512, 512))
_HIDDEN = 4096
_SIZE = 128
# Principal components beyond this are cut off before they become 8-bit integers.
_QUANTIZE_MAX = 2.0
# Patches that a batch has at least, where rows must not depend on each other.
_USUAL = 16
# Patches whose images, before they are halved, are not too large for memory that is kept.
_AT_ONCE = 16


class _Stage(nn.Sequential):
    """Convolutions, then halving: (n, c, frames, bands) → (n, c', frames / 2, bands / 2)."""

    def __init__(self, n_in: int, channels: tuple[int, ...]) -> None:
        layers: list[nn.Module] = []
        for n_out in channels:
            layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU()]
            n_in = n_out
        super().__init__(*layers, nn.MaxPool2d(2))

    def forward(self, images: Tensor) -> Tensor:
        images = channels_last(images)
        parts = images.split(_AT_ONCE)
        if len(parts) == 1 or not images.is_cpu or torch.is_grad_enabled():
            return self._halved(images)
        return torch.cat([self._halved(part) for part in parts])

    def _halved(self, images: Tensor) -> Tensor:
        *layers, pool = self
        for conv in layers[::2]:
            images = conv_norm_relu(conv, None, images, _USUAL)
        return pool(images)


class _Dense(nn.Sequential):
    """Linear map and ReLU; images are flattened channels last, as TensorFlow does."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(nn.Linear(n_in, n_out), nn.ReLU())

    def forward(self, values: Tensor) -> Tensor:
        if values.ndim == 4:
            values = values.permute(0, 2, 3, 1).flatten(1)
        return super().forward(values)


class VGGish(Backbone):
    """VGG's configuration A on 0.96 s log-mel patches, trained on videos' labels.

    Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017, as
    published by Ellis and Plakal in ``tensorflow/models/research/audioset/vggish``. 7 blocks
    (four stages of convolutions, three linear layers), embedding of 128 values.

    Parameters
    ----------
    postprocess : bool, default=False
        Rotate the embedding by principal components, cut it off at -2 and 2 and round it to
        the integers 0 to 255, as AudioSet's published embeddings are. No gradient passes the
        rounding. The components are read from the weights: keys ``pproc.pca_eigen_vectors``
        and ``pproc.pca_means``.

    Attributes
    ----------
    patches : LogMelPatches
        The front end.

    Examples
    --------
    >>> import torch
    >>> from sktl.backbones import VGGish
    >>> network = VGGish().eval()
    >>> [units] = network.front_end([torch.zeros(32000)])
    >>> units.shape, network(units).shape
    (torch.Size([2, 96, 64]), torch.Size([2, 128]))
    """

    patches = LogMelPatches(offset=0.01, patch_hop=96)
    input_spec = InputSpec("waveform", sr=patches.sr, min_samples=patches.patch_samples)
    unit_axes = (1, 2)
    embedding_size = _SIZE
    pca_eigen_vectors: Tensor
    pca_means: Tensor

    def __init__(self, postprocess: bool = False) -> None:
        super().__init__()
        self.postprocess = postprocess
        n_in = (1, *(stage[-1] for stage in _STAGES))
        stages = [_Stage(n, stage) for n, stage in zip(n_in, _STAGES, strict=False)]
        halvings = 2 ** len(_STAGES)
        n_flat = (
            n_in[-1] * (self.patches.patch_frames // halvings) * (self.patches.n_mels // halvings)
        )
        sizes = (n_flat, _HIDDEN, _HIDDEN, _SIZE)
        dense = [_Dense(*pair) for pair in pairwise(sizes)]
        self.blocks = nn.ModuleList([*stages, *dense])
        if postprocess:
            self.register_buffer("pca_eigen_vectors", torch.eye(_SIZE))
            self.register_buffer("pca_means", torch.zeros(_SIZE, 1))

    def front_end(self, clips: list[Tensor]) -> list[Tensor]:
        """Log-mel patches (n_patches, 96, 64) of each waveform, one after another."""
        return [self.patches(clip) for clip in clips]

    def unit_span(self, shape: tuple[int, ...]) -> UnitSpan:
        """Patches of 0.96 s."""
        return self.patches.span

    def pool(self, activations: Tensor) -> Tensor:
        """The last layer, with `postprocess` as integers from 0 to 255."""
        if not self.postprocess:
            return activations
        rotated = (activations - self.pca_means.T) @ self.pca_eigen_vectors.T
        unit = (rotated.clamp(-_QUANTIZE_MAX, _QUANTIZE_MAX) + _QUANTIZE_MAX) / (2 * _QUANTIZE_MAX)
        return (255.0 * unit).round()

    def import_state_dict(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename published keys: ``features.0.`` is ``blocks.0.0.``, ``pproc.`` is dropped."""
        renamed = {}
        for key, value in state.items():
            if key.startswith(("pproc.", "pca_")):
                if self.postprocess:
                    renamed[key.removeprefix("pproc.")] = value
                continue
            layer, _, name = key.rpartition(".")
            renamed[f"{_PUBLISHED.get(layer, layer)}.{name}" if layer else key] = value
        return renamed


def _published_names() -> dict[str, str]:
    """Published names of layers, and ours."""
    names, index = {}, 0
    for block, stage in enumerate(_STAGES):
        for place in range(len(stage)):
            names[f"features.{index}"] = f"blocks.{block}.{2 * place}"
            index += 2
        index += 1  # pooling
    for place in range(3):
        names[f"embeddings.{2 * place}"] = f"blocks.{len(_STAGES) + place}.0"
    return names


_PUBLISHED = _published_names()
