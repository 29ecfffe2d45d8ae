import numpy as np
import pytest

from sktl.adaptation import FeatureAugmentation

X = np.arange(8.0).reshape(4, 2) + 1


def test_each_domain_has_a_copy_of_its_own():
    sample_domain = [2, -1, 0, -1]
    found = FeatureAugmentation().fit_transform(X, sample_domain=sample_domain)
    expected = np.zeros((4, 8))
    expected[:, :2] = X
    for row, place in enumerate([3, 1, 2, 1]):  # domains in ascending order: -1, 0, 2
        expected[row, 2 * place : 2 * place + 2] = X[row]
    np.testing.assert_array_equal(found, expected)


def test_names_tell_the_domain():
    fitted = FeatureAugmentation().fit(X, sample_domain=[0, 0, -1, -1])
    names = ["x0", "x1", "x0_domain-1", "x1_domain-1", "x0_domain0", "x1_domain0"]
    assert list(fitted.get_feature_names_out()) == names
    assert list(fitted.get_feature_names_out(["a", "b"]))[2] == "a_domain-1"
    with pytest.raises(ValueError, match="should have length equal to number of features"):
        fitted.get_feature_names_out(["a"])


@pytest.mark.parametrize(("targets", "place"), [([-1, -1], 1), ([-1, -2], None)])
def test_rows_without_a_domain_are_of_the_only_target_or_of_none(targets, place):
    fitted = FeatureAugmentation().fit(X, sample_domain=[0, 0, *targets])
    found = fitted.transform(X)
    np.testing.assert_array_equal(found[:, :2], X)
    expected = np.zeros_like(found)
    expected[:, :2] = X
    if place is not None:
        expected[:, 2 * place : 2 * place + 2] = X
    np.testing.assert_array_equal(found, expected)


def test_a_domain_that_was_not_seen_has_what_all_share():
    fitted = FeatureAugmentation().fit(X, sample_domain=[0, 0, -1, -1])
    found = fitted.transform(X, [5, 5, 5, -7])
    np.testing.assert_array_equal(found[:, :2], X)
    assert not found[:, 2:].any()
