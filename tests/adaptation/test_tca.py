import numpy as np
import pytest
from scipy import linalg
from sklearn.metrics.pairwise import pairwise_kernels

from sktl.adaptation import TCATransformer


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(50, 6)) @ generator.normal(size=(6, 6))
    sample_domain = np.where(np.arange(50) % 3 == 0, -1, 1)
    X[sample_domain < 0] += 1.0
    return X, sample_domain


def components_from_the_paper(kernel, sample_domain, mu, count):
    """Pan et al. 2011: leading eigenvectors of (K e e' K + mu I)^-1 K H K, dense."""
    n = len(kernel)
    source = sample_domain >= 0
    e = np.where(source, 1 / source.sum(), -1 / (~source).sum())
    centring = np.eye(n) - np.full((n, n), 1 / n)
    penalty = kernel @ np.outer(e, e) @ kernel + mu * np.eye(n)
    _, vectors = linalg.eigh(kernel @ centring @ kernel, penalty)
    return kernel @ vectors[:, ::-1][:, :count]


@pytest.mark.parametrize("mu", [0.1, 1.0])
@pytest.mark.parametrize(
    "options",
    [
        {"kernel": "linear"},
        {"kernel": "rbf", "gamma": 0.05},
        {"kernel": "laplacian", "gamma": 0.05},
        {"kernel": "cosine"},
    ],
    ids=lambda options: options["kernel"],
)
def test_equals_the_dense_solution(data, options, mu):
    X, sample_domain = data
    transformer = TCATransformer(3, mu=mu, random_state=0, **options)
    found = transformer.fit_transform(X, sample_domain=sample_domain)
    parameters = {name: value for name, value in options.items() if name != "kernel"}
    kernel = pairwise_kernels(X, metric=options["kernel"], **parameters)
    expected = components_from_the_paper(kernel, sample_domain, mu, 3)
    signs = np.sign((found * expected).sum(0))
    np.testing.assert_allclose(found, expected * signs, rtol=1e-5, atol=1e-6)


def test_a_smaller_mu_brings_the_means_together(data):
    X, sample_domain = data
    gaps = []
    for mu in (1e-6, 1e6):
        found = TCATransformer(3, mu=mu).fit_transform(X, sample_domain=sample_domain)
        gap = found[sample_domain > 0].mean(0) - found[sample_domain < 0].mean(0)
        gaps.append(np.abs(gap / found.std(0)).max())
    assert gaps[0] < 1e-3
    assert gaps[1] > 0.1


def test_new_rows_go_through_the_kernel_with_those_of_training(data):
    X, sample_domain = data
    transformer = TCATransformer(2, kernel="rbf", random_state=0)
    found = transformer.fit_transform(X, sample_domain=sample_domain)
    np.testing.assert_allclose(transformer.transform(X[7:9]), found[7:9], atol=1e-9)


def test_of_many_rows_landmarks_span_the_space(data):
    X, sample_domain = data
    few = TCATransformer(2, kernel="rbf", n_landmarks=20, random_state=0)
    assert few.fit(X, sample_domain=sample_domain).components_.shape == (20, 2)
    again = TCATransformer(2, kernel="rbf", n_landmarks=20, random_state=0)
    again.fit(X, sample_domain=sample_domain)
    np.testing.assert_array_equal(few.transform(X), again.transform(X))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 9}, "n_components=9, but 50 rows of 6 features give 6 components"),
        ({"n_components": 0}, "'n_components' parameter"),
        ({"mu": 0.0}, "'mu' parameter"),
        ({"gamma": -1.0}, "'gamma' parameter"),
        ({"kernel": "chi2"}, "'kernel' parameter"),
        ({"n_landmarks": 0}, "'n_landmarks' parameter"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(data, parameters, message):
    X, sample_domain = data
    with pytest.raises(ValueError, match=message):
        TCATransformer(**parameters).fit(X, sample_domain=sample_domain)
