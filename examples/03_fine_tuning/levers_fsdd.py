"""
One lever at a time
===================

*What does each way of fine-tuning add to the default?* Spoken digits, five clips each::

    python examples/03_fine_tuning/levers_fsdd.py --output docs/benchmarks/levers_fsdd.md

Some draws on FSDD: the six speakers are split into three and three; five clips per digit of the
first three train, all clips of the other three test. One parameter differs from the default at a
time, by a value that its paper or common practice suggests; none was chosen by these scores. Data
are looked for in ``$SKTL_HOME``.
"""

import argparse
import random
from pathlib import Path

import numpy as np

from sktl import FineTunedClassifier
from sktl.datasets import fetch_fsdd

EQUAL = [5] * 10
UNEQUAL = [9] * 5 + [1] * 5


def noisy(samples, sample_rate):
    """White noise at 10 to 30 dB, at another loudness."""
    level = 10 ** (-random.uniform(10, 30) / 20) * np.std(samples)
    noise = np.random.default_rng(random.getrandbits(32)).normal(0, level, len(samples))
    return random.uniform(0.5, 1.5) * (samples + noise)


LEVERS = {
    "default": {},
    "linear probe": {"frozen_layers": "all"},
    "from scratch": {"weights": None},
    "random head": {"head_epochs": 0},
    "random head, trained alone for ten epochs": {"head_epochs": 10},
    "three blocks frozen": {"frozen_layers": 3},
    "all blocks but the last two frozen": {"frozen_layers": -2},
    "only normalisation learns": {"frozen_layers": ["*conv*", "*score*", "*linear*"]},
    "layer decay 0.8": {"layer_decay": 0.8},
    "one more block every four epochs": {"unfreeze_every": 4},
    "hidden layer in the head": {"head": "mlp"},
    "cosine head": {"head": "cosine"},
    "ten times the rate": {"lr": 1e-3},
    "cosine schedule": {"lr_schedule": "cosine"},
    "one cycle, ten times the rate": {"lr_schedule": "one_cycle", "lr": 1e-3},
    "warm-up of five epochs": {"warmup_epochs": 5},
    "L2-SP 0.1": {"l2_sp": 0.1},
    "mean of the last ten epochs": {"average_epochs": 10},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.2},
    "batch statistics updated": {"batch_norm": "update"},
    "batch statistics of the target speakers": {"batch_norm": "adapt"},
    "mixup 0.2": {"mixup": 0.2},
    "SpecAugment": {"spec_augment": True},
    "noise and loudness": {"augment": noisy},
}
WEIGHTS = {"default": {}, "classes weighed alike": {"class_weight": "balanced"}}
WHAT = """Accuracy on FSDD of `FineTunedClassifier("speech-mini")` with one parameter changed: five
clips per digit from three speakers train it, all 1,500 clips of the other three test it. Mean over
{draws} draws of speakers and clips, and the mean ± standard error of the differences to the default
in the same draws. Values were fixed beforehand; `lora`, which needs a transformer, has a table of
its own. Made by `examples/03_fine_tuning/levers_fsdd.py`."""
OF_WEIGHTS = "Nine clips of each of the digits 0 to 4, one of each of the others:"


def main() -> None:
    parser = argparse.ArgumentParser(description="Levers of fine-tuning, on FSDD.")
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--levers", nargs="*", choices=LEVERS, default=list(LEVERS))
    parser.add_argument("--output", type=Path, help="file for the table")
    options = parser.parse_args()
    data = fetch_fsdd(download_if_missing=False)
    lines = table({name: LEVERS[name] for name in options.levers}, data, EQUAL, options.draws)
    print(OF_WEIGHTS)
    weights = table(WEIGHTS, data, UNEQUAL, options.draws)
    if options.output:
        text = WHAT.format(draws=options.draws)
        parts = ["# One lever at a time", text, "\n".join(lines), OF_WEIGHTS, "\n".join(weights)]
        options.output.write_text("\n\n".join(parts) + "\n")


def table(levers, data, shots, draws):
    """Lines of a table; the first lever is what the others are held against."""
    drawn = [draw_clips(data, shots, seed) for seed in range(draws)]
    lines = ["| what is changed | accuracy | difference |", "| :-- | --: | --: |"]
    print("\n".join(lines))
    default = None
    for name, settings in levers.items():
        scores = np.array([accuracy(settings, data, *draw) for draw in drawn])
        default = scores if default is None else default
        change = scores - default
        error = change.std(ddof=1) / len(change) ** 0.5
        given = ", ".join(f"`{key}={told(value)}`" for key, value in settings.items())
        what = f"{name}: {given}" if given else name
        lines.append(f"| {what} | {scores.mean():.3f} | {change.mean():+.3f} ± {error:.3f} |")
        print(lines[-1], flush=True)
    return lines


def told(value):
    return getattr(value, "__name__", repr(value))


def draw_clips(data, shots, seed):
    """Training rows and test rows, speakers disjoint."""
    rng = np.random.default_rng(seed)
    known = rng.choice(np.unique(data.speaker), 3, replace=False)
    inside = np.isin(data.speaker, known)
    rows = [rng.permutation(np.flatnonzero(inside & (data.target == d))) for d in range(10)]
    train = [order[:count] for order, count in zip(rows, shots, strict=True)]
    return np.concatenate(train), np.flatnonzero(~inside)


def accuracy(settings, data, train, test):
    paths, y = np.array(data.paths, dtype=object), data.target
    model = FineTunedClassifier("speech-mini", random_state=0, memory=":memory:", **settings)
    rows, given = train, {}
    if settings.get("batch_norm") == "adapt":  # unlabelled clips of the other speakers
        rows = np.concatenate([train, test[::5]])
        given["sample_domain"] = np.where(np.isin(rows, train), 0, -1)
    model.fit(list(paths[rows]), y[rows], **given)
    return model.score(list(paths[test]), y[test])


if __name__ == "__main__":
    main()
