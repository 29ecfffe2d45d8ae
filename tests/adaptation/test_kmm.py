import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.metrics.pairwise import rbf_kernel

from sktl.adaptation._kmm import kernel_mean_matching

GAMMA = 0.3


@pytest.fixture
def rows():
    generator = np.random.default_rng(0)
    return generator.normal(size=(40, 2)), generator.normal(size=(25, 2)) * 0.7 + [0.8, 0]


def match(rows, bound=1000.0, n_landmarks=1000):
    return kernel_mean_matching(
        *rows, GAMMA, bound, n_landmarks, np.random.RandomState(0), tol=1e-9
    )


def loss(w, rows):
    source, target = rows
    pull = rbf_kernel(source, target, GAMMA).sum(1) * len(source) / len(target)
    return w @ rbf_kernel(source, gamma=GAMMA) @ w / 2 - pull @ w


@pytest.mark.parametrize("bound", [1000.0, 2.0])
def test_no_solver_of_scipy_finds_a_better_minimum(rows, bound):
    source, target = rows
    n = len(source)
    kernel = rbf_kernel(source, gamma=GAMMA)
    pull = rbf_kernel(source, target, GAMMA).sum(1) * n / len(target)
    slack = n * (np.sqrt(n) - 1) / np.sqrt(n)
    sums = [
        {"type": "ineq", "fun": lambda w: n + slack - w.sum()},
        {"type": "ineq", "fun": lambda w: w.sum() - n + slack},
    ]
    expected = minimize(
        loss,
        np.ones(n),
        args=(rows,),
        jac=lambda w, _: kernel @ w - pull,
        bounds=[(0, bound)] * n,
        constraints=sums,
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-12},
    )
    found = match(rows, bound)
    assert found.min() >= 0
    assert found.max() <= bound
    assert abs(found.sum() - n) <= slack + 1e-6
    assert loss(found, rows) == pytest.approx(expected.fun, rel=1e-4)


def test_the_sum_of_weights_stays_within_bounds(rows):
    source, target = rows
    far = kernel_mean_matching(source, target + 50, GAMMA, 1000.0, 1000, np.random.RandomState(0))
    assert far.sum() == pytest.approx(np.sqrt(len(source)), rel=1e-6)


def test_the_weighted_means_of_features_agree_better():
    generator = np.random.default_rng(0)
    source = generator.normal(size=(600, 1))
    target = generator.normal(size=(400, 1)) * 0.5 + 1
    w = kernel_mean_matching(source, target, 0.5, 1000.0, 1000, np.random.RandomState(0))
    assert np.average(source[:, 0], weights=w) == pytest.approx(target.mean(), abs=0.1)


def test_landmarks_give_nearly_the_same_fit():
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(400, 2)), generator.normal([0.8, 0], size=(300, 2))
    exact, fewer = match(rows), match(rows, n_landmarks=80)
    assert loss(fewer, rows) == pytest.approx(loss(exact, rows), rel=1e-3)


def test_many_rows_take_little_memory():
    # A kernel matrix of all rows would take 20 GB.
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(50_000, 2)), generator.normal(size=(2_000, 2)) + 0.5
    w = kernel_mean_matching(*rows, 0.5, 1000.0, 20, np.random.RandomState(0))
    assert np.average(rows[0], axis=0, weights=w) == pytest.approx([0.5, 0.5], abs=0.1)
