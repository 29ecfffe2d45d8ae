import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from sktl.adaptation._kernels import median_squared_distance, squared_distances


@pytest.fixture
def rows():
    generator = np.random.default_rng(0)
    return generator.normal(size=(30, 4)), generator.normal(size=(20, 4)) + 1


def test_distances_are_scipys(rows):
    np.testing.assert_allclose(squared_distances(*rows), cdist(*rows, "sqeuclidean"))


def test_the_median_is_over_pairs_of_all_rows(rows):
    found = median_squared_distance(*rows, np.random.RandomState(0))
    assert found == pytest.approx(np.median(pdist(np.concatenate(rows), "sqeuclidean")))


def test_of_many_rows_some_tell_the_median():
    source = np.random.default_rng(0).normal(size=(3000, 2))
    found = median_squared_distance(source, source + 1, np.random.RandomState(0))
    expected = np.median(pdist(np.concatenate([source, source + 1])[::3], "sqeuclidean"))
    assert found == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(("others", "expected"), [([0, 0, 0], 1.0), ([0, 0, 3], 9 * 5 / 15)])
def test_rows_that_are_mostly_alike_give_no_zero(others, expected):
    alike, others = np.zeros((3, 1)), np.array(others, float)[:, None]
    assert median_squared_distance(alike, others, np.random.RandomState(0)) == expected
