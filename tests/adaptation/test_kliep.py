import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm
from sklearn.metrics.pairwise import rbf_kernel

from sktl.adaptation import _kliep
from sktl.adaptation._kliep import kliep

SCALE = 1.0


@pytest.fixture
def rows():
    generator = np.random.default_rng(0)
    return generator.normal(size=(300, 1)), generator.normal(size=(200, 1)) * 0.6 + 0.7


def test_the_true_ratio_is_found(rows):
    source, target = rows
    found = kliep(source, target, SCALE, 100, np.random.RandomState(0))
    true = norm.pdf(source, 0.7, 0.6) / norm.pdf(source)
    assert np.corrcoef(found, true[:, 0])[0, 1] > 0.95
    assert found.mean() == pytest.approx(1, abs=1e-6)


def test_the_likelihood_is_that_of_a_general_solver(rows, monkeypatch):
    monkeypatch.setattr(_kliep, "WIDTHS", (0.5, 0.5))
    monkeypatch.setattr(_kliep, "MOST_STEPS", 20_000)
    source, target = rows[0][:60], rows[1][:12]
    found = kliep(np.concatenate([source, target]), target, SCALE, 12, np.random.RandomState(0))
    gamma = 1 / (2 * SCALE * 0.5**2)
    all_rows = np.concatenate([source, target])
    on_source, on_target = rbf_kernel(all_rows, target, gamma), rbf_kernel(target, gamma=gamma)
    expected = minimize(
        lambda a: -np.log(on_target @ a).mean(),
        np.full(12, 1 / on_source.mean(0).sum()),
        bounds=[(1e-9, None)] * 12,
        constraints={"type": "eq", "fun": lambda a: on_source.mean(0) @ a - 1},
        options={"maxiter": 2000, "ftol": 1e-12},
    )
    assert np.log(found[-12:]).mean() == pytest.approx(-expected.fun, rel=1e-3)


def test_few_centres_and_few_rows_do(rows):
    source, target = rows
    assert np.isfinite(kliep(source, target, SCALE, 5, np.random.RandomState(0))).all()
    assert np.isfinite(kliep(source[:2], target[:1], SCALE, 5, np.random.RandomState(0))).all()


def test_a_target_out_of_reach_gives_zeros(rows):
    source, target = rows
    found = kliep(source, target + 1e4, SCALE, 50, np.random.RandomState(0))
    np.testing.assert_array_equal(found, 0)
