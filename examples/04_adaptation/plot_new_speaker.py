"""
A speaker nobody has labelled
=============================

*Five speakers are labelled, the sixth is new: can his own recordings, without labels, help to
understand him?*

Real speech: the Free Spoken Digit Dataset, six speakers at 8 kHz. Each speaker in turn is the
unlabelled target and the other five are the labelled source. Every method trains the last blocks
of "speech-mini"; CORAL moves the frozen embedding and leaves the rest to logistic regression. The
settings are the defaults or were fixed beforehand: nothing is chosen by looking at target labels,
which are used for the final table alone.

The target speaker's clips are there, unlabelled, while the adaptive methods train (the
transductive setting of the papers). The whole table takes several minutes; ``--takes 10`` uses a
fifth of the recordings.
"""

import argparse
import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from sktl import (
    CORALTransformer,
    DANNClassifier,
    FineTunedClassifier,
    MMDAligner,
    PretrainedEmbedding,
)
from sktl.datasets import fetch_fsdd

parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
parser.add_argument("--takes", type=int, default=50, help="recordings per digit and speaker")
options, _ = parser.parse_known_args()

fsdd = fetch_fsdd()
rows = np.flatnonzero(fsdd.take < options.takes)
paths = [fsdd.paths[i] for i in rows]
y, speaker = fsdd.target[rows], fsdd.speaker[rows]
network = {"frozen_layers": -2, "max_epochs": 20, "random_state": 0}

# %%
# Methods: each is given labels of the source alone, and returns predictions for the target
# ------------------------------------------------------------------------------------------

embedded = PretrainedEmbedding(n_jobs=2).fit_transform(paths)


def coral(labels, domain):
    source = domain > 0
    scaled = StandardScaler().fit(embedded[source]).transform(embedded)
    moved = CORALTransformer().fit_transform(scaled, sample_domain=domain)
    classifier = LogisticRegression(C=0.1, max_iter=2000).fit(moved[source], labels[source])
    return classifier.predict(moved[~source])


def source_only(labels, domain):
    return train(FineTunedClassifier(**network), labels, domain)


def mmd(labels, domain):
    return train(MMDAligner(**network), labels, domain)


def dann(labels, domain):
    return train(DANNClassifier(**network), labels, domain)


def train(estimator, labels, domain):
    estimator.fit(paths, labels, sample_domain=domain)
    return estimator.predict([paths[i] for i in np.flatnonzero(domain < 0)])


methods = {"source only": source_only, "CORAL": coral, "MMD": mmd, "DANN": dann}

# %%
# One speaker after another
# -------------------------

speakers = np.unique(speaker)
accuracy = np.zeros((len(methods), len(speakers)))
print(f"{len(paths)} clips; accuracy on the unlabelled speaker\n")
print(f"{'speaker':<12}" + "".join(f"{name:>13}" for name in methods) + f"{'seconds':>9}")
for j, target in enumerate(speakers):
    start = time.perf_counter()
    domain = np.where(speaker == target, -1, 1)
    hidden = np.where(domain < 0, -1, y)
    for i, method in enumerate(methods.values()):
        accuracy[i, j] = np.mean(method(hidden, domain) == y[domain < 0])
    row = "".join(f"{value:>13.3f}" for value in accuracy[:, j])
    print(f"{target:<12}{row}{time.perf_counter() - start:>9.0f}", flush=True)
print(f"{'mean':<12}" + "".join(f"{value:>13.3f}" for value in accuracy.mean(axis=1)))

# %%
# One picture
# -----------

figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
width = 0.8 / len(methods)
for i, name in enumerate(methods):
    ax.bar(np.arange(len(speakers)) + i * width, accuracy[i], width, label=name)
ax.set_xticks(np.arange(len(speakers)) + 1.5 * width, speakers)
ax.set(ylabel="accuracy", ylim=(0, 1), title="Digits of a speaker without labels (chance: 0.1)")
ax.legend(ncols=len(methods), loc="lower center")
plt.show()

# %%
# What to try next: a grid over ``lambda_adv`` and ``frozen_layers`` scored without labels, as in
# the quickstart; several of the speakers as targets at once, each with its own negative number.
