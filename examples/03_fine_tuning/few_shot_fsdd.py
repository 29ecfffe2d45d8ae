"""
How many labelled clips does fine-tuning need?
==============================================

*Spoken digits of speakers who were never labelled: from scratch, a linear probe, and the whole
network from its pretrained weights*::

    python examples/03_fine_tuning/few_shot_fsdd.py --output docs/benchmarks

Some draws on FSDD: the six speakers are split into three and three; one, two, five and ten clips
per digit of the first three train, all clips of the other three test. All settings are defaults.
Data are looked for in ``$SKTL_HOME``. Writes a table (Markdown) and a figure.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from sktl import FineTunedClassifier
from sktl.datasets import fetch_fsdd

SHOTS = (1, 2, 5, 10)
METHODS = {
    "from scratch": {"weights": None},
    "linear probe": {"frozen_layers": "all"},
    "whole network": {},
}
WHAT = """Accuracy on FSDD of `FineTunedClassifier("speech-mini")`: N clips per digit from three
speakers train it, all 1,500 clips of the other three test it. Mean ± standard error over
{draws} draws of speakers and clips, the same for all rows, all settings defaults. speech-mini was
trained on synthetic speech without digits. Made by `examples/03_fine_tuning/few_shot_fsdd.py`."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Fine-tuning with few clips, on FSDD.")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--shots", type=int, nargs="+", default=SHOTS)
    parser.add_argument("--output", type=Path, help="folder for few_shot_tuned.md and .png")
    options = parser.parse_args()
    data = fetch_fsdd(download_if_missing=False)
    drawn = [draw_clips(data, seed, options.shots) for seed in range(options.draws)]
    results = {}
    for name, settings in METHODS.items():
        results[name] = np.array([accuracies(settings, data, *draw) for draw in drawn])
        print(line(name, results[name]), flush=True)
    difference = results["whole network"] - results["linear probe"]
    print(line("whole network − linear probe", difference))
    if options.output:
        shots = " | ".join(map(str, options.shots))
        rows = [f"| clips per digit | {shots} |", f"| :-- {'| --: ' * len(options.shots)}|"]
        rows += [line(*item) for item in results.items()]
        rows.append(line("whole network − linear probe", difference))
        parts = ["# Fine-tuning with few clips", WHAT.format(draws=options.draws)]
        parts += ["![accuracy by number of clips](few_shot_tuned.png)", "\n".join(rows)]
        (options.output / "few_shot_tuned.md").write_text("\n\n".join(parts) + "\n")
        picture(results, options.shots, options.output / "few_shot_tuned.png")


def draw_clips(data, seed, shots):
    """Training rows for each number of clips, and test rows, speakers disjoint."""
    rng = np.random.default_rng(seed)
    known = rng.choice(np.unique(data.speaker), 3, replace=False)
    inside = np.isin(data.speaker, known)
    order = [rng.permutation(np.flatnonzero(inside & (data.target == d))) for d in range(10)]
    train = [np.concatenate([rows[:n] for rows in order]) for n in shots]
    return train, np.flatnonzero(~inside)


def accuracies(settings, data, train, test):
    """Accuracy of one draw for each number of clips."""
    paths = np.array(data.paths, dtype=object)
    model = FineTunedClassifier("speech-mini", random_state=0, memory=":memory:", **settings)
    return [
        model.fit(list(paths[rows]), data.target[rows]).score(list(paths[test]), data.target[test])
        for rows in train
    ]


def line(name, values):
    error = values.std(0, ddof=1) / len(values) ** 0.5
    pairs = zip(values.mean(0), error, strict=True)
    return f"| {name} | " + " | ".join(f"{mean:.3f} ± {e:.3f}" for mean, e in pairs) + " |"


def picture(results, shots, path):
    figure, axis = plt.subplots(figsize=(6, 4))
    for name, values in results.items():
        error = values.std(0, ddof=1) / len(values) ** 0.5
        axis.errorbar(shots, values.mean(0), error, label=name, capsize=2)
    axis.axhline(0.1, color="gray", linestyle=":", label="chance")
    axis.set(xscale="log", xlabel="labelled clips per digit", ylabel="accuracy on other speakers")
    axis.set_xticks(shots, labels=shots)
    axis.minorticks_off()
    axis.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
