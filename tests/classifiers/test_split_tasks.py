"""Rows held out where there are several tasks: every class of each on both sides."""

import numpy as np
import pytest

from sktl import MultiTaskClassifier
from sktl.classifiers._data import Data
from sktl.classifiers._split import split_rows


def make_data(y, known=None, source=None, groups=None):
    known = np.ones(y.shape, bool) if known is None else known
    source = np.ones(len(y), bool) if source is None else source
    classes = [np.unique(column) for column in y.T]
    weight = (known & source[:, None]).astype(float)
    return Data(np.zeros((len(y), 1)), y, weight, source, classes, groups)


def tables(n=300, seed=0):
    generator = np.random.default_rng(seed)
    rare = (generator.random(n) < 0.03).astype(int)
    return np.column_stack([generator.integers(0, 4, n), rare, generator.integers(0, 2, n)])


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.6])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_share_of_each_class_of_each_task_is_held_out(fraction, seed):
    y = tables(seed=seed)
    known = np.random.default_rng(5).random(y.shape) < 0.8
    train, held_out = split_rows(make_data(y, known), fraction, seed)
    assert sorted([*train, *held_out]) == list(range(300))
    assert len(held_out) == pytest.approx(300 * fraction, abs=6)
    for task in range(3):
        for label in np.unique(y[:, task]):
            all_of_it = known[:, task] & (y[:, task] == label)
            n_out = all_of_it[held_out].sum()
            assert n_out == pytest.approx(max(1, fraction * all_of_it.sum()), abs=2.5)
            assert 1 <= n_out < all_of_it.sum()


def test_rows_without_a_label_are_trained_on():
    y = tables()
    known = np.arange(300)[:, None] % 10 > [0, 0, 0]
    train, held_out = split_rows(make_data(y, known), 0.3, 0)
    assert set(range(0, 300, 10)) <= set(train.tolist())
    assert len(held_out) == pytest.approx(81, abs=6)


def test_another_seed_holds_out_other_rows():
    splits = [split_rows(make_data(tables()), 0.2, seed)[1].tolist() for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]


def test_rows_of_the_target_are_never_held_out():
    source = np.arange(300) % 2 == 0
    train, held_out = split_rows(make_data(tables(), source=source), 0.2, 0)
    assert source[held_out].all()
    assert len(train) + len(held_out) == 300


def test_whole_groups_are_held_out():
    groups = np.arange(300) // 30
    y = np.column_stack([np.arange(300) % 3, np.arange(300) % 2])
    train, held_out = split_rows(make_data(y, groups=groups), 0.3, 0)
    assert not set(groups[train]) & set(groups[held_out])
    assert len(held_out) == 90


def test_a_class_of_one_row_is_named_with_its_column():
    X, y = np.zeros((20, 2)), np.column_stack([np.arange(20) % 2, np.arange(20) == 3])
    with pytest.raises(ValueError, match="leaves no row of class 1 of column 1 to validate on"):
        MultiTaskClassifier(early_stopping=True).fit(X, y.astype(int))
    with pytest.raises(ValueError, match="leaves no row of class 0 of column 0 to validate on"):
        split_rows(make_data(np.array([[0, 0], [1, 1]])), 0.3, 0)
