import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics.pairwise import rbf_kernel

from sktl.adaptation import _rulsif
from sktl.adaptation._rulsif import rulsif


@pytest.fixture
def rows():
    generator = np.random.default_rng(0)
    return generator.normal(size=(500, 1)), generator.normal(size=(400, 1)) * 0.6 + 0.7


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5])
def test_the_true_relative_ratio_is_found(rows, alpha):
    source, target = rows
    found = rulsif(source, target, alpha, 1.0, 100, np.random.RandomState(0))
    p, q = norm.pdf(source[:, 0], 0.7, 0.6), norm.pdf(source[:, 0])
    true = p / (alpha * p + (1 - alpha) * q)
    assert np.corrcoef(found, true)[0, 1] > 0.95
    assert found.min() >= 0
    if alpha == 0.5:
        assert found.max() < 1.1 / alpha


def test_the_solution_is_that_of_ridge_regression_in_closed_form(rows, monkeypatch):
    monkeypatch.setattr(_rulsif, "WIDTHS", (1.0, 1.0))
    monkeypatch.setattr(_rulsif, "PENALTIES", (0.1, 0.1))
    source, target = rows[0], rows[1][:30]
    found = rulsif(source, target, 0.2, 1.0, 30, np.random.RandomState(0))
    on_source, on_target = rbf_kernel(source, target, 0.5), rbf_kernel(target, gamma=0.5)
    squares = 0.2 * on_target.T @ on_target / 30 + 0.8 * on_source.T @ on_source / 500
    theta = np.linalg.solve(squares + 0.1 * np.eye(30), on_target.mean(0))
    np.testing.assert_allclose(found, (on_source @ theta).clip(min=0), rtol=1e-6, atol=1e-9)


def test_one_row_of_each_side_will_do(rows):
    source, target = rows
    assert np.isfinite(rulsif(source[:1], target[:1], 0.1, 1.0, 10, np.random.RandomState(0))).all()
