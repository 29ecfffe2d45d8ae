"""Backbones by name, and every other way to give one."""

import os
from contextlib import nullcontext
from typing import Any

import torch
from sklearn.exceptions import NotFittedError
from torch import nn

from .._random import torch_seed
from ._base import Backbone, InputSpec
from ._catalogue import Kind, RowShape, find, known_backbones
from ._handle import ModuleHandle
from ._hear import PREFIX as HEAR
from ._hear import HearBackbone, is_hear
from ._huggingface import PREFIX as HUGGINGFACE
from ._huggingface import is_huggingface, make_huggingface
from ._image import PREFIX as IMAGE
from ._image import ImageBackbone, is_image
from ._lora import merge_lora
from ._module import copy_module, module_spec, reinitialize, wrap_module
from ._saved import check_fits, describe, is_saved, read_description, read_tensors
from ._state import read_state
from ._weights import Undrawn, check_weights, fill, fill_published, locate_all

__all__ = ["PREFIXES", "input_kind", "make_backbone"]

# Of names of networks that other packages make, all of which take clips.
PREFIXES = (HEAR, HUGGINGFACE, IMAGE)


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
    if is_saved(backbone):
        return input_kind(read_description(backbone).name)
    if isinstance(backbone, str):
        return "waveform" if backbone.startswith(PREFIXES) else find(backbone).kind
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
    backbone : str, path-like, Module, callable, ModuleHandle or estimator
        One of :func:`available_backbones`; "torchvision:" and the name of an image network (see
        :class:`ImageBackbone`); "hf:" and a network of the Hugging Face hub or a folder that
        holds one; "hear:" and the name of a module with the interface
        of the HEAR benchmark; a file that :func:`save_backbone` wrote; a module (copied) or a
        function that makes one; or a fitted network estimator of this package, whose trained
        backbone is copied.
    weights : {"pretrained"}, path-like or None, default="pretrained"
        Published or given weights ("mlp", "cnn", "crnn" and "gru" have none and start at
        random), a .safetensors, .pth or .pt file (for "hear:", whatever its load_model takes),
        or None for random ones, drawn from torch's global generator; of a file or a fitted
        estimator as `backbone`, only the architecture is then taken.
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
    if not is_hear(backbone):
        check_weights(weights)
    if row_shape is not None:
        row_shape = tuple(row_shape)
    if is_saved(backbone):
        body = _from_file(backbone, weights, row_shape)
    elif is_hear(backbone):
        body = _from_hear(backbone, weights)
    elif isinstance(backbone, str):
        body = _from_name(backbone, weights, row_shape)
    else:
        body = wrap_module(_own_module(backbone, weights), row_shape)
        body.pretrained = weights is not None and (
            weights != "pretrained" or _has_learned(backbone)
        )
    return body.to(device="cpu", dtype=dtype).train()


def _from_file(path: str | os.PathLike[str], weights: Any, row_shape: RowShape) -> Backbone:
    """The network of a file, with its tensors unless other weights are asked for."""
    description = read_description(path)
    name, built_to, fixed_statistics = description
    if built_to is not None and row_shape not in (None, built_to):
        raise ValueError(
            f"The network of {path} was built to rows of shape {built_to}, but X has rows of "
            f"shape {row_shape}."
        )
    check_fits(path, description)
    if weights != "pretrained":
        return _from_name(name, weights, built_to)
    with torch_seed(0):  # a copy of a network draws nothing either
        body = _from_name(name, None, built_to)
    fill(body, read_tensors(path), str(path))
    body.fixed_statistics = fixed_statistics
    body.pretrained = True
    return body


def _from_hear(name: str, weights: Any) -> Backbone:
    if weights is None:
        raise ValueError(
            f"weights=None, but backbone={name!r} comes with weights of its own; give "
            "'pretrained', or the path that its load_model takes."
        )
    path = None if weights == "pretrained" else weights
    body = HearBackbone(name.removeprefix(HEAR), path)
    body.fixed_statistics = body.pretrained = True
    return body


def _from_name(name: str, weights: Any, row_shape: RowShape) -> Backbone:
    if is_huggingface(name) or is_image(name):
        make = make_huggingface if is_huggingface(name) else ImageBackbone.from_name
        body = make(name, weights)
        body.pretrained = weights is not None
        return body
    entry = find(name)
    is_drawn = weights is None or (weights == "pretrained" and entry.source is None)
    with nullcontext() if is_drawn else Undrawn():
        body = entry.build(row_shape)
    describe(body, name, row_shape)
    if is_drawn:
        return body
    paths = [weights]
    if weights == "pretrained" and entry.source is not None:
        paths = locate_all(entry.source)
    state = {key: value for path in paths for key, value in read_state(path).items()}
    body.fixed_statistics = body.pretrained = True
    fill_published(body, state, " and ".join(map(str, paths)))
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
            fill_published(module, state, str(weights))
        else:
            fill(module, state, str(weights))
    return module


def _new_module(backbone: Any) -> nn.Module:
    if isinstance(backbone, nn.Module):
        return copy_module(backbone)
    if hasattr(backbone, "get_params") and not isinstance(backbone, type):
        body = merge_lora(copy_module(_fitted_backbone(backbone)))
        body.blocks.requires_grad_(True)
        return body
    if not callable(backbone):
        raise ValueError(
            f"backbone={backbone!r} is not understood; give one of {known_backbones()}, an "
            "nn.Module, a function that makes one, a ModuleHandle, or a fitted network estimator."
        )
    return ModuleHandle(backbone).load()


def _has_learned(backbone: Any) -> bool:
    """Whether the weights that a module, handle or estimator holds are known to be learned."""
    if isinstance(backbone, ModuleHandle):
        return backbone.weights is not None
    if hasattr(backbone, "history_"):  # of a fit
        return True
    return bool(getattr(getattr(backbone, "backbone_", backbone), "pretrained", False))


def _fitted_backbone(estimator: Any) -> Backbone:
    body = getattr(estimator, "backbone_", None)
    if isinstance(body, Backbone):
        return body
    if not hasattr(estimator, "backbone") and not hasattr(estimator, "steps"):
        raise ValueError(
            f"backbone={estimator!r} is no network estimator of this package, fitted or not; give "
            f"one of {known_backbones()}, an nn.Module, or a fitted estimator with a backbone_, "
            "such as FineTunedClassifier."
        )
    raise NotFittedError(
        f"{type(estimator).__name__} as a backbone holds no trained network (backbone_); fit it "
        "first, or give the last step of a pipeline. Where it is cloned, as in a grid search, "
        "wrap it: sklearn.frozen.FrozenEstimator(fitted)."
    )
