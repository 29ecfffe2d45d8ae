"""Splits of rows of several domains."""

import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score

from sktl import DANNClassifier, ImportanceWeightedClassifier
from sktl.model_selection import DomainStratifiedKFold, LeaveOneDomainOut


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(120, 3))
    y = np.where(X[:, 0] > 0, "yes", "no")
    sample_domain = generator.choice([0, 2, -1], 120)
    return X, y, sample_domain


@pytest.mark.parametrize("options", [{}, {"shuffle": True, "random_state": 0}])
def test_every_fold_has_its_share_of_each_domain_and_source_class(data, options):
    X, y, sample_domain = data
    splits = list(DomainStratifiedKFold(4, **options).split(X, y, None, sample_domain))
    assert sorted(np.concatenate([test for _, test in splits])) == list(range(120))
    for train, test in splits:
        assert sorted([*train, *test]) == list(range(120))
        for domain in (0, 2, -1):
            for label in ("yes", "no") if domain >= 0 else (None,):
                kind = sample_domain == domain
                if label:
                    kind &= y == label
                assert abs(kind[test].sum() - kind.sum() / 4) < 1


def test_labels_of_the_target_are_never_read(data):
    X, y, sample_domain = data
    for groups in (None, np.arange(120) // 3):
        told = DomainStratifiedKFold(3).split(X, y, groups, sample_domain)
        masked = np.where(sample_domain < 0, "?", y)
        untold = DomainStratifiedKFold(3).split(X, masked, groups, sample_domain)
        for (_, one), (_, other) in zip(told, untold, strict=True):
            np.testing.assert_array_equal(one, other)


def test_groups_stay_on_one_side(data):
    X, y, sample_domain = data
    groups = np.arange(120) // 4
    for train, test in DomainStratifiedKFold(5).split(X, y, groups, sample_domain):
        assert not set(groups[train]) & set(groups[test])
        assert (sample_domain[test] < 0).any()


def test_without_domains_it_is_stratified_by_class(data):
    X, y, _ = data
    for _, test in DomainStratifiedKFold(3).split(X, y):
        assert abs((y[test] == "yes").sum() - (y == "yes").sum() / 3) < 1


def test_clips_and_paths_of_any_length_are_counted():
    clips = [np.zeros(10 + i) for i in range(6)]
    for X in (clips, [f"{i}.wav" for i in range(6)]):
        splits = list(DomainStratifiedKFold(2).split(X, None, None, [0, 0, 0, 0, -1, -1]))
        assert [len(test) for _, test in splits] == [3, 3]


def test_a_seed_gives_the_same_folds_and_none_leaves_numpys_alone(data):
    X, y, sample_domain = data
    splitter = DomainStratifiedKFold(3, shuffle=True, random_state=1)
    again = pickle.loads(pickle.dumps(splitter))
    for (_, one), (_, other) in zip(
        splitter.split(X, y, None, sample_domain),
        again.split(X, y, None, sample_domain),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    list(DomainStratifiedKFold(3, shuffle=True).split(X, y, None, sample_domain))
    assert repr(splitter) == "DomainStratifiedKFold(n_splits=3, shuffle=True, random_state=1)"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_splits": 1}, ValueError, "n_splits=1; give a whole number of at least 2"),
        ({"n_splits": 2.5}, ValueError, "n_splits=2.5"),
        ({"shuffle": 1}, TypeError, "shuffle=1; give True or False"),
        ({"random_state": 0}, ValueError, "random_state=0 has no effect without shuffle"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        DomainStratifiedKFold(**options)


def test_too_few_rows_groups_and_classes_are_told():
    splitter = DomainStratifiedKFold(3)
    X = np.zeros(8)
    with pytest.raises(ValueError, match="n_splits=3 but sample_domain marks 2 rows with -1"):
        list(splitter.split(X, None, None, [0, 0, 0, 0, 0, 0, -1, -1]))
    domain = [0, 0, 0, 0, 0, -1, -1, -1]
    with pytest.raises(ValueError, match="n_splits=3 but groups holds 2 groups"):
        list(splitter.split(X, None, [0, 1] * 4, domain))
    with pytest.warns(UserWarning, match="class 'b' has 1 rows in domain 0, fewer than n_splits=3"):
        list(splitter.split(X, list("aaaab???"), None, domain))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        list(splitter.split(X, [0, 1], None, domain))


def test_each_source_domain_is_left_out_once(data):
    X, y, sample_domain = data
    splits = list(LeaveOneDomainOut().split(X, y, None, sample_domain))
    assert [set(sample_domain[test]) for _, test in splits] == [{0}, {2}]
    for train, test in splits:
        assert sorted([*train, *test]) == list(range(120))
    assert LeaveOneDomainOut().get_n_splits(sample_domain=sample_domain) == 2


def test_groups_of_the_domain_left_out_do_not_train(data):
    X, y, sample_domain = data
    groups = np.arange(120) // 2
    for train, test in LeaveOneDomainOut().split(X, y, groups, sample_domain):
        assert not set(groups[train]) & set(groups[test])


def test_what_cannot_be_left_out_is_refused(data):
    X, _, sample_domain = data
    with pytest.raises(ValueError, match="sample_domain holds 1 source domains"):
        list(LeaveOneDomainOut().split(X, sample_domain=np.where(sample_domain < 0, -1, 0)))
    with pytest.raises(ValueError, match="groups: all source rows share a group with domain 0"):
        list(LeaveOneDomainOut().split(X, None, np.zeros(120), sample_domain))
    with pytest.raises(ValueError, match="sample_domain is None"):
        LeaveOneDomainOut().get_n_splits(X)


@pytest.mark.parametrize("splitter", [DomainStratifiedKFold(3), LeaveOneDomainOut()])
def test_searches_route_domains_to_it_or_take_a_list_of_splits(data, splitter):
    X, y, sample_domain = data
    model = ImportanceWeightedClassifier(random_state=0)
    with config_context(enable_metadata_routing=True):
        routed = cross_val_score(model, X, y, cv=splitter, params={"sample_domain": sample_domain})
    splits = list(splitter.split(X, y, sample_domain=sample_domain))
    plain = cross_val_score(model, X, y, cv=splits, params={"sample_domain": sample_domain})
    np.testing.assert_array_equal(routed, plain)


def test_a_network_is_searched_over_with_it(data):
    X, y, sample_domain = data
    masked = np.where(sample_domain < 0, "?", y)
    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(
            DANNClassifier(max_epochs=2, random_state=0),
            {"lambda_adv": [0.1, 1.0]},
            cv=DomainStratifiedKFold(2),
        )
        search.fit(X, masked, sample_domain=sample_domain)
    assert 0 <= search.best_score_ <= 1


def test_a_plain_classifier_takes_the_splits(data):
    X, y, sample_domain = data
    splits = list(LeaveOneDomainOut().split(X, y, None, sample_domain))
    assert cross_val_score(LogisticRegression(), X, y, cv=splits).shape == (2,)
