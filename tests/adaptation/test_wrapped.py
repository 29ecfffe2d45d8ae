"""What classifiers share that train another one."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from sktl import ImportanceWeightedClassifier, SelfTrainedClassifier

MODELS = [ImportanceWeightedClassifier(random_state=0), SelfTrainedClassifier()]
each = pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(90, 2))
    y = np.where(X[:, 0] > 0, "up", "down")
    return X, y, np.repeat([1, -1], [60, 30])


@each
def test_masked_target_rows_do_not_count_as_errors(model, data):
    X, y, sample_domain = data
    model.fit(X, y, sample_domain=sample_domain)
    masked = np.where(sample_domain > 0, y, "?")
    assert model.score(X, masked, sample_domain=sample_domain) == model.score(X[:60], y[:60])
    weight = np.arange(90)
    expected = np.average(model.predict(X) == y, weights=weight)
    assert model.score(X, y, weight) == pytest.approx(expected)


@each
def test_source_rows_are_refused_on_demand_and_unfitted_models_say_so(model, data):
    X, y, sample_domain = data
    with pytest.raises(NotFittedError):
        type(model)().predict(X)
    model.fit(X, y, sample_domain=sample_domain)
    for method in ("predict", "predict_proba", "decision_function"):
        with pytest.raises(ValueError, match="allow_source=False but sample_domain marks 60 of 90"):
            getattr(model, method)(X, sample_domain, allow_source=False)
        target = getattr(model, method)(X[60:], sample_domain[60:], allow_source=False)
        np.testing.assert_array_equal(target, getattr(model, method)(X)[60:])


def test_methods_are_those_of_the_estimator():
    assert not hasattr(ImportanceWeightedClassifier(LinearSVC()), "predict_proba")
    assert not hasattr(SelfTrainedClassifier(DecisionTreeClassifier()), "decision_function")


@each
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y to be passed"),
        (np.linspace(0, 1, 90), "Unknown label type: continuous"),
        (np.zeros(80), "inconsistent numbers of samples"),
    ],
)
def test_what_is_no_label_is_refused(model, data, y, message):
    X, _, sample_domain = data
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, sample_domain=sample_domain)
