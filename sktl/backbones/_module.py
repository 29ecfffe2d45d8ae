"""A user's own module as a backbone."""

import copy
import pickle
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from .._random import torch_seed
from ._base import Backbone, InputSpec
from ._cut import cut_module
from ._units import UnitSpan

__all__ = ["ModuleBackbone", "copy_module", "module_spec", "reinitialize", "wrap_module"]

_EXAMPLE_ROWS = 3
Module = TypeVar("Module", bound=nn.Module)


class ModuleBackbone(Backbone):
    """Blocks of a user's module.

    Parameters
    ----------
    blocks : list of nn.Module
        Run in order.
    embedding_size : int
        Values of a row of the last block's output, flattened.
    input_spec : InputSpec
        What the module takes; a clip is one unit, whole.
    uncut_reason : str, default=""
        Why there is only one block; "" when the module was cut.
    """

    def __init__(
        self,
        blocks: list[nn.Module],
        embedding_size: int,
        input_spec: InputSpec,
        uncut_reason: str = "",
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.embedding_size = embedding_size
        self.input_spec = input_spec
        self.uncut_reason = uncut_reason
        self.cuttable = not uncut_reason

    def front_end(self, clips: list[Tensor]) -> list[Tensor]:
        """Each clip as one unit (1, n_samples), all of one length."""
        if self.input_spec.kind != "waveform":
            return super().front_end(clips)
        shortest = self.input_spec.min_samples
        clips = [functional.pad(clip, (0, max(0, shortest - len(clip)))) for clip in clips]
        lengths = {len(clip) for clip in clips}
        if len(lengths) > 1:
            raise ValueError(
                f"Clips of {min(lengths)} to {max(lengths)} samples, but a module of your own "
                "takes clips of one length: pad them, or derive the module from "
                "sktl.backbones.Backbone and give it a front_end that cuts them into units."
            )
        return [clip.unsqueeze(0) for clip in clips]

    def unit_span(self, shape: tuple[int, ...]) -> UnitSpan | None:
        """The whole clip."""
        if self.input_spec.kind != "waveform" or self.input_spec.sr is None:
            return None
        seconds = shape[0] / self.input_spec.sr
        return UnitSpan(seconds, seconds)


def module_spec(module: Any) -> InputSpec:
    """Input of a module: its own `input_spec`, else arrays of any shape."""
    spec = getattr(module, "input_spec", None)
    return spec if isinstance(spec, InputSpec) else InputSpec("features")


def copy_module(module: Module) -> Module:
    """Copy of a module that shares nothing with it."""
    try:
        return copy.deepcopy(module)
    except Exception as error:
        # The old weight_norm keeps a tensor that only pickling can copy.
        try:
            return pickle.loads(pickle.dumps(module))
        except Exception:
            raise ValueError(
                f"{type(module).__name__} cannot be copied ({error}); give "
                "sktl.backbones.ModuleHandle(factory) with a function that makes it."
            ) from error


def wrap_module(module: nn.Module, row_shape: tuple[int, ...] | None) -> Backbone:
    """Turn a module that may be changed into a backbone.

    Parameters
    ----------
    module : nn.Module
        Takes a batch of rows and returns one tensor with an entry per row.
    row_shape : tuple of int or None
        Shape of one row of X; None for clips of free length.
    """
    if isinstance(module, Backbone):
        return module
    spec = module_spec(module)
    module.cpu().eval()
    rows = _example_rows(module, spec, row_shape)
    with torch_seed(0):
        embedding_size = _embedding_size(module, rows)
        blocks, reason = cut_module(module, rows)
    return ModuleBackbone(blocks, embedding_size, spec, reason)


def reinitialize(module: nn.Module) -> None:
    """Give every parameter new random values by its layer's own rule."""
    before = {name: value.detach().clone() for name, value in module.named_parameters()}
    for part in module.modules():
        reset = getattr(part, "reset_parameters", None) or getattr(part, "_reset_parameters", None)
        if callable(reset):
            reset()
    kept = [
        name
        for name, value in module.named_parameters()
        if torch.equal(value, before[name]) and value.numel() > 1 and value.min() != value.max()
    ]
    if kept:
        raise ValueError(
            f"weights=None asks for random weights, but {type(module).__name__} holds parameters "
            f"that no reset_parameters() draws anew ({', '.join(kept[:3])}); give "
            "ModuleHandle(factory, weights=...) with a factory of random weights."
        )


def _example_rows(module: nn.Module, spec: InputSpec, row_shape: tuple[int, ...] | None) -> Tensor:
    """Rows of noise from a generator of their own."""
    if row_shape is None:
        if spec.kind != "waveform":
            raise ValueError(
                f"{type(module).__name__} takes arrays, and the shape of a row is not known: give "
                "X as an array. A module that takes clips says so by "
                "module.input_spec = InputSpec('waveform', sr=16000)."
            )
        row_shape = (spec.min_samples if spec.min_samples > 1 else spec.sr or 1,)
    if spec.kind == "waveform":
        row_shape = (max(spec.min_samples, row_shape[0]),)
    first = next((p for p in module.parameters() if p.is_floating_point()), torch.empty(0))
    rows = torch.randn(_EXAMPLE_ROWS, *row_shape, generator=torch.Generator().manual_seed(0))
    return rows.to(first.dtype)


@torch.no_grad()
def _embedding_size(module: nn.Module, rows: Tensor) -> int:
    name = type(module).__name__
    try:
        output = module(rows.clone())
    except Exception as error:
        raise ValueError(
            f"{name} does not take rows of shape {tuple(rows.shape[1:])}: {error}"
        ) from error
    if not isinstance(output, Tensor):
        raise ValueError(f"{name} returns {type(output).__name__}; it must return one tensor.")
    if output.ndim == 0 or len(output) != len(rows):
        raise ValueError(
            f"{name} returns a tensor of shape {tuple(output.shape)} for {len(rows)} rows; its "
            "first axis must be the rows."
        )
    return output[0].numel()
