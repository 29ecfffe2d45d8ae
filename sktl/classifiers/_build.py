"""From constructor parameters to a network of the right size."""

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..audio import Clips, is_clips
from ..backbones import Backbone, ModuleHandle, input_kind, make_backbone
from ..backbones._hear import is_hear
from ..backbones._huggingface import is_huggingface
from ..backbones._lora import add_lora
from ..backbones._saved import is_saved, read_description, read_input_statistics
from ..embedding._rows import Rows, check_array_rows, check_rows
from ._batch_norm import set_batch_norm
from ._heads import Head, make_head
from ._module import TransferModule, make_discriminator
from ._task_heads import TaskHeads

__all__ = [
    "Plan",
    "build_module",
    "name_of",
    "resolve_input",
]


@dataclass(frozen=True)
class Plan:
    """All that is needed to build the same network again, weights apart."""

    backbone: Any
    row_shape: tuple[int, ...] | None
    scaler_shape: tuple[int, ...] | None
    scale_embedding: bool
    dtype: torch.dtype
    fixed_statistics: bool
    pretrained: bool
    classes: tuple[Any, ...] = ()
    tasks: tuple[int, ...] | None = None
    """Classes of each task, where there are several."""
    uncertain: bool = False
    """Whether tasks are weighted by their uncertainty."""
    head: Head = "linear"
    discriminator_hidden: tuple[int, ...] | None = None
    """Widths of the adversaries; None where there are none."""
    adversaries: tuple[str, ...] = ()
    """Which: "discriminator", "rival"."""
    conditional: bool = False
    domains: tuple[int, ...] | None = None
    """All that there are, where they are more than two."""
    lora: int | None = None
    """Rank of the adapters, in all blocks from `lora_from` on."""
    lora_from: int = 0
    weights: Any = None
    """What a backbone takes that has no random weights."""
    start: dict[str, Tensor] | None = field(default=None, compare=False)
    """Statistics of the rows that the body was trained on, {} if it took them as they were."""

    def body(self) -> Backbone:
        """Build the body again, with arbitrary weights."""
        backbone = self.backbone
        if isinstance(backbone, ModuleHandle):
            backbone = ModuleHandle(backbone.factory)
        weights = self.weights if isinstance(backbone, str) else "pretrained"
        body = make_backbone(backbone, weights=weights, row_shape=self.row_shape)
        body.fixed_statistics = self.fixed_statistics
        body.pretrained = self.pretrained
        return body


def resolve_input(estimator: Any, X: Any) -> tuple[Rows, Backbone, Plan]:
    """Check X, choose and build the body that takes it."""
    backbone = estimator.backbone
    clips = is_clips(X)
    automatic = isinstance(backbone, str) and backbone == "auto"
    if automatic and clips:
        backbone = "speech-mini"
    array = None
    if not clips and (automatic or input_kind(backbone) != "waveform"):
        array = check_array_rows(estimator, X, reset=True)
        if automatic:
            backbone = "cnn" if array.ndim == 3 else "mlp"
    shape = None if array is None else array.shape[1:]
    dtype = _dtype(backbone, array)
    body = make_backbone(backbone, weights=estimator.weights, row_shape=shape, dtype=dtype)
    set_batch_norm(body, estimator.batch_norm)
    spec = body.input_spec
    if clips and spec.kind != "waveform":
        raise ValueError(
            f"backbone={name_of(backbone)} takes {spec.kind}, but X is a list of clips; put MFCC "
            "or MelSpectrogram before it, or give a backbone that takes clips ('speech-mini')."
        )
    rows: Rows
    if array is None or spec.kind != "features":
        rows = check_rows(estimator, X, spec, reset=True, n_jobs=estimator.n_jobs)
    else:
        rows = array
    named = isinstance(backbone, str) and not is_saved(backbone)
    start, scaler = _start(backbone), None
    if not isinstance(rows, Clips) and not _is_own(backbone):
        scaler = (rows.shape[1], 1) if spec.kind == "spectrogram" else rows.shape[1:]
        if start is not None:
            scaler = _same_scaler(start, scaler, name_of(backbone))
    if is_saved(backbone):  # the file need not be there when the estimator is unpickled
        backbone = read_description(backbone).name
    if is_huggingface(backbone) and body.made_from is not None:  # nor need the folder or the hub
        backbone = body.made_from[0]
    shape = None if isinstance(rows, Clips) else shape
    scaled = isinstance(rows, Clips) or not named
    weights = estimator.weights if is_hear(backbone) else None
    kept = (body.fixed_statistics, body.pretrained)
    parts = (backbone, shape, scaler, scaled, dtype, *kept)
    return rows, body, Plan(*parts, weights=weights, start=start)


def _is_own(backbone: Any) -> bool:
    """Whether it is a network of the user's, which brings its own scaling and precision."""
    known = isinstance(backbone, str) or is_saved(backbone)
    return not known and not hasattr(backbone, "backbone_")


def _dtype(backbone: Any, array: np.ndarray | None) -> torch.dtype:
    """Precision of the weights: that of the rows, or of a module that is given."""
    double = array is not None and array.dtype == np.float64
    if _is_own(backbone):
        weights = backbone.parameters() if isinstance(backbone, nn.Module) else ()
        double = any(weight.dtype == torch.float64 for weight in weights)
    return torch.float64 if double else torch.float32


def _start(backbone: Any) -> dict[str, Tensor] | None:
    """Statistics of the rows that a given network was trained on; None for no such network."""
    if is_saved(backbone):
        return read_input_statistics(backbone)
    module = getattr(getattr(backbone, "net_", None), "module_", None)
    if module is None:
        return None
    return {key: value.cpu() for key, value in module.input_scaler.state_dict().items()}


def _same_scaler(start: dict[str, Tensor], shape: tuple[int, ...], name: str) -> Any:
    """Shape of the input scaler that the start was trained with; None if it had none."""
    if not start:
        return None
    trained = tuple(start["mean"].shape)
    if trained != shape:
        raise ValueError(
            f"X has rows of {shape[0]} columns or bands, but the {name} given as backbone was "
            f"trained on rows of {trained[0]}."
        )
    return shape


def build_module(plan: Plan, body: Backbone) -> TransferModule:
    """Put a head on `body`, adapters into it and a discriminator beside if they are planned."""
    if plan.lora is not None:
        add_lora(body, plan.lora, plan.lora_from)
    width = body.embedding_size
    adversaries = _make_adversaries(plan, width)
    head: nn.Module
    if plan.tasks is None:
        head = make_head(plan.head, width, len(plan.classes))
    else:
        heads = [make_head(plan.head, width, size) for size in plan.tasks]
        head = TaskHeads(heads, plan.tasks, plan.uncertain)
    module = TransferModule(body, head, plan.scaler_shape, plan.scale_embedding, **adversaries)
    module.to(plan.dtype)
    if plan.start is not None:
        module.input_scaler.load_state_dict(plan.start)
        module.scales_input_as_given = True
    return module


def _make_adversaries(plan: Plan, width: int) -> dict[str, nn.Module]:
    hidden, n_classes = plan.discriminator_hidden or (), len(plan.classes)
    n_domains = 1 if plan.domains is None else len(plan.domains)
    sizes = {
        "discriminator": (width * n_classes if plan.conditional else width, n_domains),
        "rival": (width, n_classes),
    }
    return {
        name: make_discriminator(n_inputs, hidden, n_outputs)
        for name, (n_inputs, n_outputs) in sizes.items()
        if name in plan.adversaries
    }


def name_of(backbone: Any) -> str:
    """A backbone in a message: short, whatever it is."""
    if isinstance(backbone, str | os.PathLike | ModuleHandle):
        return repr(backbone)
    return getattr(backbone, "__name__", type(backbone).__name__)
