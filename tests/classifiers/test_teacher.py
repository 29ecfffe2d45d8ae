"""What a teacher is, and what it says of rows."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sktl.classifiers._teacher import fitted_teacher, is_fitted, rows_of, teacher_logits

generator = np.random.default_rng(0)
Y = np.arange(30) % 3
X = generator.normal(size=(30, 4)) + Y[:, None]
CLASSES = np.array([0, 1, 2])


@pytest.mark.parametrize(
    "teacher",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), SVC(random_state=0)),
        FrozenEstimator(SVC()),
    ],
)
def test_fitted_is_what_has_been_fitted(teacher):
    assert not is_fitted(teacher)
    if not isinstance(teacher, FrozenEstimator):
        assert is_fitted(clone(teacher).fit(X, Y))
        assert is_fitted(FrozenEstimator(clone(teacher).fit(X, Y)))


@pytest.mark.parametrize("teacher", [LogisticRegression(), RandomForestClassifier(5)])
def test_logits_are_logarithms_of_probabilities(teacher):
    fitted = clone(teacher).set_params(random_state=0).fit(X, Y)
    logits = teacher_logits(fitted, X, 30, CLASSES)
    np.testing.assert_allclose(softmax(logits, axis=1), fitted.predict_proba(X))


@pytest.mark.parametrize("classes", [[0, 1], [0, 1, 2]])
def test_of_a_teacher_without_probabilities_the_scores_are_the_logits(classes):
    rows = np.isin(Y, classes)
    fitted = RidgeClassifier().fit(X[rows], Y[rows])
    scores = fitted.decision_function(X)
    logits = teacher_logits(fitted, X, 30, np.array(classes))
    if len(classes) == 2:
        np.testing.assert_allclose(logits[:, 1] - logits[:, 0], scores)
    else:
        np.testing.assert_array_equal(logits, scores)


def test_classes_that_y_does_not_hold_are_left_out():
    fitted = LogisticRegression().fit(X, np.array(["a", "b", "c"])[Y])
    logits = teacher_logits(fitted, X, 30, np.array(["a", "c"]))
    expected = log_softmax(fitted.predict_log_proba(X)[:, [0, 2]], axis=1)
    np.testing.assert_allclose(log_softmax(logits, axis=1), expected)


def test_who_knows_none_of_the_classes_is_undecided():
    fitted = KNeighborsClassifier(1).fit(X, Y)
    logits = teacher_logits(fitted, X, 30, np.array([0, 1]))
    np.testing.assert_array_equal(logits[Y == 2], 0)
    np.testing.assert_array_equal(logits[Y == 1], np.tile([-np.inf, 0], (10, 1)))


class Says(ClassifierMixin, BaseEstimator):
    """Returns what it is told to."""

    def __init__(self, proba=None, classes=(0, 1, 2)):
        self.proba = proba
        self.classes = classes

    def fit(self, X, y):
        self.classes_ = np.array(self.classes)
        return self

    def predict_proba(self, X):
        return self.proba


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        (Says(np.ones((29, 3))), r"predict_proba of teacher=Says returned shape \(29, 3\) for 30 "),
        (Says(np.ones((30, 2))), r"returned shape \(30, 2\) for 30 rows and 3 classes; it has"),
        (Says(np.full((30, 3), np.nan)), "returned nan for row 0; give a teacher that knows what"),
        (Says(np.full((30, 3), -1.0)), r"returned -1\.0 for row 0"),
        (Says(classes=(0, 1, 3)), r"y holds 2, which teacher=Says does not know \(its classes are"),
        (Says(classes=("0", "1", "2")), "y holds 0, which teacher=Says does not know"),
        (FrozenEstimator(Says(classes=(1, 2)).fit(X, Y)), r"teacher=FrozenEstimator\(Says\) does"),
        (
            SVC(decision_function_shape="ovo", random_state=0),
            r"\(an SVC with decision_function_shape='ovr'\)",
        ),
        (MultiOutputClassifier(LogisticRegression()), "teacher=MultiOutputClassifier has several"),
    ],
)
def test_teachers_that_say_something_else_are_refused(teacher, message):
    four = np.arange(30) % 4 if isinstance(teacher, SVC) else Y
    several = isinstance(teacher, MultiOutputClassifier)
    fitted = clone(teacher).fit(X, np.column_stack([Y, Y]) if several else four)
    with pytest.raises(ValueError, match=message):
        teacher_logits(fitted, X, 30, CLASSES)


def test_a_teacher_without_classes_is_refused():
    with pytest.raises(ValueError, match="teacher=StandardScaler has no classes_"):
        teacher_logits(StandardScaler().fit(X), X, 30, CLASSES)


def test_an_unfitted_teacher_is_cloned_and_fitted():
    teacher = LogisticRegression(C=0.1)
    fitted = fitted_teacher(teacher, X, Y, None)
    assert not is_fitted(teacher)
    expected = LogisticRegression(C=0.1).fit(X, Y).coef_
    np.testing.assert_array_equal(fitted.coef_, expected)
    np.testing.assert_array_equal(fitted_teacher(teacher, X, Y, np.ones(30)).coef_, expected)


def test_weights_go_to_a_teacher_that_takes_them():
    weight = np.linspace(0.1, 2, 30)
    expected = LogisticRegression().fit(X, Y, sample_weight=weight).coef_
    fitted = fitted_teacher(LogisticRegression(), X, Y, weight)
    np.testing.assert_array_equal(fitted.coef_, expected)
    pipe = make_pipeline(LogisticRegression())
    with pytest.warns(UserWarning, match="teacher=Pipeline takes no sample_weight"):
        fitted = fitted_teacher(pipe, X, Y, weight)
    np.testing.assert_array_equal(fitted[-1].coef_, LogisticRegression().fit(X, Y).coef_)


def test_a_frozen_teacher_that_is_not_fitted_is_named():
    with pytest.raises(NotFittedError, match=r"teacher=FrozenEstimator\(SVC\) cannot be fitted"):
        fitted_teacher(FrozenEstimator(SVC()), X, Y, None)


class Bare:
    """Nothing but an array within."""

    def __array__(self, dtype=None, copy=None):
        return X


@pytest.mark.parametrize(
    "given",
    [X, X.tolist(), list(X), pd.DataFrame(X), torch.as_tensor(X), np.stack([X, X], 2), Bare()],
)
def test_rows_of_every_kind_of_x_are_found(given):
    index = np.array([0, 3, 29])
    taken = np.asarray(rows_of(given, index))
    np.testing.assert_array_equal(taken, np.asarray(given)[index])
    assert rows_of(given, np.arange(30)) is given


def test_paths_stay_paths():
    paths = [f"{i}.wav" for i in range(5)]
    assert rows_of(paths, np.array([1, 4])) == ["1.wav", "4.wav"]
