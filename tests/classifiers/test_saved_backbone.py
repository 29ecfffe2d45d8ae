"""A trained body goes from task to task through a file."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV

from sktl import FineTunedClassifier, PretrainedEmbedding


@pytest.fixture(scope="module")
def task():
    rng = np.random.default_rng(0)
    X = 5.0 + 3.0 * rng.standard_normal((60, 6)).astype(np.float32)
    return X, (X[:, 0] > 5).astype(int), (X[:, 1] > 5).astype(int)


@pytest.fixture(scope="module")
def source(task):
    X, y, _ = task
    return FineTunedClassifier("mlp", max_epochs=3, random_state=0).fit(X, y)


@pytest.fixture
def path(source, tmp_path):
    source.save_backbone(tmp_path / "body.safetensors")
    return tmp_path / "body.safetensors"


@pytest.mark.parametrize("frozen_layers", [0, 1, "all"])
def test_a_file_is_as_good_a_start_as_the_estimator(task, source, path, frozen_layers):
    X, _, y = task
    options = {"frozen_layers": frozen_layers, "max_epochs": 2, "random_state": 1}
    fitted = FineTunedClassifier(FrozenEstimator(source), **options).fit(X - 1, y)
    for given in (path, str(path)):
        read = FineTunedClassifier(given, **options).fit(X - 1, y)
        np.testing.assert_array_equal(read.predict_proba(X), fitted.predict_proba(X))


def test_grids_clone_paths_and_pickles_do_not_need_the_file(task, path):
    X, _, y = task
    search = GridSearchCV(
        FineTunedClassifier(path, max_epochs=1, random_state=0), {"frozen_layers": [1, 2]}, cv=2
    ).fit(X, y)
    assert clone(search.best_estimator_).backbone == path
    text = pickle.dumps(search.best_estimator_)
    path.unlink()
    again = pickle.loads(text)
    np.testing.assert_array_equal(again.predict_proba(X), search.predict_proba(X))


def test_other_columns_are_refused(task, path):
    X, _, y = task
    with pytest.raises(ValueError, match=r"built to rows of shape \(6,\), but X has rows of shape"):
        FineTunedClassifier(path).fit(X[:, :5], y)


def test_networks_on_clips(tmp_path):
    rng = np.random.default_rng(0)
    clips = [0.1 * rng.standard_normal(n).astype(np.float32) for n in (4000, 5000, 6000, 7000)]
    labels = ["a", "b", "a", "b"]
    source = FineTunedClassifier("speech-mini", max_epochs=1, random_state=0).fit(clips, labels)
    source.save_backbone(tmp_path / "speech.safetensors")
    embedding = PretrainedEmbedding(tmp_path / "speech.safetensors").fit_transform(clips)
    np.testing.assert_array_equal(embedding, PretrainedEmbedding(source).fit_transform(clips))


def test_saving_needs_a_fit(tmp_path):
    with pytest.raises(NotFittedError):
        FineTunedClassifier().save_backbone(tmp_path / "body.safetensors")
    assert list(tmp_path.iterdir()) == []
