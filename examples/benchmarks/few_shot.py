"""How many labelled clips does a frozen embedding need? Spoken digits of speakers never labelled.

Ten draws on FSDD: the six speakers are split into three and three; one, two, five and ten clips
per digit of the first three train a logistic regression, which is tested on every clip of the
other three. The same clips and the same classifier for every embedding. Data and weights are
looked for in ``$SKTL_HOME``. Writes a table (Markdown) and a figure.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktl import PretrainedEmbedding
from sktl.datasets import fetch_fsdd
from sktl.features import MFCC

SHOTS = (1, 2, 5, 10)
OURS = "speech-mini"
CANDIDATES = {
    "MFCC, mean and std": [MFCC(sr=8000, n_mfcc=20, n_fft=256, hop_length=80)],
    "speech-mini, random weights": [
        PretrainedEmbedding("speech-mini", weights=None, random_state=seed) for seed in range(3)
    ],
    "YAMNet, embedding": [PretrainedEmbedding("yamnet")],
    "YAMNet, block 4 at each frequency": [PretrainedEmbedding("yamnet", layers=4, local=True)],
    "GE2E": [PretrainedEmbedding("ge2e")],
    OURS: [PretrainedEmbedding("speech-mini")],
}

WHAT = """Accuracy on FSDD of logistic regression (`C=0.1`, standardised) on frozen embeddings: N
clips per digit from three speakers train it, all 1,500 clips of the other three test it. Mean ±
standard error over ten draws of speakers and clips, the same for all rows; the draws share the six
speakers, so the error tells how the draw matters, not how six other people would differ. Random
weights are the mean of three networks. YAMNet's block 4 is its best on this data set, which
favours it ([layers](layers.md)); nothing else was chosen by scores on real speech. speech-mini was
trained on synthetic speech without digits. Made by `examples/benchmarks/few_shot.py`."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--weights", help="another file of speech-mini's weights")
    parser.add_argument("--output", type=Path, help="folder for few_shot.md and few_shot.png")
    options = parser.parse_args()
    if options.weights:
        CANDIDATES[OURS] = [PretrainedEmbedding("speech-mini", weights=options.weights)]
    data = fetch_fsdd(download_if_missing=False)
    drawn = list(draws(data.target, data.speaker, options.draws))
    results = {}
    for name, versions in CANDIDATES.items():
        rows = [version.fit_transform(data.data) for version in versions]
        results[name] = np.mean([accuracies(x, data.target, drawn) for x in rows], axis=0)
        print(line(name, results[name]), flush=True)
    text = "\n\n".join([WHAT, "![accuracy by number of clips](few_shot.png)", tables(results)])
    print(tables(results))
    if options.output:
        (options.output / "few_shot.md").write_text(f"# Few labelled clips\n\n{text}\n")
        draw(results, options.output / "few_shot.png")


def draws(digit, speaker, n_draws):
    """Training rows for each number of clips, and test rows, speakers disjoint."""
    for seed in range(n_draws):
        rng = np.random.default_rng(seed)
        known = rng.choice(np.unique(speaker), 3, replace=False)
        inside = np.isin(speaker, known)
        order = [rng.permutation(np.flatnonzero(inside & (digit == d))) for d in range(10)]
        train = {n: np.concatenate([rows[:n] for rows in order]) for n in SHOTS}
        yield train, np.flatnonzero(~inside)


def accuracies(rows, digit, drawn):
    """Accuracy of each draw and number of clips: (n_draws, n_shots)."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    return np.array(
        [
            [
                model.fit(rows[train[n]], digit[train[n]]).score(rows[test], digit[test])
                for n in SHOTS
            ]
            for train, test in drawn
        ]
    )


def mean_and_error(values):
    return values.mean(0), values.std(0, ddof=1) / len(values) ** 0.5


def line(name, values, form="{:.3f} ± {:.3f}"):
    pairs = zip(*mean_and_error(values), strict=True)
    return f"| {name} | " + " | ".join(form.format(*pair) for pair in pairs) + " |"


def tables(results):
    shots = " | ".join(str(n) for n in SHOTS)
    header = f"| {{}} | {shots} |\n| :-- {'| --: ' * len(SHOTS)}|"
    lines = [header.format("clips per digit"), *(line(*item) for item in results.items())]
    lines += [f"\nLead of {OURS}, draw by draw:\n", header.format("over")]
    for name, values in results.items():
        if name != OURS:
            lines.append(line(name, results[OURS] - values))
    return "\n".join(lines)


def draw(results, path):
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 4))
    for name, values in results.items():
        mean, error = mean_and_error(values)
        axis.errorbar(SHOTS, mean, error, label=name, capsize=2, lw=2.5 if name == OURS else 1.2)
    axis.axhline(0.1, color="gray", linestyle=":", label="chance")
    axis.set(xscale="log", xlabel="labelled clips per digit", ylabel="accuracy on other speakers")
    axis.set_xticks(SHOTS, labels=SHOTS)
    axis.minorticks_off()
    axis.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.02, 0.5))
    figure.tight_layout()
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
