"""Labels that are read and labels that are not; weights."""

import numpy as np
import pytest

from sktl import FineTunedClassifier
from sktl.classifiers._labels import check_labels, check_weights

SOURCE = np.array([True, True, False, True, False])


@pytest.mark.parametrize(
    "y",
    [
        [0, 1, 5, 1, -1],
        ["a", "b", "?", "b", "?"],
        np.array(["a", "b", None, "b", 3], dtype=object),
        np.array([0.0, 1.0, np.nan, 1.0, 0.5]),
    ],
)
def test_whatever_target_rows_hold_is_let_through(y):
    checked = check_labels(FineTunedClassifier(), y, SOURCE)
    assert list(checked[SOURCE]) == [v for v, source in zip(y, SOURCE, strict=True) if source]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y to be passed, but the target y is None; give one label per row"),
        ([0, 1, 1, 0], r"inconsistent numbers of samples: \[5, 4\]"),
        ([0.5, 1, 0, 1, 0], "Unknown label type: continuous"),
        ([np.nan, 1, 0, 1, 0], "Input y contains NaN"),
        (np.zeros((5, 2)), "y should be a 1d array"),
    ],
)
def test_source_labels_that_are_none_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        check_labels(FineTunedClassifier(), y, SOURCE)


def test_without_weights_each_row_counts_once():
    np.testing.assert_array_equal(check_weights(None, 5, SOURCE), np.ones(5))


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([0, 0, 1, 0, 1], "sample_weight is zero for every source row; at least one must be"),
        ([1, -1, 1, 1, 1], "[Nn]egative values"),
        ([1, np.nan, 1, 1, 1], "contains NaN"),
        ([1, 1], r"sample_weight.shape == \(2,\), expected \(5,\)"),
    ],
)
def test_weights_that_mean_nothing_are_refused(weight, message):
    with pytest.raises(ValueError, match=message):
        check_weights(weight, 5, SOURCE)
