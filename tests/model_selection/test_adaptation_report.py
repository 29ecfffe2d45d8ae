"""What adaptation gains, and what choices without target labels are worth."""

import pickle

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktl import CORALTransformer, DomainAdaptiveClassifier, ImportanceWeightedClassifier
from sktl.model_selection import (
    DomainScorer,
    DomainStratifiedKFold,
    adaptation_report,
    prediction_entropy,
    target_accuracy,
)


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    y = generator.integers(2, size=240)
    X = generator.normal(size=(240, 2)) + 3 * y[:, None]
    sample_domain = np.repeat([1, -1], 120)
    X[120:] = X[120:] @ [[2, 1], [-1, 2]] - 8
    return X, np.where(y, "yes", "no"), sample_domain


def coral(reg):
    return make_pipeline(StandardScaler(), CORALTransformer(reg), LogisticRegression())


CANDIDATES = {f"reg={reg}": coral(reg) for reg in (0.01, 1.0, 100.0)}


def test_numbers_are_those_of_fits_by_hand(data):
    X, y, sample_domain = data
    report = adaptation_report(CANDIDATES, X, y, sample_domain, cv=2, random_state=0)
    folds = DomainStratifiedKFold(
        2, shuffle=True, random_state=np.random.RandomState(0).randint(2**31 - 1)
    ).split(X, y, None, sample_domain)
    for k, (train, test) in enumerate(folds):
        source, target = train[sample_domain[train] > 0], test[sample_domain[test] < 0]
        scaler = StandardScaler().fit(X[train])
        mapper = CORALTransformer(0.01).fit(
            scaler.transform(X[train]), sample_domain=sample_domain[train]
        )
        rows = mapper.transform(scaler.transform(X[source]), sample_domain[source])
        clf = LogisticRegression().fit(rows, y[source])
        expected = clf.score(scaler.transform(X[target]), y[target])
        assert report.target_accuracy[0, k] == pytest.approx(expected)
        # Source-only: the scaler and the classifier see source rows alone.
        scaler = StandardScaler().fit(X[source])
        clf = LogisticRegression().fit(scaler.transform(X[source]), y[source])
        expected = clf.score(scaler.transform(X[target]), y[target])
        assert report.source_only[k] == pytest.approx(expected)


def test_choices_and_gaps_follow_from_the_scores(data):
    X, y, sample_domain = data
    report = adaptation_report(CANDIDATES, X, y, sample_domain, cv=2, random_state=0)
    means = report.target_accuracy.mean(1)
    rows = {row["chosen_by"]: row for row in report.rows()}
    assert rows["oracle"]["target_accuracy"] == means.max()
    assert rows["source only"]["target_accuracy"] == report.source_only.mean()
    assert rows["oracle"]["target_accuracy"] > rows["source only"]["target_accuracy"] + 0.1
    assert list(rows)[1:-1] == list(report.scores)
    for name, scores in report.scores.items():
        choice = scores.mean(1).argmax()
        assert rows[name]["candidate"] == list(CANDIDATES)[choice]
        assert rows[name]["behind_oracle"] == pytest.approx(means.max() - means[choice])
        if np.ptp(scores.mean(1)) and np.ptp(means):
            expected = spearmanr(scores.mean(1), means).statistic
            assert rows[name]["rank_correlation"] == pytest.approx(expected)


def test_scores_read_no_labels_of_the_target(data):
    X, y, sample_domain = data
    candidates = {
        "weighted": ImportanceWeightedClassifier(random_state=0),
        "coral": coral(0.1),
        "plain": LogisticRegression(),
        "network": DomainAdaptiveClassifier(lambda_mmd=1.0, max_epochs=2, random_state=0),
    }
    wrong = np.where((sample_domain < 0) & (np.arange(240) % 2 > 0), "no", y)
    reports = [
        adaptation_report(candidates, X, labels, sample_domain, cv=2, random_state=0)
        for labels in (y, wrong)
    ]
    for name in reports[0].scores:
        np.testing.assert_array_equal(reports[0].scores[name], reports[1].scores[name])
    assert not np.array_equal(reports[0].target_accuracy, reports[1].target_accuracy)


@pytest.mark.parametrize("search", [GridSearchCV, RandomizedSearchCV])
def test_settings_of_a_search_are_candidates(data, search):
    X, y, sample_domain = data
    model = ImportanceWeightedClassifier(random_state=0)
    options = {} if search is GridSearchCV else {"n_iter": 2, "random_state": 0}
    given = search(model, {"method": ["kliep", "classifier"]}, **options)
    report = adaptation_report(given, X, y, sample_domain, scoring="mixval", cv=2, random_state=0)
    assert sorted(report.names) == ["method='classifier'", "method='kliep'"]
    assert list(report.scores) == ["mixval"]


def test_drawn_settings_are_named_briefly(data):
    X, y, sample_domain = data
    gammas = np.geomspace(0.001, 1.0, 50)
    model = ImportanceWeightedClassifier(random_state=0)
    search = RandomizedSearchCV(model, {"gamma": gammas}, n_iter=1, random_state=0)
    report = adaptation_report(search, X, y, sample_domain, scoring="mixval", cv=2, random_state=0)
    (name,) = report.names
    assert len(name) < 16
    assert np.abs(gammas / float(name.removeprefix("gamma=")) - 1).min() < 1e-3


def test_processes_groups_splitters_and_pickles(data):
    X, y, sample_domain = data
    options = {"scoring": [prediction_entropy], "random_state": 0}
    one = adaptation_report(CANDIDATES, X, y, sample_domain, cv=2, **options)
    two = adaptation_report(CANDIDATES, X, y, sample_domain, cv=2, n_jobs=2, **options)
    np.testing.assert_array_equal(one.target_accuracy, two.target_accuracy)
    groups = np.arange(240) // 4
    splitter = DomainStratifiedKFold(2)
    grouped = adaptation_report(
        CANDIDATES, X, y, sample_domain, cv=splitter, groups=groups, **options
    )
    splits = list(splitter.split(X, y, groups, sample_domain))
    given = adaptation_report(CANDIDATES, X, y, sample_domain, cv=splits, **options)
    np.testing.assert_array_equal(grouped.target_accuracy, given.target_accuracy)
    again = pickle.loads(pickle.dumps(one))
    assert repr(again) == repr(one)


def test_it_is_shown_as_a_table_and_a_picture(data):
    plt = pytest.importorskip("matplotlib.pyplot")
    X, y, sample_domain = data
    report = adaptation_report(list(CANDIDATES.values()), X, y, sample_domain, cv=2, random_state=0)
    text = repr(report)
    head = "chosen by candidate target accuracy behind the oracle rank corr."
    assert " ".join(text.splitlines()[0].split()) == head
    assert "oracle" in text
    assert "0: Pipeline" in text
    assert "<table>" in report._repr_html_()
    display = report.plot()
    assert len(display.points_.get_offsets()) == len(report.scores)
    plt.close(display.figure_)


@pytest.mark.parametrize(
    ("given", "options", "error", "message"),
    [
        (3, {}, TypeError, "search_or_estimators is 3; give a search, or a dict or list"),
        ({}, {}, TypeError, "holds no candidate"),
        ([KMeans(2)], {}, TypeError, "candidate '0: KMeans' is KMeans, no classifier"),
        ([LogisticRegression], {}, TypeError, "give an instance of a classifier"),
        (CANDIDATES, {"source_only": KMeans(2)}, TypeError, "source_only is KMeans"),
        (CANDIDATES, {"scoring": []}, ValueError, "scoring names no score"),
        (CANDIDATES, {"scoring": "accuracy"}, ValueError, "name='accuracy' is no score"),
        (CANDIDATES, {"scoring": [target_accuracy]}, ValueError, "reads labels of the target"),
    ],
)
def test_what_is_no_candidate_or_score_is_refused(data, given, options, error, message):
    with pytest.raises(error, match=message):
        adaptation_report(given, *data, **options)


def test_missing_domains_and_labels_are_refused(data):
    X, y, sample_domain = data
    with pytest.raises(ValueError, match="marks all 240 rows as source"):
        adaptation_report(CANDIDATES, X, y, np.ones(240))
    with pytest.raises(ValueError, match="marks all 240 rows as target"):
        adaptation_report(CANDIDATES, X, y, -np.ones(240))
    with pytest.raises(ValueError, match="y holds no label of the source for any target row"):
        adaptation_report(CANDIDATES, X, np.where(sample_domain < 0, "?", y), sample_domain)


def test_options_of_a_score_are_kept(data):
    X, y, sample_domain = data
    sharp = DomainScorer("soft_neighborhood_density", temperature=0.5)
    found = adaptation_report(
        CANDIDATES, X, y, sample_domain, scoring=[sharp], cv=2, random_state=0
    )
    usual = adaptation_report(
        CANDIDATES, X, y, sample_domain, scoring=[sharp.name], cv=2, random_state=0
    )
    assert not np.allclose(found.scores[sharp.name], usual.scores[sharp.name])
