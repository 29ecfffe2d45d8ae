"""Self-training on the target."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import SelfTrainingClassifier

from sktl import SelfTrainedClassifier
from sktl.exceptions import NoAdaptationWarning


@pytest.fixture
def data():
    """Two classes that drift apart from their place in the source, step by step."""
    generator = np.random.default_rng(0)
    y = np.arange(300) % 2
    sample_domain = np.repeat([1, -1], [100, 200])
    X = generator.normal(scale=0.4, size=(300, 2)) + np.where(y, 1, -1)[:, None] * [1.0, 0.0]
    angle = np.concatenate([np.zeros(100), np.linspace(0, 1.5, 200)])
    cosine, sine = np.cos(angle), np.sin(angle)
    turned = np.stack([cosine * X[:, 0] - sine * X[:, 1], sine * X[:, 0] + cosine * X[:, 1]], 1)
    return turned, np.where(y, "one", "two"), sample_domain


def test_what_it_is_sure_of_leads_it_into_the_target(data):
    X, y, sample_domain = data
    target = sample_domain < 0
    plain = LogisticRegression().fit(X[~target], y[~target]).score(X[target], y[target])
    model = SelfTrainedClassifier(criterion="k_best", k_best=10, max_iter=None)
    model.fit(X, np.where(target, "?", y), sample_domain=sample_domain)
    assert model.score(X[target], y[target]) > plain + 0.03
    assert (model.labeled_iter_[~target] == 0).all()
    assert (model.labeled_iter_[target] > 0).all()
    assert model.n_iter_ == 20


@pytest.mark.parametrize("options", [{"threshold": 0.9}, {"criterion": "k_best", "k_best": 7}])
def test_it_is_the_method_of_scikit_learn(data, options):
    X, y, sample_domain = data
    model = SelfTrainedClassifier(LogisticRegression(), **options)
    model.fit(X, y, sample_domain=sample_domain)
    numbers = np.where(sample_domain < 0, -1, y == "two")
    expected = SelfTrainingClassifier(LogisticRegression(), **options).fit(X, numbers)
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    np.testing.assert_array_equal(model.predict(X) == "two", expected.predict(X))


def test_labels_of_the_target_are_never_read_and_labels_may_be_minus_one(data):
    X, y, sample_domain = data
    signs = np.where(y == "one", 1, -1)
    told = SelfTrainedClassifier().fit(X, signs, sample_domain=sample_domain)
    untold = SelfTrainedClassifier().fit(
        X, np.where(sample_domain < 0, 99, signs), sample_domain=sample_domain
    )
    np.testing.assert_array_equal(told.predict_proba(X), untold.predict_proba(X))
    assert set(told.predict(X)) == {-1, 1}


def test_without_target_rows_it_warns_and_trains_once(data):
    X, y, _ = data
    model = SelfTrainedClassifier(LogisticRegression())
    with pytest.warns(NoAdaptationWarning, match="saw no target rows and trains once"):
        model.fit(X, y)
    expected = LogisticRegression().fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(model.predict_proba(X), expected)


def test_fewer_target_rows_than_k_best_are_all_labelled(data):
    X, y, sample_domain = data
    model = SelfTrainedClassifier(criterion="k_best", k_best=50)
    model.fit(X[:103], y[:103], sample_domain=sample_domain[:103])
    assert (model.labeled_iter_[100:] == 1).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"estimator": 3}, "'estimator' parameter"),
        ({"threshold": 1.0}, "'threshold' parameter"),
        ({"criterion": "best"}, "'criterion' parameter"),
        ({"k_best": 0}, "'k_best' parameter"),
        ({"max_iter": -1}, "'max_iter' parameter"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(data, parameters, message):
    X, y, sample_domain = data
    with pytest.raises(ValueError, match=message):
        SelfTrainedClassifier(**parameters).fit(X, y, sample_domain=sample_domain)


def test_it_is_cloned_and_pickled(data):
    X, y, sample_domain = data
    model = clone(SelfTrainedClassifier(threshold=0.8)).fit(X, y, sample_domain=sample_domain)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
