"""The convention for domains: 0 and above is source, below 0 is target."""

import numpy as np
import pytest

from sktl._domains import (
    check_allowed,
    check_sample_domain,
    is_masked,
    is_source,
    known_accuracy,
)


def test_without_domains_every_row_is_source():
    domain = check_sample_domain(None, 3)
    assert domain.dtype == np.int64
    assert is_source(domain).tolist() == [True] * 3


@pytest.mark.parametrize(
    "given",
    [
        [0, 2, -1, -5],
        (0.0, 2.0, -1.0, -5.0),
        np.array([0, 2, -1, -5], dtype=np.int8),
        np.array([0, 2, -1, -5], dtype=np.float32),
    ],
)
def test_the_sign_tells_source_from_target(given):
    domain = check_sample_domain(given, 4)
    assert domain.dtype == np.int64
    assert domain.tolist() == [0, 2, -1, -5]
    assert is_source(domain).tolist() == [True, True, False, False]


def test_series_and_tensors_are_taken():
    pandas = pytest.importorskip("pandas")
    torch = pytest.importorskip("torch")
    assert check_sample_domain(pandas.Series([1, -1], index=[7, 3]), 2).tolist() == [1, -1]
    assert check_sample_domain(torch.tensor([1, -1]), 2).tolist() == [1, -1]


def test_truths_are_refused_since_both_would_be_source():
    with pytest.raises(ValueError, match="has dtype bool; give integers, 0 and above for source"):
        check_sample_domain([True, False], 2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1, -1], r"has shape \(2,\) but X has 3 rows; give one integer per row, shape \(3,\)"),
        ([[1], [1], [-1]], r"has shape \(3, 1\) but X has 3 rows"),
        (1, r"has shape \(\) but X has 3 rows"),
        ([0.5, 1, -1], r"holds 0\.5, which is not a whole number; give integers, 0 and above"),
        ([np.nan, 1, -1], "holds nan, which is not a whole number"),
        ([np.inf, 1, -1], "holds inf, which is not a whole number"),
        (["a", "b", "c"], "has dtype <U1; give integers, 0 and above for source rows"),
        ([None, 1, -1], "has dtype object; give integers"),
        ([1j, 1, -1], "has dtype complex128; give integers"),
    ],
)
def test_what_tells_no_domain_is_refused(given, message):
    with pytest.raises(ValueError, match="^sample_domain " + message):
        check_sample_domain(given, 3)


def test_what_was_given_is_left_as_it_was():
    given = np.array([1, -1])
    check_sample_domain(given, 2)[0] = 9
    assert given.tolist() == [1, -1]


def test_a_fit_needs_a_source_row():
    target = np.array([-1, -2, -3])
    assert not is_source(target).any()
    message = r"^sample_domain marks all 3 rows as target \(negative\); fit needs at least one"
    with pytest.raises(ValueError, match=message):
        is_source(target, allow_all_target=False)
    assert is_source(np.array([-1, 0]), allow_all_target=False).tolist() == [False, True]


def test_source_rows_are_refused_only_where_they_were_given():
    domain = np.array([1, -1, 1])
    check_allowed(domain, domain, allow_source=True)
    check_allowed(domain, None, allow_source=False)
    check_allowed(-np.abs(domain), domain, allow_source=False)
    message = "^allow_source=False but sample_domain marks 2 of 3 rows as source; leave them out"
    with pytest.raises(ValueError, match=message):
        check_allowed(domain, domain, allow_source=False)


@pytest.mark.parametrize(
    ("y", "classes", "expected"),
    [
        ([0, 9, -1, 1, 1], [0, 1], [False, False, True, False, False]),
        (["a", "z", "a", "b", "?"], ["a", "b"], [False, False, False, False, True]),
        ([0.0, 1.0, np.nan, 1.0, 0.0], [0, 1], [False, False, True, False, False]),
    ],
)
def test_only_target_rows_of_unknown_label_are_masked(y, classes, expected):
    masked = is_masked(np.array(y), np.array([True, True, False, True, False]), np.array(classes))
    assert masked.tolist() == expected


def test_masked_rows_do_not_count_as_errors():
    predicted, classes = np.array([0, 1, 1, 0]), np.array([0, 1])
    y, domain = [0, 0, -1, 0], [1, -1, -1, -1]
    assert known_accuracy(predicted, y, None, domain, classes) == pytest.approx(2 / 3)
    assert known_accuracy(predicted, y, [1, 2, 9, 1], domain, classes) == pytest.approx(1 / 2)
    with pytest.raises(ValueError, match="none of the 4 labels in y is one of classes_"):
        known_accuracy(predicted, [-1] * 4, None, [-1] * 4, classes)
