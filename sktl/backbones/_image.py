"""Image networks on spectrograms: torchvision's classification models without their heads."""

import difflib
import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .._optional import import_optional
from ..features import mel_spectrogram
from ._base import Backbone, InputSpec
from ._image_stages import AUXILIARY, HEADS, cut_stages
from ._state import read_state
from ._units import UnitSpan
from ._weights import WeightsFile, WeightsSource, check_weights, fill_published, locate

__all__ = ["PREFIX", "ImageBackbone", "is_image"]

PREFIX = "torchvision:"
CMAP = "?cmap="

SR = 16000
N_FFT, WIN, HOP = 1024, 400, 160
N_MELS = 128
TOP_DB, AMIN = 80.0, 1e-10
SILENCE_DB = -100.0
PATCH_FRAMES, PATCH_HOP = 100, 50
# What the published weights of these were trained with, and no warning of their random ones.
INCEPTIONS = ("googlenet", "inception_v3")
INCEPTION_OPTIONS = {"transform_input": True, "aux_logits": False, "init_weights": True}
# Names of layers in files older than the ban on dots in them.
OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")


def is_image(backbone: Any) -> bool:
    """Tell whether `backbone` names a model of torchvision."""
    return isinstance(backbone, str) and backbone.startswith(PREFIX)


class _ToImages(nn.Module):
    """Levels in [0, 1] (n, n_mels, n_frames) → normalised images (n, 3, size, size)."""

    mean: Tensor
    std: Tensor
    colours: Tensor | None

    def __init__(self, cmap: str | None, preset: Any) -> None:
        super().__init__()
        self.size = int(preset.crop_size[0])
        self.cmap = cmap
        for name in ("mean", "std"):
            value = torch.tensor(getattr(preset, name)).reshape(3, 1, 1)
            self.register_buffer(name, value, persistent=False)
        colours = None if cmap is None else torch.from_numpy(_colours(cmap))
        self.register_buffer("colours", colours, persistent=False)

    def forward(self, levels: Tensor) -> Tensor:
        # Low frequencies at the bottom, as in plots.
        upright = levels.flip(1).unsqueeze(1)
        size = (self.size, self.size)
        images = functional.interpolate(upright, size, mode="bilinear", align_corners=False)
        if self.colours is None:
            return (images - self.mean) / self.std
        n_colours = len(self.colours)
        index = (images[:, 0] * n_colours).long().clamp(0, n_colours - 1)
        coloured = self.colours[index].permute(0, 3, 1, 2)
        return ((coloured - self.mean) / self.std).contiguous()


class ImageBackbone(Backbone):
    """A network trained on photographs, given pictures of log-mel spectrograms.

    As in Amiriparian et al., "Snore sound classification using image-based deep spectrum
    features", Interspeech 2017, with any of torchvision's classification models of the families
    AlexNet, VGG, ResNet and their kin (see Notes), without the last linear layer. A block for
    each stage; the hidden linear layers of AlexNet and VGG are a block each as well. As
    ``backbone="torchvision:vgg16"`` it is known by name, and with a colour map as
    ``"torchvision:vgg16?cmap=viridis"``.

    Parameters
    ----------
    model : str, default="resnet18"
        Name of a model in ``torchvision.models``.
    cmap : str, default=None
        Name of a colour map of matplotlib; None for grey, the loudest white.
    weights : {"pretrained"}, path-like or None, default="pretrained"
        torchvision's default weights for that model, a file with the names of its layers (the
        head's are left out) or of this network's, or None for random ones.

    Raises
    ------
    ImportError
        If torchvision (extra ``[image]``) or, for a colour map, matplotlib (extra ``[plot]``)
        does not load.
    ValueError
        For a model or colour map that is not known, or a model of another family.
    WeightsError
        When the weights are absent, damaged or of another network.

    Notes
    -----
    A clip at 16 kHz becomes a log-mel spectrogram of 128 bands, 0 to 8 kHz (windows of 25 ms
    every 10 ms). The loudest 80 dB of the clip are scaled to [0, 1]; what lies below -100 dB is
    0 however quiet the clip. The units are windows of 1 s every 0.5 s; shorter clips are padded
    with zeros, and a rest shorter than 0.5 s is left out. In block 0 each becomes a picture, low
    frequencies at the bottom, stretched to the size the weights were trained at (224 × 224
    for most, 299 × 299 for Inception v3) and normalised as their training pictures were.

    Families that are known: AlexNet, ConvNeXt, DenseNet, EfficientNet, GoogLeNet, Inception v3,
    MNASNet, MobileNet, RegNet, ResNet, ResNeXt, ShuffleNet, SqueezeNet, VGG, Wide ResNet. The
    embedding is compared once, on a random image, with what the head of the whole model is given.

    Examples
    --------
    >>> from functools import partial
    >>> from sktl.backbones import ImageBackbone, ModuleHandle, input_kind
    >>> viridis = ModuleHandle(partial(ImageBackbone, "vgg16", cmap="viridis"))
    >>> input_kind(viridis), input_kind("torchvision:vgg16?cmap=viridis")
    ('waveform', 'waveform')
    """

    input_spec = InputSpec("waveform", sr=SR, min_samples=SR)
    unit_axes = (2, 1)
    time_axis = {4: 3}

    def __init__(
        self,
        model: str = "resnet18",
        cmap: str | None = None,
        weights: str | os.PathLike[str] | None = "pretrained",
    ) -> None:
        check_weights(weights)
        super().__init__()
        name = PREFIX + model + ("" if cmap is None else CMAP + cmap)
        models = import_optional("torchvision.models", "image", f"backbone={name!r}")
        _check_model(models, model)
        published = models.get_model_weights(model).DEFAULT
        to_images = _ToImages(cmap, published.transforms())
        state: dict[str, Tensor] = {}
        where = ""
        if weights is not None:
            state, where = _read(weights, published.url)
        options = INCEPTION_OPTIONS if model in INCEPTIONS else {}
        network = models.get_model(model, weights=None, **options)
        names = {id(value): key for key, value in network.state_dict(keep_vars=True).items()}
        first, *rest = (stages := cut_stages(network, f"backbone={name!r}")).blocks
        self.blocks = nn.ModuleList([nn.Sequential(to_images, first), *rest])
        self.upper = stages.pool
        self.embedding_size = stages.embedding_size
        own = self.state_dict(keep_vars=True).items()
        self._published = {names[id(value)]: key for key, value in own}
        self.made_from = (name, None)
        if weights is not None:
            fill_published(self, state, where)
            self.fixed_statistics = True

    @classmethod
    def from_name(cls, name: str, weights: str | os.PathLike[str] | None) -> "ImageBackbone":
        """The network of a name such as "torchvision:resnet18?cmap=viridis"."""
        model, _, cmap = name.removeprefix(PREFIX).partition(CMAP)
        return cls(model, cmap or None, weights)

    def front_end(self, clips: list[Tensor]) -> list[Tensor]:
        """Levels in [0, 1] (n_windows, 128, 100) of each waveform."""
        return [_levels(clip) for clip in clips]

    def unit_span(self, shape: tuple[int, ...]) -> UnitSpan:
        """Windows of 1 s every 0.5 s, the first frame centred on the first sample."""
        length, hop = PATCH_FRAMES * HOP, PATCH_HOP * HOP
        return UnitSpan(length / SR, hop / SR, -HOP / 2 / SR)

    def pool(self, activations: Tensor) -> Tensor:
        """Mean over positions, where the last block does not end with a linear layer."""
        return self.upper(activations)

    def import_state_dict(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename torchvision's keys; those of the head are left out."""
        renamed = {}
        for old, value in state.items():
            key = OLD_NAME.sub(r"\1\2.", old)
            if key in self._published:
                renamed[self._published[key]] = value
            elif key.partition(".")[0] not in (*HEADS, *AUXILIARY):
                renamed[key] = value
        return renamed


def _read(weights: str | os.PathLike[str], url: str) -> tuple[dict[str, Tensor], str]:
    """Tensors of a file and its path."""
    if weights == "pretrained":
        weights = locate(WeightsSource((WeightsFile.of_hub(url),)))
    return read_state(weights), str(weights)


def _check_model(models: Any, model: str) -> None:
    known = models.list_models(module=models)
    if model not in known:
        hint = _nearest(model, known) or "torchvision.models.list_models() gives them."
        raise ValueError(f"torchvision has no classification model {model!r}; {hint}")


def _colours(cmap: str) -> np.ndarray:
    """Red, green and blue (n_colours, 3) in [0, 1], from low to high."""
    colormaps = import_optional("matplotlib", "plot", f"cmap={cmap!r}").colormaps
    if cmap not in colormaps:
        hint = _nearest(cmap, list(colormaps)) or "list(matplotlib.colormaps) gives them."
        raise ValueError(f"cmap={cmap!r} is no colour map of matplotlib; {hint}")
    colours = colormaps[cmap]
    return colours(np.arange(colours.N))[:, :3].astype(np.float32)


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name.lower(), known, n=1)
    return f"did you mean {close[0]!r}?" if close else ""


def _levels(clip: Tensor) -> Tensor:
    """(n_samples,) → (n_windows, N_MELS, PATCH_FRAMES), from 0 to 1."""
    clip = functional.pad(clip, (0, max(0, SR - len(clip))))
    decibels = mel_spectrogram(
        clip,
        sr=SR,
        n_fft=N_FFT,
        win_length=WIN,
        hop_length=HOP,
        n_mels=N_MELS,
        amin=AMIN,
        top_db=TOP_DB,
    )
    floor = (decibels.amax() - TOP_DB).clamp(min=SILENCE_DB)
    levels = (decibels - floor) / TOP_DB
    return levels.unfold(1, PATCH_FRAMES, PATCH_HOP).transpose(0, 1).contiguous()
