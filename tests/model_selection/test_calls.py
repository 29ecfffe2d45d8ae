"""Methods called with domains where they are taken."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sktl import CORALTransformer, ImportanceWeightedClassifier, SubspaceAlignmentTransformer
from sktl.model_selection._calls import call, embed, unwrap


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(60, 3))
    sample_domain = np.where(np.arange(60) % 2, -1, 1)
    X[sample_domain < 0] += 2
    return X, (X[:, 0] > 1).astype(int), sample_domain


@pytest.mark.parametrize("routing", [False, True])
def test_source_rows_of_a_pipeline_are_mapped(data, routing):
    X, y, sample_domain = data
    with config_context(enable_metadata_routing=routing):
        pipe = make_pipeline(
            StandardScaler(), SubspaceAlignmentTransformer(2), LogisticRegression()
        ).fit(
            X,
            y,
            **(
                {"sample_domain": sample_domain}
                if routing
                else {"subspacealignmenttransformer__sample_domain": sample_domain}
            ),
        )
        found = call(pipe, "predict_proba", X, sample_domain)
    rows = pipe[1].transform(pipe[0].transform(X), sample_domain)
    np.testing.assert_array_equal(found, pipe[2].predict_proba(rows))
    np.testing.assert_array_equal(embed(pipe, X, sample_domain), rows)


def test_steps_that_do_nothing_are_passed(data):
    X, y, sample_domain = data
    steps = [("none", None), ("pass", "passthrough"), ("clf", LogisticRegression())]
    pipe = Pipeline(steps).fit(X, y)
    np.testing.assert_array_equal(call(pipe, "predict", X, sample_domain), pipe.predict(X))


def test_pipelines_inside_pipelines_are_gone_through(data):
    X, y, sample_domain = data
    inner = make_pipeline(CORALTransformer(), LogisticRegression())
    inner.fit(X, y, coraltransformer__sample_domain=sample_domain)
    outer = Pipeline([("scale", StandardScaler().fit(X)), ("inner", inner)])
    moved = inner[0].transform(outer[0].transform(X), sample_domain)
    np.testing.assert_array_equal(call(outer, "predict", X, sample_domain), inner[1].predict(moved))


def test_a_search_is_asked_by_its_best_estimator(data):
    X, y, sample_domain = data
    search = GridSearchCV(ImportanceWeightedClassifier(random_state=0), {"bound": [10.0]}, cv=2)
    search.fit(X, y, sample_domain=sample_domain)
    assert unwrap(search) is search.best_estimator_
    np.testing.assert_array_equal(embed(search, X, sample_domain), X)
    found = call(search, "predict", X, sample_domain)
    np.testing.assert_array_equal(found, search.predict(X))


def test_rows_without_numbers_have_no_embedding(data):
    _, _, sample_domain = data
    clf = LogisticRegression()
    assert embed(clf, ["a", "b"], sample_domain[:2]) is None
    assert embed(clf, np.array([["a"], ["b"]]), sample_domain[:2]) is None
    assert embed(clf, np.zeros((2, 3, 4)), sample_domain[:2]).shape == (2, 12)
