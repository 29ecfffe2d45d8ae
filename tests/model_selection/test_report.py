"""Both estimators are judged on the same splits, by scikit-learn's own scores."""

import numpy as np
import pandas as pd
import pytest
import soundfile
from scipy import stats
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits, make_classification
from sklearn.dummy import DummyClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import LeaveOneGroupOut, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktl import MFCC, FineTunedClassifier, PretrainedEmbedding
from sktl.datasets import load_voices
from sktl.model_selection import transfer_report

X, Y = make_classification(90, n_classes=3, n_informative=6, random_state=0)
NAMES = np.array(["low", "mid", "high"])[Y]
SPEAKERS = np.tile(np.arange(6), 15)
STRONG, WEAK = LogisticRegression(), DummyClassifier()
QUICK = {"max_epochs": 3, "batch_size": 16, "random_state": 0}


class Untouchable(ClassifierMixin, BaseEstimator):
    """Fails when it is fitted."""

    def __init__(self, weights="pretrained", backbone="mlp"):
        self.weights = weights
        self.backbone = backbone

    def fit(self, X, y):
        raise AssertionError("fitted")


@pytest.fixture(scope="module")
def voices():
    bunch = load_voices()
    chosen = np.flatnonzero((bunch.target < 2) & (bunch.take == 0))[::5]
    return [bunch.data[i] for i in chosen], bunch.target[chosen]


def test_scores_are_those_of_a_loop_over_the_same_folds():
    report = transfer_report(STRONG, X, NAMES, scratch=WEAK, cv=4, random_state=5)
    seed = np.random.RandomState(5).randint(2**31 - 1)
    folds = StratifiedKFold(4, shuffle=True, random_state=seed).split(X, NAMES)
    for split, (train, test) in enumerate(folds):
        for name, estimator in (("transfer", STRONG), ("scratch", WEAK)):
            predicted = estimator.fit(X[train], NAMES[train]).predict(X[test])
            accuracy = accuracy_score(NAMES[test], predicted)
            f1 = f1_score(NAMES[test], predicted, average="macro")
            assert report.scores["accuracy"][name][split] == accuracy
            assert report.scores["f1_macro"][name][split] == f1
        assert (report.n_train[split], report.n_test[split]) == (len(train), len(test))


def test_the_gain_is_that_of_paired_differences():
    report = transfer_report(STRONG, X, Y, scratch=WEAK, cv=5, confidence=0.9, random_state=0)
    scores = report.scores["accuracy"]
    gain = scores["transfer"] - scores["scratch"]
    scale = np.sqrt((1 / 5 + 18 / 72) * gain.var(ddof=1))
    expected = gain.mean(), *stats.t.interval(0.9, df=4, loc=gain.mean(), scale=scale)
    np.testing.assert_allclose(report.estimates["accuracy"]["gain"], expected)
    assert report.estimates["accuracy"]["gain"].low > 0


def test_a_network_is_compared_with_itself_from_random_weights():
    digits, y = load_digits(return_X_y=True)
    digits = (digits / 16).astype(np.float32)
    source = FineTunedClassifier(max_epochs=15, random_state=0).fit(digits[:900], y[:900])
    common = {"lr": 1e-2, "max_epochs": 20, "random_state": 0}
    tuned = FineTunedClassifier(FrozenEstimator(source), frozen_layers="all", **common)
    report = transfer_report(tuned, digits[900:1000], y[900:1000], cv=2, random_state=0)
    alone = FineTunedClassifier(FrozenEstimator(source), weights=None, **common)
    seed = np.random.RandomState(0).randint(2**31 - 1)
    folds = StratifiedKFold(2, shuffle=True, random_state=seed)
    expected = cross_val_score(alone, digits[900:1000], y[900:1000], cv=folds)
    np.testing.assert_array_equal(report.scores["accuracy"]["scratch"], expected)
    assert report.estimates["accuracy"]["gain"].mean > 0.02
    assert "Target data alone: the same with weights=None, frozen_layers=0." in repr(report)


def test_clips_paths_and_pipelines_are_taken(voices, tmp_path):
    clips, y = voices
    paths = [tmp_path / f"{i}.wav" for i in range(len(clips))]
    for path, clip in zip(paths, clips, strict=True):
        soundfile.write(path, clip, 16000, subtype="FLOAT")
    network = FineTunedClassifier("speech-mini", frozen_layers="all", **QUICK)
    embedding = make_pipeline(PretrainedEmbedding(random_state=0), LogisticRegression())
    for estimator in (network, embedding):
        reports = [
            transfer_report(estimator, form, y, cv=2, random_state=0)
            for form in (clips, tuple(clips), paths)
        ]
        for report in reports[1:]:
            for metric, both in report.scores.items():
                for name, values in both.items():
                    np.testing.assert_allclose(values, reports[0].scores[metric][name])
    mfcc = make_pipeline(MFCC(), FineTunedClassifier("mlp", **QUICK))
    report = transfer_report(mfcc, pd.Series(clips), pd.Series(y).astype(str), cv=2, random_state=0)
    assert "finetunedclassifier__weights=None" in repr(report)


@pytest.mark.parametrize("routing", [False, True])
def test_groups_stay_together_and_reach_the_splitter_alone(routing):
    options = {"scratch": WEAK, "groups": SPEAKERS, "random_state": 0}
    with config_context(enable_metadata_routing=routing):
        report = transfer_report(STRONG, X, Y, cv=LeaveOneGroupOut(), **options)
        transfer_report(STRONG, X, Y, cv=3, **options)
    expected = cross_val_score(STRONG, X, Y, cv=list(LeaveOneGroupOut().split(X, Y, SPEAKERS)))
    np.testing.assert_array_equal(report.scores["accuracy"]["transfer"], expected)


def test_params_go_to_the_fit_of_both_row_by_row():
    options = {"params": {"sample_weight": (Y == 2).astype(float)}, "random_state": 0}
    scoring = {"share of 2": lambda fitted, X, y: np.mean(fitted.predict(X) == 2)}
    report = transfer_report(WEAK, X, Y, scratch=WEAK, scoring=scoring, **options)
    for values in report.scores["share of 2"].values():
        np.testing.assert_array_equal(values, 1.0)


def test_processes_give_the_same_report():
    options = {"scratch": WEAK, "cv": 3, "random_state": 0}
    one, two = (transfer_report(STRONG, X, NAMES, n_jobs=n, **options) for n in (1, 2))
    assert repr(one) == repr(two)


def test_an_int_gives_the_same_splits_again_and_estimators_are_left_as_they_were():
    estimator = LogisticRegression()
    options = {"scratch": WEAK, "random_state": 1}
    first, second = (transfer_report(estimator, X, Y, **options) for _ in range(2))
    assert repr(first) == repr(second)
    assert not hasattr(estimator, "coef_")
    assert len(first.n_train) == 5


@pytest.mark.parametrize("scoring", ["balanced_accuracy", ["balanced_accuracy"]])
def test_other_scores_can_be_named(scoring):
    report = transfer_report(STRONG, X, Y, scratch=WEAK, scoring=scoring, random_state=0)
    assert list(report.scores) == ["balanced_accuracy"]
    assert repr(report).splitlines()[1].startswith("balanced accuracy  ")


def test_a_scorer_of_ones_own_is_called():
    report = transfer_report(
        STRONG, X, Y, scratch=WEAK, scoring={"half": lambda e, X, y: 0.5}, random_state=0
    )
    np.testing.assert_array_equal(report.scores["half"]["transfer"], 0.5)


def test_the_table_says_everything_in_aligned_columns():
    report = transfer_report(STRONG, X, Y, scratch=WEAK, random_state=0)
    head, accuracy, f1, *caption = repr(report).splitlines()
    estimate = report.estimates["accuracy"]
    for name, sign in (("transfer", ""), ("scratch", ""), ("gain", "+")):
        mean, low, high = estimate[name]
        assert f"{mean:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]" in accuracy
    assert f1.startswith("macro F1  ")
    column = head.index("target data alone")
    mean = estimate["scratch"].mean
    assert accuracy[column:].startswith(f"{mean:.3f} [")
    assert " ".join(caption) == (
        "Mean over 5 splits and its 95 % interval (Student's t, corrected for overlapping training "
        "sets). Target data alone: DummyClassifier."
    )
    assert str(report) == repr(report)


def test_a_notebook_gets_the_same_numbers_and_no_markup_from_outside():
    scoring = {"<b>": lambda e, X, y: 0.5}
    report = transfer_report(STRONG, X, Y, scratch=WEAK, scoring=scoring, random_state=0)
    html = report._repr_html_()
    assert "<b>" not in html
    assert html.count("<td>0.500 [0.500, 0.500]</td>") == 2
    assert "<td>+0.000 [+0.000, +0.000]</td>" in html


def test_rows_make_a_data_frame():
    report = transfer_report(STRONG, X, Y, scratch=WEAK, random_state=0)
    frame = pd.DataFrame(report.rows()).set_index(["metric", "of"])
    assert list(frame.columns) == ["mean", "low", "high"]
    assert len(frame) == 6
    found = frame.loc[("f1_macro", "gain"), "mean"]
    assert found == report.estimates["f1_macro"]["gain"].mean


MULTI = np.stack([Y, Y], axis=1)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"estimator": Untouchable}, TypeError, r"estimator is the class Untouchable; give"),
        ({"estimator": 3}, TypeError, "estimator=3 is no scikit-learn estimator"),
        ({"estimator": Ridge()}, ValueError, "estimator is Ridge, no classifier"),
        ({"estimator": StandardScaler()}, ValueError, "estimator is StandardScaler, no"),
        ({"estimator": LogisticRegression()}, ValueError, "LogisticRegression holds no network"),
        ({"estimator": Untouchable(weights=None)}, ValueError, "weights=None and transfers"),
        ({"scratch": Ridge()}, ValueError, "scratch is Ridge, no classifier"),
        ({"scratch": LogisticRegression}, TypeError, "scratch is the class LogisticRegression"),
        ({"y": Y[:50]}, ValueError, "inconsistent numbers of samples"),
        ({"y": np.zeros(90)}, ValueError, "y holds the one class 0.0"),
        ({"y": X[:, 0]}, ValueError, "Unknown label type: continuous"),
        ({"y": MULTI}, ValueError, "y should be a 1d array"),
        ({"y": np.where(Y == 0, np.nan, Y)}, ValueError, "contains NaN"),
        ({"y": np.array(["a", None] * 45, dtype=object)}, ValueError, "mixes types"),
        ({"cv": 1}, ValueError, "cv=1; give 2 folds or more"),
        ({"cv": 40}, ValueError, "too few for cv=40 folds"),
        ({"groups": np.zeros(90)}, ValueError, "groups has 1 distinct values"),
        ({"scoring": "acuracy"}, ValueError, "acuracy"),
        ({"scoring": []}, ValueError, r"scoring=\[\] names no score"),
        ({"scoring": 3}, ValueError, "'scoring' parameter"),
        ({"confidence": 95}, ValueError, "'confidence' parameter .* Got 95"),
        ({"params": "sample_weight"}, ValueError, "'params' parameter"),
        ({"random_state": "a"}, ValueError, "'random_state' parameter"),
    ],
)
def test_bad_input_is_refused_before_anything_is_fitted(change, error, match):
    arguments = {"estimator": Untouchable(), "X": X, "y": Y, "random_state": 0} | change
    with pytest.raises(error, match=match):
        transfer_report(**arguments)


def test_what_one_of_the_two_cannot_do_ends_it_at_once():
    with pytest.raises(AssertionError, match="fitted"):
        transfer_report(STRONG, X, Y, scratch=Untouchable(), random_state=0)
