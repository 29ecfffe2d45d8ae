"""What scorers read of a classifier."""

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from sktl import CORALTransformer, MMDAligner
from sktl.model_selection._outputs import Outputs, odds_of_target


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(80, 4))
    y = X[:, :3].argmax(1)
    sample_domain = np.where(np.arange(80) % 2, -1, 1)
    X[sample_domain < 0] += 1
    return X, y, sample_domain


def test_odds_are_the_ratio_of_known_densities_whatever_the_sizes():
    x = np.random.default_rng(0).normal(size=(4000, 1))
    source = np.arange(4000) < 3000
    x[~source] += 1
    found = odds_of_target(x, source)
    expected = norm.pdf(x[:, 0], 1) / norm.pdf(x[:, 0])
    inner = np.abs(x[:, 0] - 0.5) < 1.5
    np.testing.assert_allclose(np.log(found[inner]), np.log(expected[inner]), atol=0.2)


def test_many_features_do_not_make_equal_domains_look_apart():
    x = np.random.default_rng(0).normal(size=(60, 200))
    log_odds = np.log(odds_of_target(x, np.arange(60) < 30))
    assert abs((log_odds[:30] > 0).mean() - (log_odds[30:] > 0).mean()) < 0.4


def test_one_row_of_a_side_weighs_as_any_other():
    np.testing.assert_array_equal(odds_of_target(np.eye(5), np.arange(5) < 1), 1)


def test_decision_values_become_probabilities(data):
    X, y, _ = data
    svc = LinearSVC(random_state=0).fit(X, y)
    expected = softmax(svc.decision_function(X), axis=1)
    np.testing.assert_allclose(Outputs(svc, X).proba, expected)
    binary = Perceptron(random_state=0).fit(X, y > 0)
    proba = Outputs(binary, X).proba
    expected = 1 / (1 + np.exp(-binary.decision_function(X)))
    np.testing.assert_allclose(proba[:, 1], expected)


def test_a_classifier_that_is_never_unsure_is_refused(data):
    X, y, _ = data

    class Silent(NearestCentroid):
        predict_proba = decision_function = property()

    with pytest.raises(ValueError, match="Silent has neither predict_proba nor decision_function"):
        _ = Outputs(Silent().fit(X, y), X).log_proba


def test_the_embedding_is_what_the_last_layer_sees(data):
    X, y, sample_domain = data
    net = MMDAligner(max_epochs=1, random_state=0).fit(X, y, sample_domain=sample_domain)
    outputs = Outputs(net, X, y, sample_domain)
    np.testing.assert_array_equal(outputs.embedding, net.transform(X))
    np.testing.assert_array_equal(outputs.predicted, net.predict(X))
    np.testing.assert_allclose(outputs.proba, net.predict_proba(X), rtol=1e-5)


def test_a_network_is_run_once_for_all_that_is_read_of_it(data, monkeypatch):
    X, y, sample_domain = data
    net = MMDAligner(max_epochs=1, random_state=0).fit(X, y, sample_domain=sample_domain)
    runs, infer = [], type(net)._infer
    monkeypatch.setattr(
        type(net),
        "_infer",
        lambda self, X, sample_domain, allow_source: (
            runs.append(1) or infer(self, X, sample_domain, allow_source)
        ),
    )
    outputs = Outputs(net, X, y, sample_domain)
    assert outputs.embedding.shape[0] == len(outputs.predicted) == len(outputs.proba)
    assert len(runs) == 1


def test_the_embedding_of_a_pipeline_is_what_the_last_step_sees(data):
    X, y, sample_domain = data
    pipe = make_pipeline(CORALTransformer(), LogisticRegression())
    pipe.fit(X, y, coraltransformer__sample_domain=sample_domain)
    outputs = Outputs(pipe, X, y, sample_domain)
    moved = pipe[0].transform(X, sample_domain)
    np.testing.assert_array_equal(outputs.embedding, moved)
    np.testing.assert_array_equal(outputs.predicted, pipe[1].predict(moved))


def test_what_has_no_rows_of_numbers_is_embedded_by_its_probabilities(said, proba):
    class OfTexts(type(said)):
        def predict_proba(self, X):
            return proba[: len(X)]

    np.testing.assert_allclose(Outputs(OfTexts(), ["x", "y"]).embedding, proba[:2])


def test_without_domains_all_rows_are_target_rows(said, proba):
    outputs = Outputs(said, proba)
    assert outputs.target.all()
    with pytest.raises(ValueError, match=r"deep needs source rows, but none of the 40 rows"):
        outputs.need("source", "deep")
    with pytest.raises(ValueError, match="y is None; give labels"):
        outputs.labels("source")


def test_a_source_class_that_was_never_seen_costs_as_much_as_can_be(said, proba):
    outputs = Outputs(said, proba[:2], ["z", "a"], [1, 1])
    assert outputs.source_losses[0] > 700
    assert outputs.source_losses[1] == pytest.approx(-np.log(proba[1, 0]))


def test_what_was_not_fitted_has_no_classes(said, proba):
    with pytest.raises(ValueError, match=r"LogisticRegression\(\) has no classes_; give a class"):
        _ = Outputs(LogisticRegression(), proba).classes
