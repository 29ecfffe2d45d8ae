"""Scorers in searches: domains routed, labels of the target never read."""

import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline

from sktl import (
    MFCC,
    CORALTransformer,
    DomainAdaptiveClassifier,
    ImportanceWeightedClassifier,
    model_selection,
)
from sktl.model_selection import DomainScorer, DomainStratifiedKFold
from sktl.model_selection._scorers import SCORES

BLIND = [name for name in SCORES if name != "target_accuracy"]
each = pytest.mark.parametrize("name", SCORES)


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(120, 4))
    y = np.array(["cat", "dog", "owl"])[X[:, :3].argmax(1)]
    sample_domain = np.where(np.arange(120) % 3, 1, -1)
    X[sample_domain < 0] += 0.7
    return X, y, sample_domain


@each
def test_each_is_there_ready_made(name):
    scorer = getattr(model_selection, name)
    assert (scorer.name, scorer.options) == (name, {})
    assert scorer.reads_target_labels == (name == "target_accuracy")


@pytest.mark.parametrize("name", BLIND)
def test_labels_of_the_target_are_never_read(data, name):
    X, y, sample_domain = data
    clf = LogisticRegression().fit(X, y)
    scorer = DomainScorer(name)
    masked = np.where(sample_domain < 0, "?", y)
    told, untold = scorer(clf, X, y, sample_domain), scorer(clf, X, masked, sample_domain)
    assert told == untold == scorer(clf, X, masked, sample_domain)


@each
@pytest.mark.parametrize("nested", [False, True])
def test_searches_choose_by_it(data, name, nested):
    X, y, sample_domain = data
    scorer = getattr(model_selection, name)
    with config_context(enable_metadata_routing=True):
        model = ImportanceWeightedClassifier(random_state=0)
        grid = {"method": ["classifier", "kliep"]}
        if nested:
            model = make_pipeline(CORALTransformer(), model)
            grid = {"coraltransformer__reg": [0.1, 1.0]}
        search = GridSearchCV(model, grid, scoring=scorer, cv=DomainStratifiedKFold(2))
        search.fit(X, y, sample_domain=sample_domain)
        again = clone(search).set_params(scoring={"it": scorer}, refit="it")
        again.fit(X, y, sample_domain=sample_domain)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], again.cv_results_["mean_test_it"]
    )


def test_clips_paths_and_string_labels_in_a_pipeline_with_a_network(tmp_path):
    import soundfile

    generator = np.random.default_rng(0)
    clips, paths = [], []
    for i in range(24):
        time = np.arange(4000 + 50 * i) / 16000
        clip = 0.4 * np.sin(2 * np.pi * (300 if i % 2 else 1500) * time)
        clips.append((clip + 0.01 * generator.normal(size=len(time))).astype(np.float32))
        paths.append(str(tmp_path / f"{i}.wav"))
        soundfile.write(paths[-1], clips[-1], 16000, subtype="FLOAT")
    y = np.where(np.arange(24) % 2, "low", "high")
    sample_domain = np.where(np.arange(24) % 3, 1, -1)
    net = DomainAdaptiveClassifier(lambda_mmd=1.0, max_epochs=2, random_state=0)
    with config_context(enable_metadata_routing=True):
        pipe = make_pipeline(MFCC(), net)
        scoring = {name: DomainScorer(name) for name in SCORES}
        found = [
            cross_validate(
                pipe,
                X,
                y,
                scoring=scoring,
                cv=DomainStratifiedKFold(2),
                params={"sample_domain": sample_domain},
            )
            for X in (clips, paths)
        ]
    for name in SCORES:
        assert np.isfinite(found[0][f"test_{name}"]).all()
        np.testing.assert_allclose(found[0][f"test_{name}"], found[1][f"test_{name}"], atol=1e-6)


@pytest.mark.parametrize("name", ["source_accuracy", "deep_embedded_validation"])
def test_missing_domains_are_told_with_the_remedy(data, name):
    X, y, _ = data
    clf = LogisticRegression().fit(X, y)
    with pytest.raises(ValueError, match=f"{name} needs source rows, but none of the 120 rows"):
        DomainScorer(name)(clf, X, y)
    with pytest.raises(ValueError, match="target_accuracy needs target rows, but none"):
        DomainScorer("target_accuracy")(clf, X, y, np.ones(120))
    with pytest.raises(ValueError, match="y is None; give labels, of which those of source rows"):
        DomainScorer(name)(clf, X, None, np.where(np.arange(120) % 2, 1, -1))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("accuracy", {}, "name='accuracy' is no score; give one of source_accuracy"),
        ("mixval", {"mix": 0.5}, "mix=0.5; give a number between 0.5 and 1"),
        ("mixval", {"temperature": 1}, "temperature=1 is no option of 'mixval', which takes mix"),
        ("soft_neighborhood_density", {"temperature": 0}, "temperature=0; give a number above 0"),
        ("prediction_entropy", {"mix": 0.6}, "'prediction_entropy', which takes no options"),
    ],
)
def test_options_that_mean_nothing_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        DomainScorer(name, **options)


def test_options_change_the_score_and_survive_a_pickle(data):
    X, y, sample_domain = data
    clf = LogisticRegression().fit(X, y)
    sharp = DomainScorer("soft_neighborhood_density", temperature=0.5)
    again = pickle.loads(pickle.dumps(sharp))
    assert repr(again) == "DomainScorer('soft_neighborhood_density', temperature=0.5)"
    usual = model_selection.soft_neighborhood_density(clf, X, y, sample_domain)
    assert again(clf, X, y, sample_domain) == sharp(clf, X, y, sample_domain) != usual


def test_requests_can_be_changed(data):
    X, y, sample_domain = data
    with config_context(enable_metadata_routing=True):
        scorer = DomainScorer("prediction_entropy").set_score_request(sample_domain="where")
        model = LogisticRegression()
        found = cross_validate(model, X, y, scoring=scorer, params={"where": sample_domain})
    assert found["test_score"].shape == (5,)
