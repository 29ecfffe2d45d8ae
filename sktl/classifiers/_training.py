"""One fit: statistics, cached prefix, validation split, net."""

from collections.abc import Callable
from copy import copy, deepcopy
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import torch
from skorch.callbacks import EarlyStopping
from skorch.helper import predefined_split
from skorch.utils import noop
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..audio import Clips
from ..backbones import Backbone, Units, fingerprint
from ..embedding._cache import RowStore, open_store
from ..embedding._precision import autocast_dtype
from ..embedding._rows import CHUNK_ROWS, Rows, iter_units
from ._batches import RowSet
from ._callbacks import Reseed, UnfreezeBlocks
from ._module import Scaler, TransferModule, moments
from ._net import TransferNet
from ._objective import Objective
from ._param_groups import param_groups

__all__ = ["Data", "make_net", "prefix_store", "train"]

# Columns of an embedding that hardly vary are not raised further than these parts allow.
OF_MEDIAN, OF_MEAN = 1e-2, 1e-3
OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}


@dataclass
class Data:
    """Rows to train on, in numpy: checked, and without those of weight zero."""

    rows: Rows
    y: np.ndarray
    weight: np.ndarray
    source: np.ndarray
    classes: np.ndarray


def prefix_store(memory: Any, module: TransferModule, depth: int) -> RowStore | None:
    """Where the activations of the first `depth` blocks are kept on disk."""
    if memory is None or depth == 0:
        return None
    scaler, body = fingerprint(module.input_scaler), fingerprint(_cut(module.body, depth))
    return open_store(memory, f"prefix {depth} {scaler} {body}")


def _cut(body: Backbone, depth: int) -> Backbone:
    """The same body, front end and all, without the blocks from `depth` on."""
    prefix = copy(body)
    prefix._modules = {**body._modules, "blocks": body.blocks[:depth]}
    return prefix


def units_of(
    module: TransferModule, rows: Rows, depth: int, device: torch.device, memory: Any
) -> Units:
    """Every row after the first `depth` blocks; no block and no scaling for depth 0."""
    module.eval()

    def prefix(values: torch.Tensor) -> torch.Tensor:
        return module.prefix(values, depth)

    dtype = next(module.head.parameters()).dtype
    store = prefix_store(memory, module, depth)
    run = prefix if depth else None
    parts = iter_units(rows, module.body, run, device=device, dtype=dtype, store=store)
    return Units.concat(list(parts))


def set_input_scaler(module: TransferModule, data: Data) -> None:
    """Standardise arrays with their weighted training statistics."""
    if not isinstance(module.input_scaler, Scaler) or isinstance(data.rows, Clips):
        return
    axes = (2,) if module.body.input_spec.kind == "spectrogram" else ()
    module.input_scaler.fill(*moments(data.rows, data.weight, axes))


def set_embedding_scaler(module: TransferModule, rows: RowSet) -> None:
    """Standardise the embedding as the starting weights give it, but raise nothing from noise."""
    if not isinstance(module.embedding_scaler, Scaler):
        return
    index = torch.arange(len(rows), device=rows.y.device)
    parts = [
        module.infer(rows.take(part).units, rows.start)[0].cpu() for part in index.split(CHUNK_ROWS)
    ]
    embedding = torch.cat(parts).double().numpy()
    mean, scale = moments(embedding, rows.weight.double().cpu().numpy(), ())
    lowest = np.maximum(OF_MEDIAN * np.median(scale), OF_MEAN * np.abs(mean))
    module.embedding_scaler.fill(mean, np.maximum(scale, lowest))


def _has_batch_statistics(module: TransferModule) -> bool:
    """Whether the embedding of training differs from that of inference, which is measured."""
    learning = module.body.blocks[module.n_frozen :].modules()
    return not module.body.fixed_statistics and any(isinstance(m, _BatchNorm) for m in learning)


def split_rows(data: Data, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices to train on and to validate on: source rows, by class; one of each trains."""
    generator = np.random.default_rng(seed)
    held_out: list[np.ndarray] = []
    for label in np.unique(data.y[data.source]):
        index = generator.permutation(np.flatnonzero(data.source & (data.y == label)))
        n_held_out = min(round(fraction * len(index)), len(index) - 1)
        held_out.append(index[:n_held_out])
    validation = np.sort(np.concatenate(held_out))
    if not len(validation):
        raise ValueError(
            f"validation_fraction={fraction} of {int(data.source.sum())} source rows leaves "
            "no row to validate on; give a larger fraction or early_stopping=False."
        )
    return np.setdiff1d(np.arange(len(data.y)), validation), validation


def make_net(
    estimator: Any,
    module: TransferModule,
    objective: Objective,
    *,
    seed: int = 0,
    callbacks: list[Any] | None = None,
    train_split: Callable | None = None,
) -> TransferNet:
    """Initialise a skorch net around `module` with the estimator's parameters."""
    optimizer = OPTIMIZERS.get(estimator.optimizer, estimator.optimizer)
    options: dict[str, Any] = {}
    if "weight_decay" in signature(optimizer).parameters:
        options["optimizer__weight_decay"] = estimator.weight_decay
    if optimizer in OPTIMIZERS.values():
        options["optimizer__fused"] = True
    adversary = module.discriminator is not None
    if adversary and optimizer in (torch.optim.AdamW, torch.optim.Adam):
        # Momentum makes a game of two circle around its equilibrium (Radford et al., 2016).
        options["optimizer__betas"] = (0.5, 0.999)
    groups = param_groups(
        len(module.body.blocks),
        estimator.lr,
        estimator.layer_decay,
        adversary,
    )
    if groups:
        options["optimizer__param_groups"] = groups
    weight = next(module.head.parameters())
    own: dict[str, Any] = {
        "objective": objective,
        "order_seed": seed,
        "autocast": autocast_dtype(estimator.precision, weight.device, weight.dtype),
        "criterion": nn.Identity,
        "optimizer": optimizer,
        "lr": estimator.lr,
        "max_epochs": estimator.max_epochs,
        "batch_size": estimator.batch_size,
        "callbacks": callbacks or [],
        "train_split": train_split,
        "device": None,
        "verbose": int(estimator.verbose),
    }
    given = estimator.net_params or {}
    if clash := sorted(own.keys() & given.keys()):
        raise ValueError(
            f"net_params holds {', '.join(map(repr, clash))}, which {type(estimator).__name__} "
            "sets by parameters of its own; leave it out."
        )
    return TransferNet(module, **own, **{**options, **given}).initialize()


def train(
    estimator: Any,
    module: TransferModule,
    data: Data,
    objective: Objective,
    *,
    n_frozen: int,
    seed: int,
    device: torch.device,
    continued: bool = False,
) -> TransferNet:
    """Train `module` on `data` and return the net that holds it.

    What was trained before keeps the statistics it standardises with: the whole network if
    it is `continued`, the input if the body is that of a fitted classifier.
    """
    module.to(device)
    module.freeze(n_frozen)
    if not continued and not module.scales_input_as_given:
        set_input_scaler(module, data)
    depth = n_frozen if estimator.cache or estimator.memory is not None else 0
    units = units_of(module, data.rows, depth, device, estimator.memory)
    dtype = next(module.head.parameters()).dtype
    weight = data.weight / data.weight[data.source].mean()
    rows = RowSet(
        units,
        torch.as_tensor(np.where(data.source, data.y, 0), device=device),
        torch.as_tensor(weight, device=device, dtype=dtype),
        torch.as_tensor(data.source, device=device),
        depth,
    )
    # Of random weights, batch normalisation makes something else in training than is measured.
    if not continued and not (estimator.weights is None and _has_batch_statistics(module)):
        set_embedding_scaler(module, rows)
    callbacks: list[Any] = [Reseed(seed)]
    train_split = None
    if estimator.unfreeze_every is not None:
        callbacks.append(UnfreezeBlocks(estimator.unfreeze_every, n_frozen))
    if estimator.early_stopping:
        index, held_out = split_rows(data, estimator.validation_fraction, seed)
        train_split = predefined_split(rows.take(torch.as_tensor(held_out, device=device)))
        rows = rows.take(torch.as_tensor(index, device=device))
        callbacks.append(_early_stopping(estimator))
    callbacks += deepcopy(estimator.callbacks or [])
    net = make_net(
        estimator, module, objective, seed=seed, callbacks=callbacks, train_split=train_split
    )
    net.notify("on_train_begin", X=rows, y=None)
    try:
        net.fit_loop(rows)
    except KeyboardInterrupt:
        # Early stopping raises it too; net.fit would swallow the user's as well.
        if not stopped_early(net):
            raise
    net.notify("on_train_end", X=rows, y=None)
    module.eval()
    return net


def stopped_early(net: TransferNet) -> bool:
    """Whether a callback has run out of patience."""
    return any(
        isinstance(callback, EarlyStopping) and callback.misses_ >= callback.patience
        for _, callback in net.callbacks_
    )


def _early_stopping(estimator: Any) -> EarlyStopping:
    return EarlyStopping(
        monitor="valid_loss",
        patience=estimator.n_iter_no_change,
        threshold=0,
        load_best=True,
        sink=print if estimator.verbose else noop,
    )
