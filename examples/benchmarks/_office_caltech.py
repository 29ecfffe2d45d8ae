"""Twelve tasks of Office-Caltech10 (SURF), against the tables of the papers.

The protocol of Long et al. (ICCV 2013): all of the source is labelled, all of the target is
there without labels; counts are divided by their sum and standardised within each domain.
"""

from itertools import permutations

import numpy as np
from _adaptation_runs import METHODS, SOURCE_ONLY
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import normalize
from sklearn.svm import SVC

from sktl import (
    CORALTransformer,
    DomainAdaptiveClassifier,
    ImportanceWeightedClassifier,
    SelfTrainedClassifier,
    SubspaceAlignmentTransformer,
    TCATransformer,
)
from sktl.adaptation import coral_map
from sktl.model_selection import DomainScorer
from sktl.model_selection._outputs import Outputs

DOMAINS = "CAWD"
LONG = "Long et al. 2013"
ZHANG = "Zhang et al. 2017"
KERNEL = "Long et al. 2015"
MEDA = "Wang et al. 2018"
# Means over the tasks, and who published them.
PUBLISHED = {
    "1-NN": (31.37, LONG),
    "PCA(100), 1-NN": (39.79, LONG),
    "TCA(100), 1-NN": (43.61, LONG),
    "SA(30), 1-NN": (44.72, ZHANG),
    "SVM": (45.04, KERNEL),
    "KMM, SVM": (45.38, KERNEL),
    "CORAL, SVM": (48.83, MEDA),
    "CORAL in the kernel, SVM": (48.83, MEDA),
}
BEST_PUBLISHED = ("MEDA", 52.7, MEDA)
# Those that choose between networks; the others need rows of the source that were held out.
CHOOSERS = (
    "prediction_entropy",
    "information_maximization",
    "soft_neighborhood_density",
    "batch_nuclear_norm",
    "class_cluster",
    "mixval",
)
N_VOTERS = 5


def tasks(path):
    """Name, source rows and labels, target rows and labels."""
    data = np.load(path)
    domains = {name: _standardised(data[f"{name}_X"]) for name in DOMAINS}
    for source, target in permutations(DOMAINS, 2):
        labels = data[f"{source}_y"].ravel(), data[f"{target}_y"].ravel()
        yield f"{source}→{target}", domains[source], labels[0], domains[target], labels[1]


def _standardised(counts):
    rows = counts / counts.sum(axis=1, keepdims=True)
    spread = rows.std(axis=0)
    return (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1)


def shallow(Xs, ys, Xt):
    """Name of each method and the labels it gives the target."""
    X, domain = np.concatenate([Xs, Xt]), np.repeat([1, -1], [len(Xs), len(Xt)])
    masked = np.concatenate([ys, np.full(len(Xt), -1)])

    def mapped(transformer, rows=X):
        found = transformer.fit_transform(rows, sample_domain=domain)
        return found[domain > 0], found[domain < 0]

    def neighbour(source, target):
        return KNeighborsClassifier(1).fit(source, ys).predict(target)

    def svm(source, target):
        return _svm().fit(source, ys).predict(target)

    def weighted(method):
        search = _svm().fit(Xs, ys)
        inner = SVC(kernel="linear", C=search.best_params_["C"])
        model = ImportanceWeightedClassifier(inner, method, random_state=0)
        return model.fit(X, masked, sample_domain=domain).predict(Xt)

    def coral_kernel(source, target):
        moved = source @ coral_map(source, target)
        kernel = moved @ source.T
        search = _svm("precomputed").fit((kernel + kernel.T) / 2, ys)
        return search.predict(target @ moved.T)

    yield "1-NN", neighbour(Xs, Xt)
    both = PCA(100, svd_solver="full").fit_transform(X)
    yield "PCA(100), 1-NN", neighbour(both[domain > 0], both[domain < 0])
    yield "TCA(100), 1-NN", neighbour(*mapped(TCATransformer(100)))
    yield "SA(30), 1-NN", neighbour(*mapped(SubspaceAlignmentTransformer(30)))
    yield "SVM", svm(Xs, Xt)
    yield "CORAL, SVM", svm(*mapped(CORALTransformer()))
    yield "CORAL in the kernel, SVM", coral_kernel(Xs, Xt)
    components = TCATransformer(20).fit_transform(normalize(X), sample_domain=domain)
    components = components / components.std()
    # Of few columns a large C takes hours.
    search = _svm(largest=1).fit(components[domain > 0], ys)
    yield "TCA(20) of unit rows, SVM", search.predict(components[domain < 0])
    for method, name in (
        ("kmm", "KMM"),
        ("kliep", "KLIEP"),
        ("rulsif", "RuLSIF"),
        ("classifier", "odds of a classifier"),
    ):
        yield f"{name}, SVM", weighted(method)
    model = SelfTrainedClassifier(LogisticRegression(C=0.01, max_iter=1000), threshold=0.9)
    yield "self-training", model.fit(X, masked, sample_domain=domain).predict(Xt)


def _svm(kernel="linear", largest=4):
    return GridSearchCV(SVC(kernel=kernel), {"C": 10.0 ** np.arange(-3, largest + 1)}, cv=2)


class Voters:
    """Networks of several seeds, whose probabilities are averaged."""

    def __init__(self, networks):
        self.networks = networks
        self.classes_ = networks[0].classes_

    def predict_proba(self, X):
        return np.mean([network.predict_proba(X) for network in self.networks], axis=0)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def _infer(self, X, sample_domain, allow_source):
        parts = [network._infer(X, sample_domain, allow_source)[0] for network in self.networks]
        return np.concatenate(parts, axis=1), np.log(self.predict_proba(X))


def deep(Xs, ys, Xt):
    """Name of each network, the labels it gives the target, and its scores."""
    X = np.concatenate([Xs, Xt]).astype(np.float32)
    domain = np.repeat([1, -1], [len(Xs), len(Xt)])
    masked = np.concatenate([ys, np.full(len(Xt), -1)])

    def fitted(method, seed=0):
        model = DomainAdaptiveClassifier("mlp", random_state=seed, **METHODS[method])
        return model.fit(X, masked, sample_domain=domain)

    for method in METHODS:
        if method != "AdaBN":
            yield _judged(method, fitted(method), X, masked, domain)
    voters = Voters([fitted("MCC", seed) for seed in range(N_VOTERS)])
    yield _judged(f"MCC, {N_VOTERS} voting", voters, X, masked, domain)


def _judged(name, model, X, masked, domain):
    outputs = Outputs(model, X, masked, domain)
    scores = {score: DomainScorer(score).score_outputs(outputs) for score in CHOOSERS}
    return name, outputs.predicted[domain < 0], scores


def table(path):
    """Lines of Markdown."""
    names, accuracy, chosen = [], {}, {}
    for name, Xs, ys, Xt, yt in tasks(path):
        names.append(name)
        for method, predicted in shallow(Xs, ys, Xt):
            accuracy.setdefault(method, []).append(100 * np.mean(predicted == yt))
        found = [(m, 100 * np.mean(p == yt), scores) for m, p, scores in deep(Xs, ys, Xt)]
        for method, value, _ in found:
            label = f"MLP, {method}"
            accuracy.setdefault(label, []).append(value)
        for score in CHOOSERS:
            best = max(found, key=lambda each: each[2][score])
            chosen.setdefault(f"MLP chosen by {score.replace('_', ' ')}", []).append(best[1])
        best = max(value for _, value, _ in found)
        chosen.setdefault("MLP chosen by the oracle", []).append(best)
        print(name, {k: round(v[-1], 1) for k, v in (accuracy | chosen).items()}, flush=True)
    yield f"| method | {' | '.join(names)} | mean | published |"
    yield "| :-- |" + " --: |" * (len(names) + 1) + " :-- |"
    for method, values in (accuracy | chosen).items():
        cells = " | ".join(f"{value:.1f}" for value in values)
        mean, who = PUBLISHED.get(method, (None, ""))
        published = f"{mean:.2f} ({who})" if mean else ""
        yield f"| {method} | {cells} | **{np.mean(values):.2f}** | {published} |"
    name, mean, who = BEST_PUBLISHED
    yield f"| {name} (not here) |" + " |" * len(names) + f" {mean} | {mean} ({who}) |"


__all__ = ["SOURCE_ONLY", "table"]
