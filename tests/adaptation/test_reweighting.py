"""Classifiers on source rows that are weighted to stand for the target."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from sktl import ImportanceWeightedClassifier
from sktl.exceptions import NoAdaptationWarning

METHODS = ["kmm", "kliep", "rulsif", "classifier"]
each = pytest.mark.parametrize("method", METHODS)


def global_state():
    return np.random.get_state()[1].copy()  # noqa: NPY002


@pytest.fixture
def data():
    """Labels bend with x: a line fitted where the target lies differs from one fitted to all."""
    generator = np.random.default_rng(0)
    X = generator.normal(size=(900, 2))
    X[600:] = X[600:] * 0.5 + [1.2, 0]
    y = np.where(X[:, 1] > np.square(X[:, 0]) - 1.5, "up", "down")
    sample_domain = np.repeat([1, -1], [600, 300])
    return X, y, sample_domain


@each
def test_a_classifier_too_simple_for_all_rows_is_right_on_the_target(data, method):
    X, y, sample_domain = data
    source = sample_domain > 0
    plain = LogisticRegression().fit(X[source], y[source]).score(X[~source], y[~source])
    weighted = ImportanceWeightedClassifier(method=method, random_state=0)
    weighted.fit(X, np.where(source, y, "?"), sample_domain=sample_domain)
    assert weighted.score(X[~source], y[~source]) > plain + 0.05
    assert weighted.weights_.mean() == pytest.approx(1)
    assert weighted.weights_.shape == (600,)
    np.testing.assert_array_equal(weighted.classes_, ["down", "up"])


@each
def test_weights_are_those_the_classifier_was_given(data, method):
    X, y, sample_domain = data
    source = sample_domain > 0
    weighted = ImportanceWeightedClassifier(SVC(random_state=0), method, random_state=0)
    weighted.fit(X, y, sample_domain=sample_domain)
    expected = SVC(random_state=0).fit(X[source], y[source], sample_weight=weighted.weights_)
    np.testing.assert_array_equal(weighted.decision_function(X), expected.decision_function(X))


@each
def test_labels_of_the_target_are_never_read(data, method):
    X, y, sample_domain = data
    told = ImportanceWeightedClassifier(method=method, random_state=0)
    untold = clone(told).fit(X, np.where(sample_domain > 0, y, "?"), sample_domain=sample_domain)
    told.fit(X, y, sample_domain=sample_domain)
    np.testing.assert_array_equal(told.predict_proba(X), untold.predict_proba(X))


@each
def test_the_same_seed_gives_the_same_weights_and_leaves_numpys_alone(data, method):
    X, y, sample_domain = data
    before = global_state()
    fits = [
        ImportanceWeightedClassifier(method=method, n_landmarks=100, random_state=0).fit(
            X, y, sample_domain=sample_domain
        )
        for _ in range(2)
    ]
    np.testing.assert_array_equal(fits[0].weights_, fits[1].weights_)
    np.testing.assert_array_equal(global_state(), before)


@each
def test_weights_of_ones_own_multiply_and_zeros_leave_rows_out(data, method):
    X, y, sample_domain = data
    kept = np.ones(len(X))
    kept[::7] = 0
    model = ImportanceWeightedClassifier(method=method, random_state=0)
    weighted = clone(model).fit(X, y, sample_domain=sample_domain, sample_weight=kept)
    fewer = clone(model).fit(X[kept > 0], y[kept > 0], sample_domain=sample_domain[kept > 0])
    np.testing.assert_allclose(weighted.predict_proba(X), fewer.predict_proba(X), atol=1e-6)
    assert (weighted.weights_[kept[:600] == 0] == 0).all()


def test_without_target_rows_it_warns_and_is_the_plain_classifier(data):
    X, y, _ = data
    with pytest.warns(NoAdaptationWarning, match="saw no target rows and weighs all rows alike"):
        weighted = ImportanceWeightedClassifier().fit(X, y)
    np.testing.assert_array_equal(weighted.weights_, 1)
    expected = LogisticRegression().fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(weighted.predict_proba(X), expected)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"estimator": KNeighborsClassifier()}, TypeError, "takes no sample_weight in fit"),
        ({"estimator": 3}, ValueError, "'estimator' parameter"),
        ({"method": "kernel"}, ValueError, "'method' parameter"),
        ({"gamma": 0.0}, ValueError, "'gamma' parameter"),
        ({"bound": 0.0}, ValueError, "'bound' parameter"),
        ({"alpha": 1.0}, ValueError, "'alpha' parameter"),
        ({"n_landmarks": 5}, ValueError, "'n_landmarks' parameter"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(data, parameters, error, message):
    X, y, sample_domain = data
    with pytest.raises(error, match=message):
        ImportanceWeightedClassifier(**parameters).fit(X, y, sample_domain=sample_domain)


def test_rows_that_mean_nothing_are_refused(data):
    X, y, sample_domain = data
    model = ImportanceWeightedClassifier()
    with pytest.raises(ValueError, match="marks all 900 rows as target"):
        model.fit(X, y, sample_domain=-np.ones(900))
    with pytest.raises(ValueError, match="sample_weight is zero for every source row"):
        model.fit(X, y, sample_domain=sample_domain, sample_weight=sample_domain < 0)
    with pytest.raises(ValueError, match="requires y to be passed"):
        model.fit(X, None, sample_domain=sample_domain)
    with pytest.raises(NotFittedError):
        model.predict(X)
    model.fit(X, y, sample_domain=sample_domain)
    with pytest.raises(ValueError, match="allow_source=False but sample_domain marks 600 of 900"):
        model.predict(X, sample_domain, allow_source=False)


def test_a_target_out_of_reach_is_refused(data):
    X, y, sample_domain = data
    X = X + 1e4 * (sample_domain < 0)[:, None]
    model = ImportanceWeightedClassifier(method="kliep")
    with pytest.raises(ValueError, match="method='kliep' finds no source row near the target"):
        model.fit(X, y, sample_domain=sample_domain)


def test_masked_target_rows_do_not_count_as_errors(data):
    X, y, sample_domain = data
    model = ImportanceWeightedClassifier().fit(X, y, sample_domain=sample_domain)
    masked = np.where(sample_domain > 0, y, "?")
    assert model.score(X, masked, sample_domain=sample_domain) == model.score(X[:600], y[:600])


def test_methods_are_those_of_the_classifier(data):
    X, y, sample_domain = data
    model = ImportanceWeightedClassifier(LinearSVC(random_state=0))
    assert not hasattr(model, "predict_proba")
    assert model.fit(X, y, sample_domain=sample_domain).decision_function(X).shape == (900,)
    model = ImportanceWeightedClassifier(DecisionTreeClassifier(random_state=0))
    assert not hasattr(model, "decision_function")
    assert model.fit(X, y, sample_domain=sample_domain).predict_proba(X).shape == (900, 2)


def test_in_pipelines_searches_and_pickles(data):
    X, y, sample_domain = data
    frame = pd.DataFrame(X, columns=["a", "b"])
    pipe = make_pipeline(StandardScaler(), ImportanceWeightedClassifier(random_state=0))
    prefixed = clone(pipe).fit(frame, y, importanceweightedclassifier__sample_domain=sample_domain)
    with config_context(enable_metadata_routing=True):
        grid = GridSearchCV(
            pipe, {"importanceweightedclassifier__method": ["kliep", "classifier"]}, cv=3
        )
        order = np.random.default_rng(0).permutation(len(X))
        grid.fit(frame.iloc[order], y[order], sample_domain=sample_domain[order])
        routed = clone(pipe).fit(frame, y, sample_domain=sample_domain)
        scores = cross_val_score(
            pipe, X[order], y[order], params={"sample_domain": sample_domain[order]}
        )
    assert scores.min() > 0.7
    assert grid.best_score_ > 0.7
    np.testing.assert_array_equal(prefixed.predict_proba(frame), routed.predict_proba(frame))
    again = pickle.loads(pickle.dumps(prefixed))
    np.testing.assert_array_equal(again.predict(frame), prefixed.predict(frame))


@each
@pytest.mark.parametrize("counts", [(20, 2000), (2000, 20), (6, 1), (3, 5)])
def test_lopsided_and_small_domains_give_finite_weights(method, counts):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(sum(counts), 3))
    y = np.arange(len(X)) % 2
    model = ImportanceWeightedClassifier(method=method, random_state=0)
    model.fit(X, y, sample_domain=np.repeat([1, -1], counts))
    assert np.isfinite(model.weights_).all()
    assert model.weights_.mean() == pytest.approx(1)


@each
def test_constant_and_repeated_features_give_finite_weights(method):
    column = np.random.default_rng(0).normal(size=(40, 1))
    X = np.concatenate([column, column, np.full((40, 2), 5.0)], axis=1)
    model = ImportanceWeightedClassifier(method=method, random_state=0)
    model.fit(X, column[:, 0] > 0, sample_domain=np.arange(40) % 2 - 1)
    assert np.isfinite(model.weights_).all()
