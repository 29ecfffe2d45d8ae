"""Scores from source rows, against formulas written out and densities that are known."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from sktl.model_selection import _source_scores as scores
from sktl.model_selection._outputs import Outputs


@pytest.fixture
def shifted():
    """Covariate shift: labels bend with x, so errors differ between the domains."""
    generator = np.random.default_rng(0)
    X = generator.normal(size=(3000, 1))
    X[1500:] += 1.0
    y = np.where(np.abs(X[:, 0]) > 0.5, "far", "near")
    sample_domain = np.repeat([1, -1], 1500)
    clf = LogisticRegression().fit(X[:1500], y[:1500])
    return clf, X, y, sample_domain


def test_source_accuracy_is_that_of_source_rows(said, proba, labels, sample_domain):
    outputs = Outputs(said, proba, labels, sample_domain)
    expected = np.mean(said.predict(proba)[:15] == labels[:15])
    assert scores.source_accuracy_score(outputs) == pytest.approx(expected)


def test_weighted_accuracy_is_that_of_the_target_under_covariate_shift(shifted):
    clf, X, y, sample_domain = shifted
    masked = np.where(sample_domain < 0, "?", y)
    found = scores.importance_weighted_accuracy_score(Outputs(clf, X, masked, sample_domain))
    true = clf.score(X[1500:], y[1500:])
    plain = clf.score(X[:1500], y[:1500])
    assert abs(plain - true) > 0.05
    assert found == pytest.approx(true, abs=0.03)


def test_validation_is_the_targets_loss_under_covariate_shift(shifted):
    clf, X, y, sample_domain = shifted
    outputs = Outputs(clf, X, y, sample_domain)
    losses = -np.log(clf.predict_proba(X)[np.arange(3000), np.searchsorted(clf.classes_, y)])
    np.testing.assert_allclose(outputs.source_losses, losses[:1500])
    found = -scores.deep_embedded_validation_score(outputs)
    assert found == pytest.approx(losses[1500:].mean(), abs=0.05)


def test_validation_is_the_formula_of_the_paper(said, proba, labels, sample_domain):
    outputs = Outputs(said, proba, labels, sample_domain)
    w, loss = outputs.odds[:15], outputs.source_losses
    weighted = w * loss
    eta = -np.cov(weighted, w)[0, 1] / np.var(w, ddof=1)
    expected = -(weighted.mean() + eta * w.mean() - eta)
    assert scores.deep_embedded_validation_score(outputs) == pytest.approx(expected)


@pytest.mark.parametrize(("shift", "low", "high"), [(0.0, -0.3, 0.3), (10.0, -2.0, -1.99)])
def test_distance_is_two_for_domains_apart_and_none_for_domains_alike(said, shift, low, high):
    rows = np.random.default_rng(0).normal(size=(3000, 3))
    rows[2000:] += shift
    outputs = Outputs(said, rows, None, np.repeat([1, -1], [2000, 1000]))
    assert low <= scores.proxy_a_distance_score(outputs) <= high


def test_distance_is_that_of_the_best_line_between_two_gaussians(said):
    rows = np.random.default_rng(0).normal(size=(4000, 3))
    rows[2000:, 0] += 1.0
    outputs = Outputs(said, rows, None, np.repeat([1, -1], 2000))
    expected = -2 * (1 - 2 * norm.cdf(-0.5))
    assert scores.proxy_a_distance_score(outputs) == pytest.approx(expected, abs=0.1)
