"""One fit: what is frozen, what is held out, and the net that is trained."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback, EarlyStopping
from skorch.helper import predefined_split
from torch import nn

from ..audio import Clips
from ..backbones import Units, fingerprint
from ..backbones._lora import n_before_adapters
from ..embedding._precision import autocast_dtype
from ._averaging import AverageWeights
from ._batch_norm import adapt_from_source, adapt_statistics, in_batches, updated_layers
from ._batches import RowSet
from ._callbacks import Patience, Reseed, UnfreezeBlocks
from ._checkpoint import Checkpoint, fit_name, restore
from ._data import (
    Data,
    has_batch_statistics,
    row_set,
    set_embedding_scaler,
    set_input_scaler,
    units_of,
)
from ._described import described
from ._mixup import mix_rows
from ._module import TransferModule
from ._net import TransferNet
from ._objective import Objective
from ._param_groups import param_groups
from ._parameters import input_augmentations, learning_rate
from ._probe import fill_head
from ._spec_augment import SpecAugment, spectrogram_axes
from ._split import split_rows
from ._waveform import AugmentedRows, BeginEpoch

__all__ = ["for_one_epoch", "is_solved", "make_net", "train", "train_further"]

# Of a batch of patches on a CPU: what they leave behind stays in the cache until the way back.
UNITS_AT_ONCE = 64

OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}
# Of no effect on the result, or looked at elsewhere.
NOT_IN_NAME = {
    *("memory", "n_jobs", "verbose", "checkpoint", "cache", "device"),
    *("backbone", "weights", "random_state"),  # told by the starting weights and the seed
    "teacher",  # told by what it says
}


def is_solved(estimator: Any, n_frozen: int, n_blocks: int) -> bool:
    """Whether the head alone learns, and its loss is convex.

    Raises
    ------
    ValueError
        For ``optimizer="lbfgs"`` where it is not.
    """
    e = estimator
    if e.optimizer not in ("auto", "lbfgs"):
        return False
    obstacles = {
        "frozen_layers": n_frozen < n_blocks,
        "head": not (isinstance(e.head, str) and e.head == "linear"),
        "early_stopping": e.early_stopping,
        "average_epochs": e.average_epochs > 0,
        "callbacks": bool(e.callbacks),
        "net_params": bool(e.net_params),
        "lora": e.lora is not None,
        **dict.fromkeys(input_augmentations(e), True),
        **{name: True for name in vars(e._objective()) if _is_lambda(e, name)},
        **dict.fromkeys(e._objective().obstacles, True),
    }
    present = [name for name, is_one in obstacles.items() if is_one]
    if present and e.optimizer == "lbfgs":
        name = present[0]
        raise ValueError(
            f"optimizer='lbfgs' solves a linear head on a frozen network, but "
            f"{name}={getattr(e, name)!r}; give frozen_layers='all', head='linear' and no other "
            "way of training, or optimizer='adamw'."
        )
    return not present


def _is_lambda(estimator: Any, name: str) -> bool:
    return name.startswith("lambda_") and bool(getattr(estimator, name, 0))


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
    name = "adamw" if estimator.optimizer in ("auto", "lbfgs") else estimator.optimizer
    optimizer: Any = OPTIMIZERS.get(name, name)
    options: dict[str, Any] = {}
    if "weight_decay" in signature(optimizer).parameters:
        options["optimizer__weight_decay"] = estimator.weight_decay
    if optimizer in OPTIMIZERS.values():
        options["optimizer__fused"] = True
    adversaries = [name for name in ("discriminator", "rival") if getattr(module, name) is not None]
    if adversaries and optimizer in (torch.optim.AdamW, torch.optim.Adam):
        # Momentum makes a game of two circle around its equilibrium (Radford et al., 2016).
        options["optimizer__betas"] = (0.5, 0.999)
    rate = learning_rate(estimator, module.body)
    groups = param_groups(len(module.body.blocks), rate, estimator.layer_decay, adversaries)
    if "optimizer__weight_decay" in options and hasattr(module.head, "log_variances"):
        groups.append(("head.log_variances", {"weight_decay": 0.0}))
    if groups:
        options["optimizer__param_groups"] = groups
    weight = next(module.head.parameters())
    own: dict[str, Any] = {
        "objective": objective,
        "order_seed": seed,
        "autocast": autocast_dtype(estimator.precision, weight.device, weight.dtype),
        "lr_schedule": estimator.lr_schedule,
        "warmup_epochs": estimator.warmup_epochs,
        "units_at_once": _units_at_once(module),
        "changes": _changes(estimator, module),
        "criterion": nn.Identity,
        "optimizer": optimizer,
        "lr": rate,
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


def _units_at_once(module: TransferModule) -> int | None:
    """The same however much is cached; None where rows have to meet in one pass, or may."""
    on_cpu = next(module.head.parameters()).device.type == "cpu"
    learns = module.n_frozen < len(module.body.blocks)
    return UNITS_AT_ONCE if on_cpu and learns and not updated_layers(module) else None


def _changes(estimator: Any, module: TransferModule) -> list[Callable[[RowSet], RowSet]]:
    """What is done to each batch before a step."""
    changes: list[Callable[[RowSet], RowSet]] = []
    settings = SpecAugment.of(estimator.spec_augment)
    if settings is not None:
        changes.append(partial(_masked, settings=settings, module=module))
    if estimator.mixup:
        changes.append(partial(_mixed, alpha=estimator.mixup))
    return changes


def _masked(batch: RowSet, settings: SpecAugment, module: TransferModule) -> RowSet:
    axes = spectrogram_axes(module.body)
    assert axes is not None
    values = settings(batch.units.values, axes, module.input_scaler)
    return batch.with_units(Units(values, batch.units.offsets))


def _mixed(batch: RowSet, alpha: float) -> RowSet:
    mixed, mix = mix_rows(batch, alpha)
    mixed.mix = mix
    return mixed


def train(
    estimator: Any,
    module: TransferModule,
    data: Data,
    objective: Objective,
    *,
    n_frozen: int,
    frozen_names: tuple[str, ...] = (),
    seed: int,
    device: torch.device,
    continued: bool = False,
    n_epochs: int | None = None,
) -> TransferNet:
    """Train `module` on `data` for some epochs and return the net that holds it.

    What was trained before keeps the statistics it standardises with: the whole network if
    it is `continued`, the input if the body is that of a fitted classifier.
    """
    module.to(device)
    n_frozen = max(n_frozen, n_before_adapters(module.body))
    module.freeze(n_frozen, frozen_names)
    trained = data if objective.takes_target else data.take(np.flatnonzero(data.source))
    if estimator.batch_norm == "adapt" and (~data.source).sum() == 1:
        _adapt(
            estimator, deepcopy(module), data
        )  # may be too little, which is told before training
    split = None
    if estimator.early_stopping:
        split = split_rows(trained, estimator.validation_fraction, seed)
    if not continued and not module.scales_input_as_given:
        set_input_scaler(module, trained)
    cached = estimator.cache or estimator.memory is not None
    depth = module.frozen_depth if cached and not input_augmentations(estimator) else 0
    rows = row_set(module, trained, depth, device, estimator.memory)
    # Of random weights, batch normalisation makes something else in training than is measured.
    if not continued and not (estimator.weights is None and has_batch_statistics(module)):
        set_embedding_scaler(module, rows, trained.rows, estimator.memory)
    if is_solved(estimator, n_frozen, len(module.body.blocks)):
        net = _solve(estimator, module, objective, rows, seed)
    else:
        solved = not continued and _begins_solved(estimator, module, objective)
        parts = (rows, trained, split)
        net = _fit(estimator, module, objective, *parts, seed, n_epochs, solved)
    module.eval()
    _adapt(estimator, module, data)
    return net


def _adapt(estimator: Any, module: TransferModule, data: Data) -> None:
    """Statistics of batch normalisation on the target, if there is one."""
    if estimator.batch_norm == "adapt" and not data.source.all():
        sides = [
            in_batches(units_of(module, data.take(np.flatnonzero(side)).rows, 0))
            for side in (data.source, ~data.source)
        ]
        adapt_from_source(module, *sides)


def _fit(
    estimator: Any,
    module: TransferModule,
    objective: Objective,
    rows: RowSet,
    data: Data,
    split: tuple[np.ndarray, np.ndarray] | None,
    seed: int,
    n_epochs: int | None,
    solved: bool,
) -> TransferNet:
    """Train by epochs, from the head as it is or `solved`."""
    train_split, settings = None, None
    if estimator.checkpoint is not None:
        settings = _settings(estimator, module, seed)
        path = Path(estimator.checkpoint) / f"{fit_name(settings, rows, split or ())}.ckpt"
    if split is not None:
        index, held_out = (torch.as_tensor(part, device=rows.y.device) for part in split)
        train_split = predefined_split(rows.take(held_out))
        rows, data = rows.take(index), data.take(split[0])
    if solved:
        smoothing, factors = objective.label_smoothing, objective.factors
        fill_head(module, rows, estimator.weight_decay, smoothing, factors=factors)
    if estimator.augment is not None:
        assert isinstance(data.rows, Clips)
        rows = AugmentedRows(rows, data.rows, module.body, estimator.augment, seed)
    callbacks = _callbacks(estimator, module, rows, seed)
    if settings is not None:
        callbacks.append(Checkpoint(path))
    net = make_net(
        estimator, module, objective, seed=seed, callbacks=callbacks, train_split=train_split
    )
    net.notify("on_train_begin", X=rows, y=None)
    is_finished = settings is not None and restore(net, path)
    try:
        if not is_finished:
            net.fit_loop(rows, epochs=n_epochs or estimator.max_epochs - len(net.history))
    except KeyboardInterrupt:
        # Early stopping raises it too; net.fit would swallow the user's as well.
        if not stopped_early(net):
            raise
    if not is_finished:
        net.notify("on_train_end", X=rows, y=None)
    return net


def _begins_solved(estimator: Any, module: TransferModule, objective: Objective) -> bool:
    """Whether training begins with the best linear head on the starting weights."""
    if estimator.head_epochs != "auto":
        return bool(estimator.head_epochs == "solve")
    is_linear = isinstance(estimator.head, str) and estimator.head == "linear"
    return module.body.pretrained and is_linear and not objective.obstacles


def for_one_epoch(estimator: Any) -> Any:
    """A copy of the estimator without what goes over several epochs."""
    once = object.__new__(type(estimator))  # copy() would build the net again
    once.__dict__.update(estimator.__dict__)
    once.optimizer = "adamw" if estimator.optimizer in ("auto", "lbfgs") else estimator.optimizer
    once.early_stopping = once.warm_start = False
    once.unfreeze_every = once.checkpoint = None
    once.head_epochs = once.warmup_epochs = once.average_epochs = 0
    once.lr_schedule = "constant"
    return once


def train_further(
    estimator: Any, net: TransferNet, data: Data, objective: Objective, device: torch.device
) -> TransferNet:
    """Train what a net holds for one epoch more, on these rows; return the net that did it."""
    module, seed = net.module_, net.order_seed
    trained = data if objective.takes_target else data.take(np.flatnonzero(data.source))
    cached = estimator.cache or estimator.memory is not None
    depth = module.frozen_depth if cached and not input_augmentations(estimator) else 0
    rows = row_set(module, trained, depth, device, estimator.memory)
    if estimator.augment is not None:
        assert isinstance(trained.rows, Clips)
        rows = AugmentedRows(rows, trained.rows, module.body, estimator.augment, seed)
    callbacks = _callbacks(estimator, module, rows, seed)
    further = make_net(estimator, module, objective, seed=seed, callbacks=callbacks)
    further.history = net.history
    further.start_ = net.start_ or further.start_
    if type(further.optimizer_) is type(net.optimizer_):
        further.optimizer_.state.update(net.optimizer_.state)
    further.notify("on_train_begin", X=rows, y=None)
    further.fit_loop(rows, epochs=1)
    further.notify("on_train_end", X=rows, y=None)
    module.eval()
    _adapt(estimator, module, data)
    return further


def _callbacks(estimator: Any, module: TransferModule, rows: RowSet, seed: int) -> list[Callback]:
    """Ours, and the user's; those that freeze come before those that keep weights."""
    callbacks: list[Any] = [Reseed(seed)]
    if estimator.augment is not None:
        callbacks.append(BeginEpoch())
    head_epochs = 0 if isinstance(estimator.head_epochs, str) else estimator.head_epochs
    if estimator.unfreeze_every is not None or head_epochs:
        every, lowest = estimator.unfreeze_every, module.n_frozen
        callbacks.append(UnfreezeBlocks(every, lowest, head_epochs))
    if estimator.early_stopping:
        callbacks.append(Patience(estimator.n_iter_no_change, bool(estimator.verbose)))
    callbacks += deepcopy(estimator.callbacks or [])
    if estimator.average_epochs:
        again = partial(_estimate_again, rows=rows)
        callbacks.append(AverageWeights(estimator.average_epochs, again))
    return callbacks


def _estimate_again(net: TransferNet, rows: RowSet) -> None:
    """Statistics of batch normalisation that belonged to other weights."""
    if layers := updated_layers(net.module_):
        index = torch.arange(len(rows), device=rows.y.device)
        parts = in_batches(rows.take(index).units)
        adapt_statistics(net.module_, parts, start=rows.start, layers=layers)


def _settings(estimator: Any, module: TransferModule, seed: int) -> str:
    """What the result of a fit depends on besides its rows."""
    given = estimator.get_params(deep=False)
    parameters = [f"{n}={described(given[n])}" for n in sorted(given) if n not in NOT_IN_NAME]
    start = [str(seed), f"pretrained={module.body.pretrained}", fingerprint(module)]
    return " ".join([type(estimator).__name__, *parameters, *start])


def _solve(
    estimator: Any, module: TransferModule, objective: Objective, rows: RowSet, seed: int
) -> TransferNet:
    """A net whose head was solved instead of trained."""
    smoothing, start = objective.label_smoothing, estimator.warm_start
    loss, n_iterations = fill_head(
        module, rows, estimator.weight_decay, smoothing, start, objective.factors
    )
    net = make_net(estimator, module, objective, seed=seed)
    net.history.new_epoch()
    for name, value in {"epoch": 1, "train_loss": loss, "n_iterations": n_iterations}.items():
        net.history.record(name, value)
    net.history.record("n_frozen", module.n_frozen)
    return net


def stopped_early(net: TransferNet) -> bool:
    """Whether a callback has run out of patience."""
    return any(
        isinstance(callback, EarlyStopping) and callback.misses_ >= callback.patience
        for _, callback in net.callbacks_
    )
