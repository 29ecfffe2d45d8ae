"""Which rows are held out: shares of classes, or whole groups."""

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktl import DANNClassifier, FineTunedClassifier
from sktl.classifiers._data import Data
from sktl.classifiers._split import split_rows

SHORT = {"max_epochs": 2, "batch_size": 16, "random_state": 0}
HELD = {"early_stopping": True, "validation_fraction": 0.25, **SHORT}


def make_data(y, source=None, groups=None, classes=None):
    y = np.asarray(y)
    source = np.ones(len(y), bool) if source is None else np.asarray(source)
    classes = np.unique(y[source]) if classes is None else np.asarray(classes)
    X = np.arange(len(y))[:, None].astype(float)
    return Data(X, y, np.ones(len(y)), source, classes, None if groups is None else groups)


def test_held_out_rows_are_of_the_source_and_of_every_class_in_proportion():
    y = np.r_[np.zeros(50), np.ones(30), np.full(20, 2), np.zeros(100)].astype(int)
    source = np.arange(200) < 100
    train, held_out = split_rows(make_data(y, source), 0.2, seed=0)
    assert source[held_out].all()
    assert np.bincount(y[held_out]).tolist() == [10, 6, 4]
    assert sorted([*train, *held_out]) == list(range(200))
    assert split_rows(make_data(y, source), 0.2, seed=1)[1].tolist() != held_out.tolist()


@pytest.mark.parametrize(
    ("fraction", "held_out"), [(0.01, [1, 1]), (0.5, [1, 2]), (0.9, [1, 2]), (0.999, [1, 2])]
)
def test_each_class_has_a_row_on_both_sides(fraction, held_out):
    y = np.array([1, 1, 2, 2, 2]) - 1
    train, found = split_rows(make_data(y), fraction, seed=0)
    assert np.bincount(y[found]).tolist() == held_out
    assert np.bincount(y[train]).tolist() == [2 - held_out[0], 3 - held_out[1]]


@pytest.mark.parametrize("fraction", [0.1, 0.9])
def test_a_class_of_one_row_is_on_one_side_and_refused(fraction):
    data = make_data([0, 0, 0, 1, 2, 2], classes=["cat", "dog", "owl"])
    with pytest.raises(ValueError, match="leaves no row of class 'dog' to validate on; give"):
        split_rows(data, fraction, seed=0)


def grouped(n_groups=10, size=8, n_classes=2):
    """Rows of each group, one class after the other."""
    n = n_groups * size
    return np.arange(n) % n_classes, np.repeat([f"speaker {i}" for i in range(n_groups)], size)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("fraction", "n_held_out"), [(0.01, 1), (0.1, 1), (0.3, 3), (0.97, 9)])
def test_groups_stay_whole(seed, fraction, n_held_out):
    y, groups = grouped()
    train, held_out = split_rows(make_data(y, groups=groups), fraction, seed)
    assert not set(groups[train]) & set(groups[held_out])
    assert len(set(groups[held_out])) == n_held_out
    assert sorted([*train, *held_out]) == list(range(80))


def test_groups_of_several_sizes_come_near_to_the_share():
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), generator.integers(2, 30, 40))
    y = np.arange(len(groups)) % 2
    for seed in range(10):
        held_out = split_rows(make_data(y, groups=groups), 0.3, seed)[1]
        assert len(held_out) == pytest.approx(0.3 * len(y), abs=15)


def test_the_choice_of_groups_follows_from_the_seed():
    y, groups = grouped()
    data = make_data(y, groups=groups)
    choices = [tuple(split_rows(data, 0.3, seed)[1]) for seed in (0, 0, 1, 2, 3)]
    assert choices[0] == choices[1]
    assert len(set(choices)) > 2


def test_groups_of_target_rows_do_not_count():
    y, groups = grouped(4)
    source = np.arange(32) < 16
    train, held_out = split_rows(make_data(y, source, groups), 0.5, seed=0)
    assert len(set(groups[held_out])) == 1
    assert set(np.flatnonzero(~source)) <= set(train)
    same = make_data(y, source, np.where(source, groups, "target"))
    assert split_rows(same, 0.5, seed=0)[1].tolist() == held_out.tolist()
    with pytest.raises(ValueError, match="groups holds one group, 'speaker 0', of the source"):
        split_rows(make_data(y, np.arange(32) < 8, groups), 0.5, seed=0)


@pytest.mark.parametrize("name", ["only", 7, 2.5])
def test_one_group_cannot_be_split(name):
    data = make_data([0, 1, 0, 1], groups=np.full(4, name))
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        split_rows(data, 0.5, seed=0)
    assert str(caught.value) == (
        f"groups holds one group, {name!r}, of the source rows, and whole groups are held out for "
        "early stopping; give groups=None or early_stopping=False."
    )


@pytest.mark.parametrize(
    ("groups", "missing"), [([0, 0, 0, 1, 1, 1], "train on|validate on"), ([0, 1, 2, 3, 4, 5], "")]
)
def test_groups_that_part_the_classes_are_refused(groups, missing):
    data = make_data([0, 0, 0, 1, 1, 1], groups=np.array(groups))
    message = r"validation_fraction=0\.2 of 6 source rows in \d groups leaves no row of class \d to"
    with pytest.raises(ValueError, match=f"{message} ({missing})"):
        split_rows(data, 0.2, seed=0)


def held_out_rows(fitted):
    """Rows of X that were held out, as the network was given them."""
    units = fitted.net_.train_split(None)[1].units.values
    scaler = fitted.net_.module_.input_scaler
    assert units.shape[1:] == scaler.mean.shape
    return units.numpy()


def test_whole_groups_are_held_out_of_a_fit(blobs):
    X, y, _ = blobs
    groups = np.arange(60) // 6
    fitted = FineTunedClassifier(**HELD).fit(X, y, groups=groups)
    held_out = [int(np.flatnonzero((row == X).all(1))[0]) for row in held_out_rows(fitted)]
    assert len(held_out) == 12
    inside = np.isin(np.arange(60), held_out)
    assert {inside[groups == g].all() or not inside[groups == g].any() for g in range(10)} == {True}
    other = FineTunedClassifier(**HELD).fit(X, y)
    assert not np.array_equal(fitted.predict_proba(X), other.predict_proba(X))
    again = FineTunedClassifier(**HELD).fit(X, y, groups=groups.astype(str))
    assert again.history_[0]["valid_loss"] > 0
    assert {"valid_loss", "valid_accuracy"} <= set(fitted.history_[0])


def test_without_early_stopping_groups_change_nothing(blobs):
    X, y, _ = blobs
    one = FineTunedClassifier(**SHORT).fit(X, y, groups=np.zeros(60))
    other = FineTunedClassifier(**SHORT).fit(X, y)
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_rows_that_do_not_count_take_their_groups_with_them(blobs):
    X, y, sample_domain = blobs
    groups = np.arange(60) // 6
    weight = (np.arange(60) % 5 > 0).astype(float)
    keep = (weight > 0) & (sample_domain >= 0)
    found = FineTunedClassifier(**HELD).fit(X, y, sample_domain, weight, groups)
    expected = FineTunedClassifier(**HELD).fit(X[keep], y[keep], groups=groups[keep])
    np.testing.assert_array_equal(found.predict_proba(X), expected.predict_proba(X))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (np.zeros(59), r"inconsistent numbers of samples: \[60, 59\]"),
        (np.zeros((60, 2)), "1d array"),
        (np.zeros(60), r"groups holds one group, 0\.0, of the source rows"),
        (np.arange(60) // 30, None),
        (np.arange(60) % 2, "in 2 groups leaves no row of class"),
    ],
)
def test_groups_that_are_none_are_refused_before_training(blobs, groups, message, monkeypatch):
    X, y, _ = blobs
    if message is None:
        assert FineTunedClassifier(**HELD).fit(X, y, groups=groups).n_iter_ == 2
        return
    monkeypatch.setattr(torch.Tensor, "backward", None)
    with pytest.raises(ValueError, match=message):
        FineTunedClassifier(**HELD).fit(X, y, groups=groups)


def test_a_pipeline_hands_groups_on(blobs):
    X, y, _ = blobs
    groups = np.arange(60) // 6
    pipe = make_pipeline(StandardScaler(), FineTunedClassifier(**HELD))
    prefixed = pipe.fit(X, y, finetunedclassifier__groups=groups).predict_proba(X)
    with config_context(enable_metadata_routing=True):
        routed = pipe.fit(X, y, groups=groups).predict_proba(X)
        direct = FineTunedClassifier(**HELD).fit(X, y, groups=groups)
    np.testing.assert_array_equal(routed, prefixed)
    alone = pipe.fit(X, y).predict_proba(X)
    assert not np.array_equal(routed, alone)
    assert direct.n_iter_ == 2


def test_a_search_hands_groups_to_the_splitter_and_to_the_fits(blobs):
    X, y, sample_domain = blobs
    groups = np.arange(60) // 6
    grid = {"lr": [0.01, 0.1]}
    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(FineTunedClassifier(**HELD), grid, cv=GroupKFold(3))
        search.fit(X, y, groups=groups)
        adaptive = GridSearchCV(DANNClassifier(**HELD), {"lambda_adv": [0.0, 1.0]}, cv=2)
        adaptive.fit(X, y, groups=groups, sample_domain=sample_domain)
        scores = cross_val_score(
            FineTunedClassifier(**HELD), X, y, cv=GroupKFold(3), params={"groups": groups}
        )
    expected = []
    for train, test in GroupKFold(3).split(X, y, groups):
        fitted = FineTunedClassifier(lr=0.01, **HELD).fit(X[train], y[train], groups=groups[train])
        expected.append(fitted.score(X[test], y[test]))
    found = [search.cv_results_[f"split{i}_test_score"][0] for i in range(3)]
    assert found == pytest.approx(expected)
    assert len(scores) == 3
    best = FineTunedClassifier(lr=search.best_params_["lr"], **HELD).fit(X, y, groups=groups)
    np.testing.assert_array_equal(search.predict_proba(X), best.predict_proba(X))


def test_a_search_without_routing_gives_groups_to_the_splitter_alone(blobs):
    X, y, _ = blobs
    groups = np.arange(60) // 6
    search = GridSearchCV(FineTunedClassifier(**HELD), {"lr": [0.01]}, cv=GroupKFold(3))
    search.fit(X, y, groups=groups)
    expected = FineTunedClassifier(lr=0.01, **HELD).fit(X, y)
    np.testing.assert_array_equal(search.predict_proba(X), expected.predict_proba(X))
