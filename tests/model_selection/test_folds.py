"""Every split can be trained and tested on, or nothing is."""

import random

import numpy as np
import pytest
from sklearn.model_selection import LeaveOneGroupOut, ShuffleSplit, StratifiedKFold

from sktl.model_selection._folds import make_folds

Y = np.repeat(["a", "b", "c"], 10)
X = np.arange(30)
SPEAKERS = np.tile(np.arange(5), 6)


def test_a_number_gives_shuffled_folds_with_equal_shares_of_the_classes():
    folds = make_folds(5, X, Y, None, 3)
    expected = StratifiedKFold(5, shuffle=True, random_state=3).split(X, Y)
    for found, wanted in zip(folds, expected, strict=True):
        np.testing.assert_array_equal(found[0], wanted[0])
        np.testing.assert_array_equal(found[1], wanted[1])
    assert np.unique(Y[folds[0][1]], return_counts=True)[1].tolist() == [2, 2, 2]


def test_none_is_five_folds():
    assert len(make_folds(None, X, Y, None, 0)) == 5


def test_groups_stay_on_one_side():
    for train, test in make_folds(3, X, Y, SPEAKERS, 0):
        assert not set(SPEAKERS[train]) & set(SPEAKERS[test])


def test_a_splitter_is_given_the_groups():
    folds = make_folds(LeaveOneGroupOut(), X, Y, list(SPEAKERS), 0)
    assert [set(SPEAKERS[test]) for _, test in folds] == [{0}, {1}, {2}, {3}, {4}]


def test_splits_may_be_masks_or_lists():
    even = X % 2 == 0
    folds = make_folds([(even, ~even), ((~even).nonzero()[0].tolist(), [0, 2])], X, Y, None, 0)
    np.testing.assert_array_equal(folds[0][1], np.arange(1, 30, 2))
    np.testing.assert_array_equal(folds[1][1], [0, 2])


def test_no_global_generator_is_drawn_from():
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    make_folds(5, X, Y, SPEAKERS, 0)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002


ALL = np.arange(30)


@pytest.mark.parametrize(
    ("cv", "groups", "match"),
    [
        (1, None, "cv=1; give 2 folds or more"),
        (11, None, "y holds 'a' 10 times, too few for cv=11 folds; give at most"),
        (6, SPEAKERS, "groups has 5 distinct values, too few for cv=6"),
        (2, np.zeros(30), "groups has 1 distinct values, too few for cv=2"),
        (2, SPEAKERS[:7], r"groups has shape \(7,\) but y has \(30,\)"),
        ([(ALL[:20], ALL[20:])], None, "cv gives 1 split"),
        (ShuffleSplit(1, random_state=0), None, "cv gives 1 split"),
        ([(ALL[:20], ALL[20:]), (ALL, [])], None, "split 1 of cv has 30 rows to train on and 0"),
        ([(ALL[:10], ALL[20:])] * 2, None, "split 0 of cv trains on rows of the one class 'a'"),
        ([(ALL[:21], ALL[20:])] * 2, None, "split 0 of cv tests on rows that it trains on"),
        ([(ALL[:20], ALL[20:])] * 2, SPEAKERS, "split 0 of cv has rows of group 0 on both sides"),
    ],
)
def test_splits_that_tell_nothing_are_refused(cv, groups, match):
    with pytest.raises(ValueError, match=match):
        make_folds(cv, X, Y, groups, 0)
