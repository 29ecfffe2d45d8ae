"""
From clean voices to the telephone
==================================

*Labelled recordings of some voices, unlabelled recordings of others over a telephone: how well
can the digits of the second be told, and what does adaptation add?*

The data ship with the package: ten spoken digits, fourteen clean synthetic voices (the source)
and fourteen other voices through a telephone band, noise and a small room (the target). Half of
the target voices are given to the methods, without labels. The other half is heard only in the
final test.
"""

import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import entropy
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktl import (
    CORALTransformer,
    DANNClassifier,
    FineTunedClassifier,
    MMDAligner,
    PretrainedEmbedding,
)
from sktl.datasets import load_voices

began = time.perf_counter()


def say(text):
    print(f"[{time.perf_counter() - began:5.1f} s] {text}", flush=True)


# %%
# Who is heard when
# -----------------
# Voices never cross a border: three source voices and seven target voices are kept for the test.

voices = load_voices()
speaker, y, is_target = voices.speaker, voices.target, voices.sample_domain < 0
source_voices, target_voices = np.unique(speaker[~is_target]), np.unique(speaker[is_target])
train = np.flatnonzero(np.isin(speaker, source_voices[3:]))
adapt = np.flatnonzero(np.isin(speaker, target_voices[::2]))
test_source = np.flatnonzero(np.isin(speaker, source_voices[:3]))
test_target = np.flatnonzero(np.isin(speaker, target_voices[1::2]))


def clips(rows):
    return [voices.data[i] for i in rows]


both = np.concatenate([train, adapt])
X, domain = clips(both), voices.sample_domain[both]
hidden = np.where(domain < 0, -1, y[both])  # no method is given a target label
say(
    f"{len(train)} labelled clean clips, {len(adapt)} unlabelled telephone clips by other voices; "
    "tested on voices never heard."
)

# %%
# The methods
# -----------
# All of them start from the shipped network, "speech-mini", which was pretrained on synthetic
# words (none of them a digit). CORAL recolours its frozen embedding for logistic regression; the
# others train its last blocks. `frozen_layers` blocks keep their weights and are computed once.

network = {"frozen_layers": -2, "max_epochs": 40, "random_state": 0}


def coral():
    embedding = make_pipeline(PretrainedEmbedding(), StandardScaler())
    embedded = embedding.fit_transform(X)
    align = CORALTransformer().fit(embedded, sample_domain=domain)
    source = domain > 0
    moved = align.transform(embedded[source], sample_domain=domain[source])
    classifier = LogisticRegression(C=0.1, max_iter=1000).fit(moved, hidden[source])
    # What comes from the source at prediction time is moved as well.
    return lambda rows: classifier.predict(
        align.transform(embedding.transform(clips(rows)), voices.sample_domain[rows])
    )


def fitted(estimator, *data, **domains):
    return lambda: predictor(estimator.fit(*data, **domains))


def predictor(estimator):
    return lambda rows: estimator.predict(clips(rows))


# %%
# Choosing λ and the number of frozen blocks without target labels
# -----------------------------------------------------------------
# A good classifier is certain about each clip and finds all the classes: the mutual information
# between clip and class. It needs no labels, so the unlabelled voices can be split to choose.


def mutual_information(estimator, X, y):
    probability = estimator.predict_proba(X)
    return entropy(probability.mean(axis=0)) - entropy(probability, axis=1).mean()


held_out = np.isin(speaker[both], target_voices[::2][:3])
search = GridSearchCV(
    DANNClassifier(**network),
    {"lambda_adv": [0.1, 0.3, 1.0], "frozen_layers": [-1, -2, -4]},
    scoring=mutual_information,
    cv=[(np.flatnonzero(~held_out), np.flatnonzero(held_out))],
    n_jobs=2,
)

methods = {
    "source only": fitted(FineTunedClassifier(**network), clips(train), y[train]),
    "CORAL + logistic regression": coral,
    "MMDAligner": fitted(MMDAligner(**network), X, hidden, sample_domain=domain),
    "DANNClassifier": fitted(DANNClassifier(**network), X, hidden, sample_domain=domain),
    "DANNClassifier, grid search": fitted(search, X, hidden, sample_domain=domain),
    "target labelled": fitted(FineTunedClassifier(**network), clips(adapt), y[adapt]),
}

# %%
# One table
# ---------

results = {}
for name, fit in methods.items():
    start = time.perf_counter()
    predict = fit()
    seconds = time.perf_counter() - start
    heard, told = predict(test_target), predict(test_source)
    results[name] = (
        np.mean(told == y[test_source]),
        np.mean(heard == y[test_target]),
        f1_score(y[test_target], heard, average="macro"),
        seconds,
    )
    say(f"{name}: {results[name][1]:.2f} of the telephone test clips right")
    if name.endswith("grid search"):
        say(f"  the search chose {search.best_params_}, without a target label")

header = f"{'method':<30}{'source acc.':>12}{'target acc.':>12}{'macro F1':>10}{'seconds':>9}"
print(f"\n{header}\n{'-' * len(header)}")
for name, (source_accuracy, target_accuracy, f1, seconds) in results.items():
    print(f"{name:<30}{source_accuracy:>12.3f}{target_accuracy:>12.3f}{f1:>10.3f}{seconds:>9.1f}")
print(
    f"\nTested on {len(test_source)} clean clips and {len(test_target)} telephone clips of voices "
    "that no method has heard.\n'source only' never saw the telephone; 'target labelled' was told "
    "the labels of the telephone\nclips that the others had unlabelled: the two ends of the scale."
)

# %%
# One picture
# -----------
# Left: the scale and where each method lies on it. Right: the test clips in the embedding, before
# and after adaptation, colour for the digit, filled for clean and hollow for telephone.


def scatter(ax, estimator, title):
    points = PCA(2).fit_transform(np.concatenate([estimator.transform(clips(r)) for r in shown]))
    for i, rows in enumerate(shown):
        xy = points[: len(shown[0])] if i == 0 else points[len(shown[0]) :]
        colours = plt.cm.tab10(y[rows])
        face = colours if i == 0 else "none"
        ax.scatter(*xy.T, s=26, facecolors=face, edgecolors=colours, linewidths=1.1, alpha=0.85)
    ax.set(title=title, xticks=[], yticks=[])


shown = [test_source, test_target]
say("drawing the picture")
figure, (bars, before, after) = plt.subplots(1, 3, figsize=(15, 4.6), layout="constrained")
names = list(results)[::-1]
bars.barh(names, [results[name][1] for name in names], color="#4c78a8")
for name in names:
    bars.text(results[name][1] + 0.01, name, f"{results[name][1]:.2f}", va="center")
bars.set(xlim=(0, 1.1), title="Digits told right over the telephone, new voices")
bars.spines[["top", "right"]].set_visible(False)
plain = MMDAligner(lambda_mmd=0.0, **network).fit(clips(train), y[train])
adapted = MMDAligner(**network).fit(X, hidden, sample_domain=domain)
scatter(before, plain, "Embedding trained on clean voices")
scatter(after, adapted, "The same with MMDAligner")
handles = [
    plt.Line2D([], [], ls="", marker="o", color="grey", mfc=fill, label=label)
    for label, fill in (("clean", "grey"), ("telephone", "none"))
]
after.legend(handles=handles, loc="lower right")
path = Path("quickstart.png").resolve()
figure.savefig(path, dpi=130)
say(f"done; the picture is {path}")
