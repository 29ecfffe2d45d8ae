"""
Ways of fine-tuning YAMNet
==========================

*Which lever is worth it on few clips?* ESC-10, its own five folds::

    python examples/03_fine_tuning/levers_esc10.py --output docs/benchmarks/levers.md

Every method is trained on four folds (320 clips) and tested on the fifth, with the same epochs and
rates, which were fixed beforehand. Data and weights are looked for in ``$SKTL_HOME``.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np

from sktl import FineTunedClassifier
from sktl.datasets import load_esc10

SOLVED = {"head_epochs": "solve"}
METHODS = {
    "from scratch": {"weights": None, "lr": 1e-3},
    "linear probe": {"frozen_layers": "all"},
    "whole network, random head": {},
    "whole network after the probe (LP-FT)": SOLVED,
    "the same, layer decay 0.8": {**SOLVED, "layer_decay": 0.8},
    "the same, upper half alone": {**SOLVED, "frozen_layers": 7},
    "the same, unfreezing one block an epoch": {**SOLVED, "unfreeze_every": 1},
    "the same, L2-SP": {**SOLVED, "l2_sp": 0.01},
    "the same, averaged weights": {**SOLVED, "average_epochs": 3},
    "the same, SpecAugment": {**SOLVED, "spec_augment": True},
    "the same, mixup": {**SOLVED, "mixup": 0.2},
}
WHAT = """Accuracy on ESC-10, mean ± standard deviation over its five folds (80 test clips each), of
YAMNet fine-tuned with {epochs} epochs, a rate of 1e-4 that falls to zero along a cosine (1e-3 from
scratch), batches of 32 clips, one seed; the settings were fixed before any was tested. Made by
`examples/03_fine_tuning/levers_esc10.py`."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Ways of fine-tuning YAMNet, on ESC-10.")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--folds", type=int, default=5, help="how many of the five")
    parser.add_argument("--clips", type=int, help="per class and fold; all without it")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--output", type=Path, help="file for the table")
    options = parser.parse_args()
    data = load_esc10()
    keep = _first_of_each(data.target, data.groups, options.clips)
    paths, y, fold = np.array(data.data, dtype=object)[keep], data.target[keep], data.groups[keep]
    lines = ["| method | accuracy | minutes a fold |", "| :-- | --: | --: |"]
    print("\n".join(lines))
    for name in options.methods:
        scores, minutes = [], []
        for test in np.unique(fold)[: options.folds]:
            start = time.perf_counter()
            scores.append(_accuracy(METHODS[name], options.epochs, paths, y, fold == test))
            minutes.append((time.perf_counter() - start) / 60)
        spread = f"{np.mean(scores):.3f} ± {np.std(scores):.3f}"
        lines.append(f"| {name} | {spread} | {np.median(minutes):.1f} |")
        print(lines[-1], flush=True)
    if options.output:
        text = WHAT.format(epochs=options.epochs)
        options.output.write_text("\n".join(["# Ways of fine-tuning", "", text, "", *lines, ""]))


def _accuracy(
    method: dict, epochs: int, paths: np.ndarray, y: np.ndarray, test: np.ndarray
) -> float:
    settings = {"lr": 1e-4, "lr_schedule": "cosine", "max_epochs": epochs, "batch_size": 32}
    estimator = FineTunedClassifier("yamnet", random_state=0, n_jobs=2, **{**settings, **method})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(list(paths[~test]), y[~test])
    return estimator.score(list(paths[test]), y[test])


def _first_of_each(y: np.ndarray, fold: np.ndarray, count: int | None) -> np.ndarray:
    if count is None:
        return np.arange(len(y))
    cells = [np.flatnonzero((y == a) & (fold == b)) for a in np.unique(y) for b in np.unique(fold)]
    return np.sort(np.concatenate([cell[:count] for cell in cells]))


if __name__ == "__main__":
    main()
