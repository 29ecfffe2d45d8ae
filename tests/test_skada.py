"""Splitters, scorers and pipelines of skada run over the estimators here as they are."""

import importlib.util
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("skada") is None, reason="skada is not installed"
)

HEAD = """
import warnings
import numpy as np
from skada import make_da_pipeline
from skada.metrics import (
    CircularValidation, DeepEmbeddedValidation, ImportanceWeightedScorer, MaNoScorer,
    MixValScorer, PredictionEntropyScorer, SoftNeighborhoodDensity, SupervisedScorer,
)
from skada.model_selection import (
    DomainShuffleSplit, LeaveOneDomainOut, SourceTargetShuffleSplit, StratifiedDomainShuffleSplit,
)
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
import sktl
from sktl import model_selection

rng = np.random.default_rng(0)
X, domain = rng.normal(size=(120, 3)), np.repeat([1, -2], 60)
y = (X[:, 0] > 0).astype(int)
X[60:] = X[60:] * 0.8 + 0.5
masked = np.where(domain > 0, y, -1)
nets = {"max_epochs": 2, "random_state": 0}
models = {
    "dann": sktl.DANNClassifier(**nets),
    "mmd": sktl.MMDAligner(**nets),
    "adaptive": sktl.DomainAdaptiveClassifier(lambda_mcc=1.0, **nets),
    "weighted": sktl.ImportanceWeightedClassifier(random_state=0),
    "coral": make_da_pipeline(sktl.CORALTransformer(), LogisticRegression()),
    "subspace": make_da_pipeline(sktl.SubspaceAlignmentTransformer(2), LogisticRegression()),
    "tca": make_da_pipeline(sktl.TCATransformer(2), LogisticRegression()),
    "network in a pipeline": make_da_pipeline(sktl.CORALTransformer(), sktl.DANNClassifier(**nets)),
}
"""

SPLITTERS = """
splitters = [
    SourceTargetShuffleSplit(n_splits=2, random_state=0),
    DomainShuffleSplit(n_splits=2, random_state=0),
    StratifiedDomainShuffleSplit(n_splits=2, random_state=0),
]
for name, model in models.items():
    for splitter in splitters:
        scores = cross_val_score(
            model, X, masked, params={"sample_domain": domain}, cv=splitter,
            scoring=PredictionEntropyScorer(), error_score="raise",
        )
        assert np.isfinite(scores).all(), (name, splitter)
both = np.where(np.arange(120) % 2, 1, 2) * np.where(np.arange(120) % 4 < 2, 1, -1)
scores = cross_val_score(
    models["dann"], X, y, params={"sample_domain": both}, scoring=PredictionEntropyScorer(),
    cv=LeaveOneDomainOut(max_n_splits=2, random_state=0), error_score="raise",
)
assert np.isfinite(scores).all()
"""

SCORERS = """
scorers = [
    PredictionEntropyScorer(), SupervisedScorer(), SoftNeighborhoodDensity(),
    ImportanceWeightedScorer(), CircularValidation(), DeepEmbeddedValidation(),
    MixValScorer(random_state=0), MaNoScorer(),
]
# ImportanceWeightedScorer weighs rows, which any classifier of scikit-learn has to ask for.
models["dann"].set_score_request(sample_weight=True)
cv = StratifiedDomainShuffleSplit(n_splits=2, test_size=0.5, random_state=0)
for scorer in scorers:
    params = {"sample_domain": domain}
    if isinstance(scorer, SupervisedScorer):
        params["target_labels"] = y
    # These two take whatever is no Pipeline for a network of skada's own.
    in_pipeline = isinstance(scorer, (DeepEmbeddedValidation, MaNoScorer))
    model = models["network in a pipeline" if in_pipeline else "dann"]
    scores = cross_val_score(
        model, X, masked, params=params, cv=cv, scoring=scorer, error_score="raise"
    )
    assert np.isfinite(scores).all(), scorer
search = GridSearchCV(
    models["coral"], {"coraltransformer__reg": [0.1, 1.0]}, cv=cv,
    scoring=PredictionEntropyScorer(),
).fit(X, masked, sample_domain=domain)
assert np.isfinite(search.best_score_)
"""

OURS = """
from skada import CORALAdapter
pipe = make_da_pipeline(CORALAdapter(), LogisticRegression())
for name in ("prediction_entropy", "importance_weighted_accuracy", "mixval", "target_accuracy"):
    for model in (pipe, models["coral"]):
        scores = cross_val_score(
            model, X, y, params={"sample_domain": domain}, error_score="raise",
            scoring=getattr(model_selection, name), cv=model_selection.DomainStratifiedKFold(2),
        )
        assert np.isfinite(scores).all(), name
"""


@pytest.mark.parametrize(
    "script", [SPLITTERS, SCORERS, OURS], ids=["splitters", "scorers", "scorers of ours"]
)
def test_it_runs_unchanged(script):
    # In its own process: importing skada changes scikit-learn's configuration.
    done = subprocess.run([sys.executable, "-c", HEAD + script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
