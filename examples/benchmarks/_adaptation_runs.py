"""Fits of every method on every task of a test bed, kept in a folder so that none is done twice."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from sklearn.base import clone
from sklearn.model_selection import train_test_split

from sktl import DomainAdaptiveClassifier
from sktl.model_selection import DomainScorer
from sktl.model_selection._outputs import Outputs

SOURCE_ONLY = "source only"

BLIND = (
    "source_accuracy",
    "importance_weighted_accuracy",
    "deep_embedded_validation",
    "proxy_a_distance",
    "prediction_entropy",
    "information_maximization",
    "soft_neighborhood_density",
    "batch_nuclear_norm",
    "class_cluster",
    "mixval",
)
# Weights are 1, but for entropy's: at 1 it outweighs the labels while they are still being learned.
METHODS: dict[str, dict[str, Any]] = {
    SOURCE_ONLY: {},
    "AdaBN": {"batch_norm": "adapt"},
    "entropy": {"lambda_entropy": 0.1},
    "DeepCORAL": {"lambda_coral": 1.0},
    "MK-MMD": {"lambda_mmd": 1.0},
    "JAN": {"lambda_jmmd": 1.0},
    "DANN": {"lambda_adv": 1.0},
    "CDAN+E": {"lambda_adv": 1.0, "conditional": True, "entropy_weighting": True},
    "MDD": {"lambda_mdd": 1.0},
    "MCC": {"lambda_mcc": 1.0},
    "MCC + DANN": {"lambda_mcc": 1.0, "lambda_adv": 1.0},
}
WEIGHTS = (0.1, 1.0)


def _with_weight(method: str, weight: float) -> tuple[str, dict[str, Any]]:
    """Name and parameters of a method whose λ are `weight`; its own name where they are already."""
    usual = METHODS[method]
    given = {k: weight if k.startswith("lambda_") else value for k, value in usual.items()}
    return method if given == usual else f"{method}, λ={weight:g}", given


# For every method the names of its settings, one for each weight; AdaBN and source-only have none.
GRIDS = {
    method: list(dict.fromkeys(_with_weight(method, w)[0] for w in WEIGHTS)) for method in METHODS
}
SETTINGS = dict(_with_weight(method, weight) for method in METHODS for weight in WEIGHTS)


@dataclass(frozen=True)
class Bed:
    """Tasks of one kind: `tasks` has, for each name, X, labels and `sample_domain`."""

    name: str
    network: dict[str, Any]
    tasks: dict[str, tuple[Any, np.ndarray, np.ndarray]]
    leave_out: tuple[str, ...] = ()

    @property
    def methods(self) -> list[str]:
        return [name for name in METHODS if name not in self.leave_out]

    @property
    def settings(self) -> list[str]:
        return [name for method in self.methods for name in GRIDS[method]]


@dataclass(frozen=True)
class Run:
    """One method fitted on one task: rows of the source held out, and the estimator."""

    estimator: DomainAdaptiveClassifier
    fitted: np.ndarray
    seconds: float


def path_of(bed: Bed, task: str, method: str, seed: int, folder: Path) -> Path:
    return folder / f"{bed.name}-{task}-{method.replace(' ', '')}-{seed}.joblib"


def fit(bed: Bed, task: str, method: str, seed: int, folder: Path) -> Run:
    """Train on four fifths of the source and all of the target, labels of the target masked."""
    path = path_of(bed, task, method, seed, folder)
    if path.exists():
        return joblib.load(path)
    X, y, sample_domain = bed.tasks[task]
    fitted = split(y, sample_domain, seed)
    masked = np.where(sample_domain < 0, -1, y)
    # Frozen blocks see every clip once for all methods and tasks.
    memory = str(folder / "frozen")
    estimator = DomainAdaptiveClassifier(random_state=seed, memory=memory, **bed.network)
    estimator = clone(estimator).set_params(**SETTINGS[method])
    torch.set_num_threads(1)
    start = time.perf_counter()
    estimator.fit(take(X, fitted), masked[fitted], sample_domain=sample_domain[fitted])
    run = Run(estimator, fitted, time.perf_counter() - start)
    joblib.dump(run, path.with_suffix(".part"))
    path.with_suffix(".part").rename(path)
    target = sample_domain < 0
    accuracy = np.mean(estimator.predict(take(X, target)) == y[target])
    print(f"{path.stem}: {accuracy:.3f} in {run.seconds:.0f} s", flush=True)
    return run


def score(bed: Bed, task: str, run: Run, path: Path) -> dict[str, float]:
    """Scores on the rows held out and the target, and the accuracy on the target."""
    if path.exists():
        return json.loads(path.read_text())
    X, y, sample_domain = bed.tasks[task]
    rows = ~run.fitted | (sample_domain < 0)
    masked = np.where(sample_domain < 0, -1, y)
    blind = Outputs(run.estimator, take(X, rows), masked[rows], sample_domain[rows])
    found = {name: DomainScorer(name).score_outputs(blind) for name in BLIND}
    found["target_accuracy"] = float(np.mean((blind.predicted == y[rows])[blind.target]))
    path.write_text(json.dumps(found))
    return found


def split(y: np.ndarray, sample_domain: np.ndarray, seed: int) -> np.ndarray:
    """True for rows to train on: all of the target, and four fifths of each class of the source."""
    source = np.flatnonzero(sample_domain >= 0)
    _, out = train_test_split(source, test_size=0.2, stratify=y[source], random_state=seed)
    fitted = np.ones(len(y), bool)
    fitted[out] = False
    return fitted


def take(X: Any, mask: np.ndarray) -> Any:
    if isinstance(X, np.ndarray):
        return X[mask]
    return [X[i] for i in np.flatnonzero(mask)]
