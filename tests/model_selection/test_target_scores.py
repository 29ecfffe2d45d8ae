"""Scores of predictions for target rows, against formulas written out."""

import numpy as np
import pytest
from scipy.stats import entropy

from sktl.model_selection import _target_scores as scores
from sktl.model_selection._outputs import Outputs


@pytest.fixture
def outputs(said, proba, labels, sample_domain):
    return Outputs(said, proba, labels, sample_domain)


@pytest.fixture
def target(proba):
    return proba[15:]


def test_prediction_entropy_is_that_of_scipy(outputs, target):
    expected = -entropy(target, axis=1).mean()
    assert scores.prediction_entropy_score(outputs) == pytest.approx(expected)


def test_information_is_that_of_row_and_class(outputs, target):
    expected = entropy(target.mean(0)) - entropy(target, axis=1).mean()
    assert scores.information_maximization_score(outputs) == pytest.approx(expected)


def test_density_is_the_entropy_of_similarities_to_the_others(outputs, target):
    rows = target / np.linalg.norm(target, axis=1, keepdims=True)
    entropies = []
    for i in range(len(rows)):
        others = np.delete(rows, i, axis=0)
        entropies.append(entropy(np.exp(others @ rows[i] / 0.1)))
    found = scores.soft_neighborhood_density_score(outputs, temperature=0.1)
    assert found == pytest.approx(np.mean(entropies))


def test_density_is_computed_block_by_block(outputs, monkeypatch):
    whole = scores.soft_neighborhood_density_score(outputs)
    monkeypatch.setattr(scores, "BLOCK", 60)
    assert scores.soft_neighborhood_density_score(outputs) == pytest.approx(whole)


def test_nuclear_norm_is_that_of_numpy(outputs, target):
    expected = np.linalg.norm(target, "nuc") / np.sqrt(25 * 3)
    assert scores.batch_nuclear_norm_score(outputs) == pytest.approx(expected)


def test_sure_and_even_predictions_have_the_largest_nuclear_norm(said):
    even = np.tile(np.eye(3), (4, 1))
    assert scores.batch_nuclear_norm_score(Outputs(said, even)) == pytest.approx(1)
    one = np.tile(np.eye(3)[0], (12, 1))
    assert scores.batch_nuclear_norm_score(Outputs(said, one)) < 0.6


def test_clusters_that_are_the_classes_score_one(said):
    rows = np.random.default_rng(0).normal(np.tile(np.eye(3), (10, 1)), 0.01)
    assert scores.class_cluster_score(Outputs(said, rows)) == pytest.approx(1)
    noise = np.random.default_rng(0).random((60, 3)) + 5
    assert scores.class_cluster_score(Outputs(said, noise)) < 0.7


def test_accuracy_of_the_target_counts_rows_of_known_label_alone(said, proba, labels):
    sample_domain = np.where(np.arange(40) < 15, 1, -1)
    masked = np.where(np.arange(40) % 2, "?", labels)
    known = np.arange(16, 40, 2)
    expected = np.mean(said.predict(proba)[known] == labels[known])
    outputs = Outputs(said, proba, masked, sample_domain)
    assert scores.target_accuracy_score(outputs) == pytest.approx(expected)
    with pytest.raises(ValueError, match="none of the 25 there are is one of the classes"):
        scores.target_accuracy_score(Outputs(said, proba, np.full(40, "?"), sample_domain))


def test_probabilities_of_zero_and_few_rows_do_no_harm(said):
    for n in (1, 2, 3):
        outputs = Outputs(said, np.eye(3)[:n])
        for name in scores.__all__:
            if name != "target_accuracy_score":
                assert np.isfinite(getattr(scores, name)(outputs))
