import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin


class Said(ClassifierMixin, BaseEstimator):
    """A classifier whose probabilities are the rows themselves."""

    def __init__(self, classes=("a", "b", "c")):
        self.classes = classes
        self.classes_ = np.array(classes)

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        return np.asarray(X)

    def predict(self, X):
        return self.classes_[np.asarray(X).argmax(1)]


@pytest.fixture
def said():
    return Said()


@pytest.fixture
def proba():
    """Probabilities of 40 rows for three classes."""
    values = np.random.default_rng(0).gamma(0.5, size=(40, 3)) + 1e-3
    return values / values.sum(1, keepdims=True)


@pytest.fixture
def labels():
    return np.random.default_rng(1).choice(["a", "b", "c"], 40)


@pytest.fixture
def sample_domain():
    return np.where(np.arange(40) < 15, 1, -1)
