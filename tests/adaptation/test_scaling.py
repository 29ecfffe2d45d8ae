"""Mean and variance normalisation of every domain."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from sktl import DomainStandardScaler


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    sample_domain = generator.choice([0, 3, -1, -4], 80)
    X = generator.normal(size=(80, 5)) * (2 + sample_domain[:, None] ** 2) + sample_domain[:, None]
    return X, sample_domain


def test_each_domain_is_scaled_as_scikit_learn_scales_it_alone(data):
    X, sample_domain = data
    found = DomainStandardScaler().fit_transform(X, sample_domain=sample_domain)
    for number in (0, 3, -1, -4):
        rows = sample_domain == number
        np.testing.assert_allclose(found[rows], StandardScaler().fit_transform(X[rows]))


@pytest.mark.parametrize("options", [{"with_mean": False}, {"with_std": False}])
def test_half_of_it_can_be_left_out(data, options):
    X, sample_domain = data
    found = DomainStandardScaler(**options).fit_transform(X, sample_domain=sample_domain)
    rows = sample_domain == 3
    expected = StandardScaler(**options).fit_transform(X[rows])
    np.testing.assert_allclose(found[rows], expected)


def test_domains_not_seen_are_scaled_as_their_side_as_a_whole(data):
    X, sample_domain = data
    model = DomainStandardScaler().fit(X, sample_domain=sample_domain)
    target = StandardScaler().fit(X[sample_domain < 0])
    source = StandardScaler().fit(X[sample_domain >= 0])
    np.testing.assert_allclose(model.transform(X), target.transform(X))
    np.testing.assert_allclose(model.transform(X, np.full(80, -9)), target.transform(X))
    np.testing.assert_allclose(model.transform(X, np.full(80, 9)), source.transform(X))


def test_coefficients_that_do_not_vary_are_only_shifted():
    found = DomainStandardScaler().fit_transform(np.full((4, 1), 7.0), sample_domain=[0, 0, -1, -1])
    np.testing.assert_array_equal(found, 0)
