"""What parameters of network classifiers may be, alone and together."""

from numbers import Integral, Real
from typing import Any

from torch import nn

from .._validation import Interval, StrOptions
from ..backbones import Backbone
from ._averaging import check_average_epochs
from ._checkpoint import check_folder
from ._schedules import RATE_SCHEDULES

__all__ = ["CONSTRAINTS", "check_together", "input_augmentations", "learning_rate"]

NOT_NEGATIVE = [Interval(Real, 0, None, closed="left")]
COUNT = [Interval(Integral, 1, None, closed="left")]
COUNT_OR_NONE = [*COUNT, None]
EPOCHS = [Interval(Integral, 0, None, closed="left")]

CONSTRAINTS: dict[str, Any] = {
    "backbone": "no_validation",
    "weights": "no_validation",
    "frozen_layers": [Integral, StrOptions({"all"}), list, tuple],
    "head": [StrOptions({"linear", "mlp", "cosine"}), nn.Module, callable],
    "layer_decay": [Interval(Real, 0, 1, closed="right")],
    "unfreeze_every": COUNT_OR_NONE,
    "head_epochs": [*EPOCHS, StrOptions({"auto", "solve"})],
    "l2_sp": NOT_NEGATIVE,
    "batch_norm": [StrOptions({"auto", "frozen", "update", "adapt"})],
    "lora": COUNT_OR_NONE,
    "label_smoothing": [Interval(Real, 0, 1, closed="left")],
    "mixup": NOT_NEGATIVE,
    "spec_augment": ["boolean", dict],
    "augment": [callable, None],
    "cache": ["boolean"],
    "memory": "no_validation",
    "lr": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
    "lr_schedule": [StrOptions(set(RATE_SCHEDULES))],
    "warmup_epochs": EPOCHS,
    "max_epochs": COUNT,
    "batch_size": COUNT,
    "optimizer": [StrOptions({"auto", "lbfgs", "adamw", "adam", "sgd"}), callable],
    "weight_decay": NOT_NEGATIVE,
    "average_epochs": EPOCHS,
    "class_weight": [dict, StrOptions({"balanced"}), None],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": COUNT,
    "warm_start": ["boolean"],
    "checkpoint": "no_validation",
    "device": "no_validation",
    "precision": [StrOptions({"auto", "32", "bf16"})],
    "callbacks": [list, None],
    "net_params": [dict, None],
    "n_jobs": [Integral, None],
    "verbose": ["verbose"],
    "random_state": ["random_state"],
}


def input_augmentations(estimator: Any) -> list[str]:
    """Parameters that are on and change the input of the network in every epoch."""
    return [name for name in ("mixup", "spec_augment", "augment") if getattr(estimator, name)]


def learning_rate(estimator: Any, body: Backbone) -> float:
    """Rate of the head: as given, or else by whether the body has learned before."""
    if estimator.lr != "auto":
        return float(estimator.lr)
    if not body.pretrained:
        return 1e-3
    return 1e-4 if estimator.lora is not None else body.tuning_rate


def check_together(estimator: Any) -> None:
    """Refuse parameters that contradict each other."""
    e = estimator
    for name in ("head_epochs", "warmup_epochs"):
        value = getattr(e, name)
        if not isinstance(value, str) and value >= e.max_epochs and value > 0:
            raise ValueError(
                f"{name}={value} leaves none of max_epochs={e.max_epochs} epochs; give fewer."
            )
    if e.head_epochs == "solve" and not (isinstance(e.head, str) and e.head == "linear"):
        raise ValueError(
            f"head_epochs='solve' needs a linear head, but head={e.head!r}; give head='linear' or "
            "a number of epochs."
        )
    if e.lr_schedule == "one_cycle" and e.warmup_epochs:
        raise ValueError(
            f"warmup_epochs={e.warmup_epochs}, but lr_schedule='one_cycle' rises by itself; "
            "give warmup_epochs=0 or lr_schedule='cosine'."
        )
    check_average_epochs(e)
    if e.checkpoint is not None and e.random_state is None:
        raise ValueError(
            "checkpoint needs a random_state that is not None, from which the rest of a fit is "
            "drawn again; give an integer."
        )
    if e.checkpoint is not None:
        check_folder(e.checkpoint)
