"""Backbones by name, and every other way to give one."""

import difflib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from sklearn.exceptions import NotFittedError
from torch import nn

from ._base import Backbone, InputSpec
from ._cnn import CNN
from ._gru import GRU
from ._handle import ModuleHandle
from ._mlp import MLP
from ._module import copy_module, module_spec, reinitialize, wrap_module
from ._weights import (
    WeightsFile,
    WeightsSource,
    check_weights,
    fill,
    locate,
    read_state,
)
from ._yamnet import YAMNet

__all__ = ["available_backbones", "input_kind", "make_backbone"]

Kind = Literal["waveform", "spectrogram", "features"]
RowShape = tuple[int, ...] | None


@dataclass(frozen=True)
class Entry:
    """A network known by name; `build` takes the shape of a row."""

    kind: Kind
    build: Callable[[RowShape], Backbone]
    source: WeightsSource | None = None
    licence: str | None = None
    origin: str | None = None


def _build_mlp(row_shape: RowShape) -> Backbone:
    if not row_shape:
        raise ValueError("'mlp' takes rows of numbers: give X as an array (n, n_features).")
    return MLP(math.prod(row_shape))


def _bands(name: str, row_shape: RowShape) -> int:
    if row_shape is None or len(row_shape) != 2:
        shape = "a list" if row_shape is None else f"rows of shape {row_shape}"
        raise ValueError(
            f"{name!r} takes spectrograms, an array of shape (n, n_bands, n_frames), but X is "
            f"{shape}; MelSpectrogram makes them from clips."
        )
    return row_shape[0]


def _build_cnn(row_shape: RowShape) -> Backbone:
    _bands("cnn", row_shape)
    return CNN()


def _build_gru(row_shape: RowShape) -> Backbone:
    return GRU(_bands("gru", row_shape))


def _build_yamnet(row_shape: RowShape) -> Backbone:
    return YAMNet()


def _build_speech_mini(row_shape: RowShape) -> Backbone:
    from ._speech_mini import SpeechMini

    return SpeechMini()


_SPEECH_MINI_FILE = WeightsFile(
    "speech-mini.safetensors",
    sha256="3cd9fdf68ea1b6b02022229390d23299565a93a69955629c37133fc4e2eba08a",
)
_YAMNET_FILES = (
    WeightsFile(
        "yamnet.safetensors",
        sha256="6fab0fd6822bbe4e425f9e0d6b01ebc8561bacf2c31a1ec669ea1f599a5f4398",
    ),
    WeightsFile(
        "yamnet.pth",
        url="https://github.com/w-hc/torch_audioset/releases/download/v0.1/yamnet.pth",
    ),
)

_ENTRIES = {
    "cnn": Entry("spectrogram", _build_cnn),
    "gru": Entry("spectrogram", _build_gru),
    "mlp": Entry("features", _build_mlp),
    "speech-mini": Entry(
        "waveform",
        _build_speech_mini,
        WeightsSource((_SPEECH_MINI_FILE,), shipped=True),
        "BSD-3-Clause",
        "trained on synthetic speech by this package",
    ),
    "yamnet": Entry(
        "waveform",
        _build_yamnet,
        WeightsSource(_YAMNET_FILES),
        "Apache-2.0",
        "https://github.com/tensorflow/models/tree/master/research/audioset/yamnet",
    ),
}


def available_backbones() -> list[str]:
    """Names that ``backbone=`` knows.

    Returns
    -------
    list of str
        In alphabetical order.

    Examples
    --------
    >>> from sktl.backbones import available_backbones
    >>> available_backbones()
    ['cnn', 'gru', 'mlp', 'speech-mini', 'yamnet']
    """
    return sorted(_ENTRIES)


def input_kind(backbone: Any) -> Kind | None:
    """Say what a backbone takes, without making it.

    Parameters
    ----------
    backbone : str, Module, callable, ModuleHandle or estimator
        As for :func:`make_backbone`.

    Returns
    -------
    {"waveform", "spectrogram", "features"} or None
        None when only the made network can tell: a factory without an `input_spec`.

    Examples
    --------
    >>> from sktl.backbones import input_kind
    >>> input_kind("yamnet")
    'waveform'
    """
    if isinstance(backbone, str):
        return _entry(backbone).kind
    if isinstance(backbone, nn.Module):
        return module_spec(backbone).kind
    if hasattr(backbone, "get_params") and not isinstance(backbone, type):
        return _fitted_backbone(backbone).input_spec.kind
    factory = backbone.factory if isinstance(backbone, ModuleHandle) else backbone
    spec = getattr(getattr(factory, "func", factory), "input_spec", None)
    return spec.kind if isinstance(spec, InputSpec) else None


def make_backbone(
    backbone: Any,
    *,
    weights: str | os.PathLike[str] | None = "pretrained",
    row_shape: tuple[int, ...] | None = None,
    dtype: torch.dtype = torch.float32,
) -> Backbone:
    """Make a network body, new and free to be trained.

    Parameters
    ----------
    backbone : str, Module, callable, ModuleHandle or estimator
        One of :func:`available_backbones`; a module (copied) or a function that makes one; or
        a fitted network estimator of this package, whose trained backbone is copied.
    weights : {"pretrained"}, path-like or None, default="pretrained"
        Published or given weights ("mlp", "cnn" and "gru" have none and start at random), a
        .safetensors, .pth or .pt file, or None for random ones, drawn from torch's global
        generator.
    row_shape : tuple of int, default=None
        Shape of one row of X, which some networks are built to; None for lists of clips.
    dtype : torch.dtype, default=torch.float32
        Type of parameters and buffers.

    Returns
    -------
    Backbone
        On the CPU, in training mode.

    Raises
    ------
    ValueError
        For an unknown name, or a module that does not take such rows.
    WeightsError
        When the weights are absent, damaged or of another network.

    Examples
    --------
    >>> from torch import nn
    >>> from sktl.backbones import make_backbone
    >>> make_backbone("mlp", row_shape=(20,)).embedding_size
    256
    >>> network = nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 4))
    >>> body = make_backbone(network, row_shape=(20,))
    >>> len(body.blocks), body.embedding_size
    (3, 4)
    """
    check_weights(weights)
    if row_shape is not None:
        row_shape = tuple(row_shape)
    if isinstance(backbone, str):
        body = _from_name(backbone, weights, row_shape)
    else:
        body = wrap_module(_own_module(backbone, weights), row_shape)
    return body.to(device="cpu", dtype=dtype).train()


def _from_name(name: str, weights: Any, row_shape: RowShape) -> Backbone:
    entry = _entry(name)
    body = entry.build(row_shape)
    path = weights
    if weights == "pretrained":
        path = None if entry.source is None else locate(entry.source)
    if path is None:
        return body
    body.fixed_statistics = True
    fill(body, body.import_state_dict(read_state(path)), str(path))
    return body


def _own_module(backbone: Any, weights: Any) -> nn.Module:
    """Make a module of the caller's kind with the weights asked for."""
    if isinstance(backbone, ModuleHandle):
        module = backbone.load(weights=weights == "pretrained")
        drawn = backbone.weights is not None
    else:
        module, drawn = _new_module(backbone), False
    if weights is None and not drawn:
        reinitialize(module)
        if isinstance(module, Backbone):
            module.fixed_statistics = False
    elif weights is not None and weights != "pretrained":
        state = read_state(weights)
        if isinstance(module, Backbone):
            state = module.import_state_dict(state)
        fill(module, state, str(weights))
    return module


def _new_module(backbone: Any) -> nn.Module:
    if isinstance(backbone, nn.Module):
        return copy_module(backbone)
    if hasattr(backbone, "get_params") and not isinstance(backbone, type):
        body = copy_module(_fitted_backbone(backbone))
        body.blocks.requires_grad_(True)
        return body
    if not callable(backbone):
        raise ValueError(
            f"backbone={backbone!r} is not understood; give one of {_names()}, an nn.Module, a "
            "function that makes one, a ModuleHandle, or a fitted network estimator."
        )
    return ModuleHandle(backbone).load()


def _fitted_backbone(estimator: Any) -> Backbone:
    body = getattr(estimator, "backbone_", None)
    if isinstance(body, Backbone):
        return body
    raise NotFittedError(
        f"{type(estimator).__name__} as a backbone holds no trained network (backbone_); fit it "
        "first, or give the last step of a pipeline. Where it is cloned, as in a grid search, "
        "wrap it: sklearn.frozen.FrozenEstimator(fitted)."
    )


def _entry(name: str) -> Entry:
    if name in _ENTRIES:
        return _ENTRIES[name]
    close = difflib.get_close_matches(name.lower(), _ENTRIES, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ValueError(f"backbone={name!r} is unknown; {hint}there are {_names()}.")


def _names() -> str:
    return ", ".join(repr(name) for name in available_backbones())
