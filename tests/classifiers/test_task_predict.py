"""What several tasks predict, and how that is scored."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.tree import DecisionTreeClassifier

from sktl import MultiTaskClassifier

QUICK = {"max_epochs": 4, "lr": 0.01, "batch_size": 16, "random_state": 0}
N = 60


@pytest.fixture(scope="module")
def case():
    """Rows, labels of both kinds, and a classifier of them."""
    generator = np.random.default_rng(0)
    mood, speaker = np.arange(N) % 3, generator.integers(0, 2, N)
    X = generator.normal(size=(N, 5))
    X[:, 0] += mood
    X[:, 1] += speaker
    y = np.column_stack([np.array(["glad", "sad", "calm"])[mood], speaker.astype(object)])
    return X, y, MultiTaskClassifier(**QUICK).fit(X, y)


def test_outputs_have_scikit_learns_shapes_and_agree(case):
    X, y, fitted = case
    peer = MultiOutputClassifier(DecisionTreeClassifier(random_state=0)).fit(X, y[:, :1])
    assert type(peer.predict_proba(X)) is type(fitted.predict_proba(X)) is list
    assert type(peer.classes_) is type(fitted.classes_) is list
    predicted = fitted.predict(X)
    assert predicted.shape == y.shape
    assert predicted.dtype == object
    for task, (proba, logs) in enumerate(
        zip(fitted.predict_proba(X), fitted.predict_log_proba(X), strict=True)
    ):
        np.testing.assert_allclose(proba.sum(1), 1)
        np.testing.assert_allclose(np.exp(logs), proba)
        best = fitted.classes_[task][proba.argmax(1)]
        assert predicted[:, task].tolist() == best.tolist()


def test_there_is_no_decision_function_of_several_tasks(case):
    X, y, fitted = case
    assert not hasattr(fitted, "decision_function")
    one = MultiTaskClassifier(**QUICK)
    assert hasattr(one, "decision_function")
    assert one.fit(X, y[:, 0]).decision_function(X).shape == (N, 3)


def test_a_prediction_does_not_depend_on_its_neighbours(case):
    X, _, fitted = case
    whole = fitted.predict_proba(X)
    for task, proba in enumerate(fitted.predict_proba(X[7:9])):
        np.testing.assert_array_equal(proba, whole[task][7:9])


def test_the_score_is_that_of_scikit_learns_multi_output_classifier(case):
    X, y, fitted = case
    expected = (fitted.predict(X) == y).all(1)
    assert fitted.score(X, y) == expected.mean()
    weight = np.linspace(0, 1, N)
    assert fitted.score(X, y, weight) == pytest.approx(np.average(expected, weights=weight))


def test_the_score_of_a_task_is_its_accuracy(case):
    X, y, fitted = case
    weight = np.linspace(0, 1, N)
    predicted = fitted.predict(X)
    for w in (None, weight):
        expected = [
            accuracy_score(y[:, t].astype(str), predicted[:, t].astype(str), sample_weight=w)
            for t in (0, 1)
        ]
        np.testing.assert_allclose(fitted.score_tasks(X, y, w), expected)


def test_labels_that_are_not_known_are_neither_right_nor_wrong(case):
    X, y, fitted = case
    gaps = y.copy()
    gaps[::2, 0] = None
    gaps[::3, 1] = np.nan
    gaps[::6] = None
    right = fitted.predict(X) == y
    known = np.column_stack([np.arange(N) % 2 > 0, np.arange(N) % 3 > 0])
    expected = [right[known[:, t], t].mean() for t in (0, 1)]
    np.testing.assert_allclose(fitted.score_tasks(X, gaps), expected)
    some = known.any(1)
    assert fitted.score(X, gaps) == pytest.approx((right | ~known).all(1)[some].mean())
    gaps[:, 1] = None
    assert np.isnan(fitted.score_tasks(X, gaps)[1])


def test_masked_labels_of_target_rows_do_not_count(case):
    X, y, fitted = case
    sample_domain = np.where(np.arange(N) < 20, -1, 1)
    masked = y.copy()
    masked[:20] = -1
    assert fitted.score(X, masked, None, sample_domain) == fitted.score(X[20:], y[20:])
    np.testing.assert_array_equal(
        fitted.score_tasks(X, masked, None, sample_domain), fitted.score_tasks(X[20:], y[20:])
    )
    assert fitted.score(X, masked) < fitted.score(X[20:], y[20:])
    with pytest.raises(ValueError, match="allow_source=False but sample_domain marks 40 of 60"):
        fitted.predict_proba(X, sample_domain=sample_domain, allow_source=False)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (lambda y: y[:, 0], "y is 1-D; give a column for each of the 2 tasks"),
        (lambda y: y[:, :1], r"y has shape \(60, 1\); give \(60, 2\)"),
        (lambda y: y[:50], r"y has shape \(50, 2\); give \(60, 2\)"),
        (lambda y: np.full((N, 2), None), "none of the 120 labels in y is known"),
    ],
)
def test_labels_that_cannot_be_scored_are_refused(case, labels, message):
    X, y, fitted = case
    with pytest.raises(ValueError, match=message):
        fitted.score(X, labels(y))
