"""Fits that are killed at given moments and called again; run by test_checkpoint_killed.py.

Writes what came of each into a folder.
"""

import os
import signal
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sktl import DANNClassifier, FineTunedClassifier
from sktl.backbones import ModuleHandle
from sktl.classifiers import _checkpoint
from sktl.classifiers._net import TransferNet

N_ROWS = 40


def network():
    """Layers of every kind that a state has to hold."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3)]
        return nn.Sequential(*layers, nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 4))


def louder(samples, sample_rate):
    return samples * np.float32(np.random.uniform(0.5, 2.0))  # noqa: NPY002 (seeded for it)


def rows():
    generator = np.random.default_rng(0)
    y = np.arange(N_ROWS) % 2
    return generator.normal(size=(N_ROWS, 6)) + y[:, None], y


def images():
    generator = np.random.default_rng(1)
    y = np.arange(N_ROWS) % 2
    values = generator.normal(size=(N_ROWS, 8, 16)).astype(np.float32)
    values[:, :3] += 2.0 * y[:, None, None]
    return values, y


def clips():
    generator = np.random.default_rng(2)
    lengths = generator.integers(2000, 6000, 8)
    return [0.1 * generator.normal(size=n).astype(np.float32) for n in lengths], np.arange(8) % 2


def domains():
    X, y = rows()
    return X, y, np.where(np.arange(N_ROWS) % 3, 0, -1)


BASE = {"lr": 0.02, "batch_size": 8, "random_state": 3}
OWN = ModuleHandle(network)
STOPS = {"early_stopping": True, "validation_fraction": 0.3}
FITS = {
    "levers": (
        partial(FineTunedClassifier, OWN, max_epochs=6, unfreeze_every=1, head_epochs=1, mixup=0.3),
        {"lr_schedule": "cosine", "warmup_epochs": 1, "layer_decay": 0.8, **STOPS},
        rows,
    ),
    "averaged": (
        partial(FineTunedClassifier, OWN, max_epochs=6, average_epochs=3, unfreeze_every=1),
        {"lr_schedule": "one_cycle", "frozen_layers": ["blocks.0", "*.bias"], "l2_sp": 0.1},
        rows,
    ),
    "images": (
        partial(FineTunedClassifier, "cnn", max_epochs=4, spec_augment=True, mixup=0.2),
        {"head": "mlp", "average_epochs": 2, "label_smoothing": 0.1, "batch_norm": "adapt"},
        images,
    ),
    "clips": (
        partial(FineTunedClassifier, "speech-mini", max_epochs=3, augment=louder),
        {"frozen_layers": -1, "batch_size": 4, "optimizer": "sgd"},
        clips,
    ),
    "stopped": (
        partial(FineTunedClassifier, max_epochs=40, n_iter_no_change=2),
        {"lr": 0.3, "class_weight": "balanced", **STOPS},
        rows,
    ),
    "adapted": (
        partial(DANNClassifier, max_epochs=4, head_epochs=1, lambda_schedule="dann"),
        {"lr_schedule": "cosine", "frozen_layers": 1},
        domains,
    ),
}
# Where to kill: in how many calls of a function, before it does its work. A fit is killed once
# for each, one after the other.
STEP = (TransferNet, "train_step")
BEGIN, END = (TransferNet, "on_epoch_begin"), (TransferNet, "on_epoch_end")
TRAINED = (TransferNet, "on_train_end")
SYNC, REPLACE = (os, "fsync"), (os, "replace")
KILLS = {
    "levers": [(BEGIN, 1), (STEP, 9), (SYNC, 2), (END, 2), (REPLACE, 1), (SYNC, 1), (BEGIN, 3)],
    "averaged": [(END, 4), (STEP, 3), (SYNC, 1), (TRAINED, 1), (REPLACE, 1)],
    "images": [(STEP, 13), (BEGIN, 2), (SYNC, 1)],
    "clips": [(STEP, 5), (END, 1)],
    "stopped": [(END, 3), (TRAINED, 1)],
    "adapted": [(STEP, 7), (REPLACE, 1), (END, 2)],
}


def estimator(name, checkpoint=None):
    make, parameters, _ = FITS[name]
    return make(**{**BASE, **parameters}, checkpoint=checkpoint)


def fit(name, checkpoint=None):
    return estimator(name, checkpoint).fit(*FITS[name][2]())


def die(owner, name, n_calls):
    """Kill the process at the call of a function, after half of a file that is written."""
    function = getattr(owner, name)
    left = n_calls

    def counted(*args, **kwargs):
        nonlocal left
        left -= 1
        if not left:
            if (owner, name) == SYNC:
                os.ftruncate(args[0], os.fstat(args[0]).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    setattr(owner, name, counted)


def killed(name, folder, where, n_calls):
    """Fit in a process that is killed; say whether it was."""
    child = os.fork()
    if child == 0:
        try:
            die(*where, n_calls)
            fit(name, folder)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def result(fitted):
    epochs = [{k: v for k, v in epoch.items() if k != "dur"} for epoch in fitted.history_]
    return {"weights": fitted.net_.module_.state_dict(), "history": epochs, "n": fitted.n_iter_}


def finish(name, whole, folder):
    """Fit to the end with what killed processes left, and once more; `whole` had no checkpoint."""
    kept, n_steps, train_step = folder / name, 0, TransferNet.train_step

    def counted(*args, **kwargs):
        nonlocal n_steps
        n_steps += 1
        return train_step(*args, **kwargs)

    TransferNet.train_step = counted
    resumed = result(fit(name, kept))
    n_resumed, n_steps = n_steps, 0
    read = result(fit(name, kept))
    TransferNet.train_step = train_step
    state = {"whole": whole, "resumed": resumed, "read": read}
    state |= {"n_resumed": n_resumed, "n_read": n_steps}
    state["files"] = [path.name for path in kept.rglob("*")]
    torch.save(state, folder / f"{name}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    assert _checkpoint.os is os
    out = Path(sys.argv[1])
    # What is loaded once is loaded before the first fork; without a GPU, autograd survives it.
    wholes = {name: result(fit(name)) for name in FITS}
    for name in FITS:
        deaths = [killed(name, out / name, *moment) for moment in KILLS[name]]
        assert all(deaths), (name, deaths)
        finish(name, wholes[name], out)
