"""What the blocks of a network know of a task, each alone and several as one.

Ten takes of every digit by every speaker of FSDD, each speaker left out in turn, and ESC-10 over
its five published folds. Data and weights are looked for in ``$SKTL_HOME``. Writes a table
(Markdown) and a figure.
"""

import argparse
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from sktl import PretrainedEmbedding
from sktl.datasets import fetch_fsdd, load_esc10
from sktl.embedding import layer_weights

FEW = 3
KINDS = {False: "mean over frequencies", True: "channels at each frequency"}
WHAT = """Accuracy of logistic regression (`C=0.1`, standardised) on the mean over the frames of a
block's output, mean over folds ± standard error. FSDD: ten takes of every digit by each of six
speakers, one speaker left out in turn. ESC-10: its five published folds. Made by
`examples/benchmarks/layer_probe.py`.

Below the blocks, several of them as one row. Nothing was chosen by the scores of this table: the
best block and the best three are those of the highest accuracy in three folds (by speaker, or by
published fold) of the training rows alone, and may differ from one fold to the next. The mean and
the weighted sum are of the blocks of one width, as many as there are; the weights were learned on
the training rows, as `PretrainedEmbedding(fusion="weighted")` does. Their means over the folds are
below the table, where they are not zero."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="yamnet")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, help="folder for layers.md and layers.png")
    options = parser.parse_args()
    results = {task: probe(options.backbone, task, options.n_jobs) for task in options.tasks}
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


def probe(backbone, task, n_jobs):
    """Mean accuracy over folds and its standard error, by kind of row and name of the row.

    And by kind of row, the mean weights of blocks of one width.
    """
    clips, y, groups = TASKS[task]()
    y = np.unique(y, return_inverse=True)[1]
    found, weights = {}, {}
    for local in KINDS:
        embedding = PretrainedEmbedding(backbone, layers="all", local=local, n_jobs=n_jobs)
        rows = embedding.fit_transform(clips)
        names = [name.rsplit("_", 1)[0] for name in embedding.get_feature_names_out()]
        starts = [names.index(name) for name in dict.fromkeys(names)]
        blocks = np.split(rows, starts[1:], axis=1)
        folds = Parallel(n_jobs)(
            delayed(score_fold)(blocks, y, groups, *fold)
            for fold in LeaveOneGroupOut().split(rows, y, groups)
        )
        for name in folds[0][0]:
            found[local, name] = summary([scores[name] for scores, _ in folds])
        weights[local] = {
            name: np.mean([learned[name] for _, learned in folds]) for name in folds[0][1]
        }
    rows = PretrainedEmbedding(backbone, n_jobs=n_jobs).fit_transform(clips)
    found[False, "embedding of the network"] = summary(
        [score(rows, y, *fold) for fold in LeaveOneGroupOut().split(rows, y, groups)]
    )
    return found, weights


def score_fold(blocks, y, groups, train, test):
    """Accuracy on one fold, by name of the row; and weights, by name of the block."""
    with threadpool_limits(1):
        found = {f"b{i:02d}": score(rows, y, train, test) for i, rows in enumerate(blocks)}
        chosen = ranking(blocks, y, groups, train)
        found["best block"] = found[f"b{chosen[0]:02d}"]
        few = np.hstack([blocks[i] for i in sorted(chosen[:FEW])])
        found["best three side by side"] = score(few, y, train, test)
        found["all side by side"] = score(np.hstack(blocks), y, train, test)
        alike = of_one_width(blocks)
        scalers = [StandardScaler().fit(blocks[i][train]) for i in alike]
        scaled = [scaler.transform(blocks[i]) for scaler, i in zip(scalers, alike, strict=True)]
        weights = layer_weights([rows[train] for rows in scaled], y[train])
        found["mean of one width"] = score(np.mean(scaled, axis=0), y, train, test)
        found["weighted sum of one width"] = score(np.tensordot(weights, scaled, 1), y, train, test)
    return found, {f"b{i:02d}": weight for i, weight in zip(alike, weights, strict=True)}


def ranking(blocks, y, groups, train):
    """Blocks, the best first, by folds of the training rows."""
    inner = list(GroupKFold(3).split(train, groups=groups[train]))
    means = [
        np.mean([score(rows, y, train[fit], train[held]) for fit, held in inner]) for rows in blocks
    ]
    return np.argsort(means)[::-1]


def of_one_width(blocks):
    """The longest list of blocks that have as many columns."""
    widths = [rows.shape[1] for rows in blocks]
    common = max(set(widths), key=widths.count)
    return [i for i, width in enumerate(widths) if width == common]


def score(rows, y, train, test):
    """Accuracy of the classifier on `test`, trained on `train`."""
    scaler = StandardScaler().fit(rows[train])
    fit, held = (scaler.transform(rows[index]).astype(float) for index in (train, test))
    # The same classifier on rotated rows, without the directions that no training row has.
    values, vectors = np.linalg.eigh(fit @ fit.T)
    kept = values > 1e-7 * values[-1]
    axes = fit.T @ (vectors[:, kept] / np.sqrt(values[kept]))
    model = LogisticRegression(C=0.1, max_iter=2000).fit(fit @ axes, y[train])
    return model.score(held @ axes, y[test])


def summary(scores):
    return np.mean(scores), np.std(scores, ddof=1) / len(scores) ** 0.5


def table(task, result):
    found, weights = result
    lines = [f"## {task}\n\n| rows | {' | '.join(KINDS.values())} |\n| :-- | --: | --: |"]
    names = list(dict.fromkeys(name for _, name in found))
    for name in sorted(names, key=lambda name: (not is_block(name), names.index(name))):
        cells = [
            "{:.3f} ± {:.3f}".format(*found[local, name]) if (local, name) in found else "–"
            for local in KINDS
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    learned = []
    for local, by_block in weights.items():
        shown = [f"{name} {weight:.2f}" for name, weight in by_block.items() if weight >= 0.005]
        learned.append(f"{KINDS[local]}: {', '.join(shown)}")
    return "\n".join(lines) + "\n\nWeights, " + "; ".join(learned) + "."


def is_block(name):
    return name[0] == "b" and name[1:].isdigit()


def draw(results, backbone, path):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(results), figsize=(7 * len(results), 4.2), squeeze=False)
    for axis, (task, (found, _)) in zip(axes[0], results.items(), strict=True):
        labels = [name for local, name in found if not local]
        for local, color in ((False, "C0"), (True, "C1")):
            rows = [(name, *found[kind, name]) for kind, name in found if kind == local]
            blocks = [row for row in rows if is_block(row[0])]
            axis.errorbar(
                range(len(blocks)), *list(zip(*blocks, strict=True))[1:], color=color, capsize=2
            )
            others = [row for row in rows if not is_block(row[0])]
            places = len(blocks) + 0.5 + np.arange(len(others)) + 0.15 * local
            _, means, errors = zip(*others, strict=True)
            axis.errorbar(
                places, means, errors, fmt="o", color=color, capsize=2, label=KINDS[local]
            )
        n_blocks = sum(map(is_block, labels))
        axis.axvline(n_blocks - 0.25, color="lightgray")
        places = [*range(n_blocks), *(n_blocks + 0.5 + np.arange(len(labels) - n_blocks))]
        axis.set_xticks(places, labels, rotation=40, ha="right", fontsize=8)
        axis.set(title=task, ylabel=f"accuracy, {backbone}")
        axis.grid(axis="y", alpha=0.3)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="upper center", ncols=2)
    figure.tight_layout(rect=(0, 0, 1, 0.93))
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
