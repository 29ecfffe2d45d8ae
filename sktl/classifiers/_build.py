"""From constructor parameters to a network of the right size."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..audio import Clips, is_clips
from ..backbones import Backbone, ModuleHandle, input_kind, make_backbone
from ..embedding._rows import Rows, check_array_rows, check_rows
from ._module import TransferModule, make_discriminator, make_head

__all__ = ["Plan", "build_module", "check_frozen_layers", "name_of", "resolve_input"]


@dataclass(frozen=True)
class Plan:
    """All that is needed to build the same network again, weights apart."""

    backbone: Any
    row_shape: tuple[int, ...] | None
    scaler_shape: tuple[int, ...] | None
    scale_embedding: bool
    dtype: torch.dtype
    fixed_statistics: bool
    classes: tuple[Any, ...] = ()
    head: str = "linear"
    discriminator_hidden: tuple[int, ...] | None = None
    conditional: bool = False

    def body(self) -> Backbone:
        """Build the body again, with arbitrary weights."""
        backbone = self.backbone
        if isinstance(backbone, ModuleHandle):
            backbone = ModuleHandle(backbone.factory)
        weights = None if isinstance(backbone, str) else "pretrained"
        body = make_backbone(backbone, weights=weights, row_shape=self.row_shape)
        body.fixed_statistics = self.fixed_statistics
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
    body = make_backbone(backbone, weights=estimator.weights, row_shape=shape)
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
    return rows, body, _plan(backbone, body, rows)


def _plan(backbone: Any, body: Backbone, rows: Rows) -> Plan:
    fixed = body.fixed_statistics
    if isinstance(rows, Clips):
        return Plan(backbone, None, None, True, torch.float32, fixed)
    shape = rows.shape[1:]
    if not isinstance(backbone, str) and not hasattr(backbone, "backbone_"):
        # A user's own module brings its own scaling.
        dtypes = [p.dtype for p in body.parameters() if p.is_floating_point()]
        return Plan(backbone, shape, None, True, dtypes[0] if dtypes else torch.float32, fixed)
    scaler = (shape[0], 1) if body.input_spec.kind == "spectrogram" else shape
    dtype = torch.float64 if rows.dtype == np.float64 else torch.float32
    return Plan(backbone, shape, scaler, not isinstance(backbone, str), dtype, fixed)


def build_module(plan: Plan, body: Backbone) -> TransferModule:
    """Put a head, and a discriminator if one is planned, on `body`."""
    width = body.embedding_size
    discriminator = None
    if plan.discriminator_hidden is not None:
        n_inputs = width * len(plan.classes) if plan.conditional else width
        discriminator = make_discriminator(n_inputs, plan.discriminator_hidden)
    head = make_head(plan.head, width, len(plan.classes))
    module = TransferModule(body, head, plan.scaler_shape, plan.scale_embedding, discriminator)
    return module.to(plan.dtype)


def name_of(backbone: Any) -> str:
    """A backbone in a message: short, whatever it is."""
    if isinstance(backbone, str | ModuleHandle):
        return repr(backbone)
    return getattr(backbone, "__name__", type(backbone).__name__)


def check_frozen_layers(frozen_layers: int | str, body: Backbone, name: str) -> int:
    """Number of blocks to freeze, as ``blocks[:frozen_layers]`` would cut them."""
    n_blocks = len(body.blocks)
    if isinstance(frozen_layers, str):
        return n_blocks
    if not -n_blocks <= frozen_layers <= n_blocks:
        raise ValueError(
            f"frozen_layers={frozen_layers!r} but {name} has {n_blocks} blocks; "
            f"give 0..{n_blocks}, a negative index, or 'all'."
        )
    count = int(frozen_layers) + (n_blocks if frozen_layers < 0 else 0)
    if not getattr(body, "cuttable", True) and 0 < count < n_blocks:
        raise ValueError(
            f"frozen_layers={frozen_layers!r} but {name} cannot be cut into blocks; give 0 or "
            "'all', or a module with a `blocks` attribute."
        )
    return count
