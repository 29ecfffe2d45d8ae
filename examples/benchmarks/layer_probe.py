"""What each block of a network knows of a task: logistic regression on the mean of its frames.

Ten takes of every digit by every speaker of FSDD, each speaker left out in turn, and ESC-10 over
its five published folds; each block alone, the last six together, and the embedding of the network.
Data and weights are looked for in ``$SKTL_HOME``. Writes a table (Markdown) and a figure.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktl import PretrainedEmbedding
from sktl.datasets import fetch_fsdd, load_esc10

WHAT = """Accuracy of logistic regression (`C=0.1`, standardised) on the mean over the frames of a
block's output, mean over folds ± standard error. FSDD: ten takes of every digit by each of six
speakers, one speaker left out in turn. ESC-10: its five published folds. Made by
`examples/benchmarks/layer_probe.py`; nothing was chosen by these scores."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="yamnet")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--output", type=Path, help="folder for layers.md and layers.png")
    options = parser.parse_args()
    results = {task: probe(options.backbone, task) for task in options.tasks}
    text = "\n\n".join(table(task, result) for task, result in results.items())
    print(text)
    if options.output:
        figure = "![accuracy by block](layers.png)"
        (options.output / "layers.md").write_text(
            f"# Layers of {options.backbone}\n\n{WHAT}\n\n{figure}\n\n{text}\n"
        )
        draw(results, options.backbone, options.output / "layers.png")


def fsdd():
    data = fetch_fsdd(download_if_missing=False)
    kept = np.flatnonzero(data.take < 10)
    return [data.data[i] for i in kept], data.target[kept], data.speaker[kept]


def esc10():
    data = load_esc10()
    return data.data, data.target, data.groups


TASKS = {"FSDD, speaker left out": fsdd, "ESC-10, five folds": esc10}


def probe(backbone, task):
    """Mean accuracy over folds and its standard error, by kind of row and block."""
    clips, y, groups = TASKS[task]()
    found = {}
    for local in (False, True):
        embedding = PretrainedEmbedding(backbone, layers="all", local=local, n_jobs=2)
        rows = embedding.fit_transform(clips)
        names = embedding.get_feature_names_out()
        blocks = np.array([name.rsplit("_", 1)[0] for name in names])
        for block in np.unique(blocks):
            found[local, block] = score(rows[:, blocks == block], y, groups)
        last = np.unique(blocks)[-6:]
        found[local, "last six together"] = score(rows[:, np.isin(blocks, last)], y, groups)
    found[False, "embedding"] = score(PretrainedEmbedding(backbone).fit_transform(clips), y, groups)
    return found


def score(rows, y, groups):
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    scores = cross_val_score(model, rows, y, groups=groups, cv=LeaveOneGroupOut())
    return scores.mean(), scores.std(ddof=1) / len(scores) ** 0.5


def table(task, found):
    header = f"## {task}\n\n| rows | mean over frequencies | channels at each frequency |\n"
    lines = [header + "| :-- | --: | --: |"]
    for block in dict.fromkeys(block for _, block in found):
        cells = [
            "{:.3f} ± {:.3f}".format(*found[local, block]) if (local, block) in found else "–"
            for local in (False, True)
        ]
        lines.append(f"| {block} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(results, backbone, path):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(results), figsize=(5 * len(results), 3.5), squeeze=False)
    for axis, (task, found) in zip(axes[0], results.items(), strict=True):
        for local, label in ((False, "mean over frequencies"), (True, "each frequency")):
            blocks = [block for kind, block in found if kind == local and "_b" in block]
            means, errors = np.array([found[local, block] for block in blocks]).T
            axis.errorbar(range(len(blocks)), means, errors, label=label, capsize=2)
        axis.axhline(found[False, "embedding"][0], color="gray", linestyle=":", label="embedding")
        axis.set(title=task, xlabel=f"block of {backbone}", ylabel="accuracy")
        axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
