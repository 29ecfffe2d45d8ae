"""A student, its teacher, and rows without labels."""

import pickle

import numpy as np
import pytest
import torch
from joblib import parallel_config
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils import shuffle

from sktl import MFCC, DistilledClassifier, FineTunedClassifier
from sktl.losses import distillation_loss

QUICK = {"max_epochs": 4, "lr": 0.01, "batch_size": 16, "random_state": 0}
LONG = {**QUICK, "max_epochs": 60}


@pytest.fixture(scope="module")
def teacher(blobs):
    X, y, _ = blobs
    return LogisticRegression().fit(X, y)


class Asked(RandomForestClassifier):
    """Notes what it was asked and fitted on."""

    def fit(self, X, y, sample_weight=None):
        self.fitted_on_ = np.array(X), np.array(y)
        return super().fit(X, y, sample_weight)

    def predict_proba(self, X):
        self.__dict__.setdefault("asked_", []).append(np.array(X))
        return super().predict_proba(X)


def test_a_fitted_teacher_is_used_as_it_is_and_asked_once(blobs):
    X, y, _ = blobs
    forest = Asked(5, random_state=0).fit(X[:30], y[:30])
    fitted = DistilledClassifier(forest, **QUICK).fit(X, y)
    assert fitted.teacher_ is forest
    [asked] = forest.asked_
    np.testing.assert_array_equal(asked, X)
    np.testing.assert_array_equal(forest.fitted_on_[0], X[:30])


def test_an_unfitted_teacher_learns_from_labelled_rows_that_count(blobs):
    X, y, sample_domain = blobs
    labels = np.array(["no", "yes"])[y]
    weight = np.where(np.arange(60) % 5 == 0, 0.0, 1.0)
    student = DistilledClassifier(Asked(5, random_state=0), **QUICK)
    student.fit(X, np.where(sample_domain < 0, "?", labels), sample_domain, weight)
    labelled = (sample_domain >= 0) & (weight > 0)
    np.testing.assert_array_equal(student.teacher_.fitted_on_[0], X[labelled])
    np.testing.assert_array_equal(student.teacher_.fitted_on_[1], labels[labelled])
    [asked] = student.teacher_.asked_
    np.testing.assert_array_equal(asked, X[weight > 0])
    assert not hasattr(student.teacher, "fitted_on_")


def test_a_clone_fits_its_teacher_anew_unless_it_is_frozen(blobs, teacher):
    X, y, _ = blobs
    copy = clone(DistilledClassifier(teacher, **QUICK)).fit(X[20:], y[20:])
    assert copy.teacher_ is not teacher
    frozen = FrozenEstimator(teacher)
    copy = clone(DistilledClassifier(frozen, **QUICK)).fit(X[20:], y[20:])
    assert copy.teacher_ is frozen
    with pytest.raises(NotFittedError, match=r"teacher=FrozenEstimator\(LogisticRegression\)"):
        DistilledClassifier(FrozenEstimator(LogisticRegression()), **QUICK).fit(X, y)


def test_the_loss_is_hintons(blobs, teacher):
    X, y, _ = blobs
    still = {"lr": 1e-30, "weight_decay": 0.0, "optimizer": "sgd", "max_epochs": 1}
    student = DistilledClassifier(teacher, alpha=0.3, temperature=3.0, random_state=0, **still)
    epoch = student.fit(X, y).history_[0]
    proba = student.predict_proba(X)
    labels = -np.log(proba[np.arange(60), y]).mean()
    logits = torch.as_tensor(np.log(proba)), torch.as_tensor(teacher.predict_log_proba(X))
    assert epoch["train_loss_cls"] == pytest.approx(0.7 * labels)
    expected = 0.3 * distillation_loss(*logits, 3.0).item()
    assert epoch["train_loss_distillation"] == pytest.approx(expected)
    assert epoch["train_loss"] == pytest.approx(0.7 * labels + expected)


def test_without_a_share_of_the_teacher_it_is_fine_tuning_to_the_bit(blobs, teacher):
    plain = FineTunedClassifier(**QUICK).fit(*blobs)
    student = DistilledClassifier(teacher, alpha=0, **QUICK).fit(*blobs)
    np.testing.assert_array_equal(student.predict_proba(blobs[0]), plain.predict_proba(blobs[0]))


@pytest.mark.parametrize("kind", [LogisticRegression, LinearSVC])
def test_taught_alone_it_says_what_the_teacher_says(blobs, kind):
    X, y, sample_domain = blobs
    fitted = kind(random_state=0).fit(X, y)
    wrong = np.where(sample_domain < 0, -1, 1 - y)
    student = DistilledClassifier(fitted, alpha=1, **LONG).fit(X, wrong, sample_domain)
    assert (student.predict(X) == fitted.predict(X)).mean() > 0.95


def test_rows_without_labels_teach(blobs, teacher):
    X, y, _ = blobs
    few = np.where(np.arange(60) < 4, 1, -1)
    students = [
        DistilledClassifier(teacher, **LONG).fit(*rows) for rows in ((X[:4], y[:4]), (X, y, few))
    ]
    alone, taught = (np.mean(student.predict(X) == teacher.predict(X)) for student in students)
    assert taught > alone + 0.1


def test_the_teacher_may_know_more_classes_and_has_to_know_all(blobs):
    X, y, _ = blobs
    three = np.where(np.arange(60) < 15, 2, y)
    knows = LogisticRegression().fit(X, three)
    student = DistilledClassifier(knows, **QUICK).fit(X, y)
    assert student.predict_proba(X).shape == (60, 2)
    less = LogisticRegression().fit(X, y)
    with pytest.raises(ValueError, match="y holds 2, which teacher=LogisticRegression does not"):
        DistilledClassifier(less, **QUICK).fit(X, three)


def test_a_pipeline_over_clips_teaches_a_network_over_clips(ragged):
    clips, y = ragged
    sample_domain = np.where(np.arange(len(y)) % 3 == 0, -1, 1)
    teacher = make_pipeline(MFCC(), StandardScaler(), LogisticRegression()).fit(clips, y)
    student = DistilledClassifier(teacher, "speech-mini", frozen_layers=8, **QUICK)
    student.fit(clips, np.where(sample_domain < 0, -1, y), sample_domain)
    assert student.predict(clips).shape == y.shape
    unfitted = clone(student).fit(clips, y, sample_domain)
    assert unfitted.teacher_[-1].coef_.shape == teacher[-1].coef_.shape


def test_a_network_may_teach_a_network(blobs):
    X, y, _ = blobs
    large = FineTunedClassifier(**LONG)
    student = DistilledClassifier(large, alpha=1, **LONG).fit(X, y)
    expected = clone(large).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(student.teacher_.predict_proba(X), expected)
    np.testing.assert_array_equal(
        DistilledClassifier(student.teacher_, alpha=1, **LONG).fit(X, y).predict_proba(X),
        student.predict_proba(X),
    )


@pytest.mark.parametrize(
    "levers",
    [
        {"early_stopping": True, "validation_fraction": 0.3},
        {"mixup": 0.3},
        {"frozen_layers": "all"},
        {"frozen_layers": 1, "memory": ":memory:"},
        {"unfreeze_every": 1, "head_epochs": 1},
        {"average_epochs": 2},
        {"lr_schedule": "cosine", "warmup_epochs": 1},
        {"class_weight": "balanced", "label_smoothing": 0.1},
        {"batch_norm": "adapt"},
    ],
)
def test_the_other_levers_work_and_a_pickle_predicts_the_same(blobs, teacher, levers):
    X = blobs[0]
    student = DistilledClassifier(teacher, **{**QUICK, **levers}).fit(*blobs)
    again = DistilledClassifier(teacher, **{**QUICK, **levers}).fit(*blobs)
    expected = student.predict_proba(X)
    np.testing.assert_array_equal(again.predict_proba(X), expected)
    read = pickle.loads(pickle.dumps(student))
    np.testing.assert_array_equal(read.predict_proba(X), expected)
    np.testing.assert_array_equal(read.teacher_.predict(X), teacher.predict(X))


def test_early_stopping_watches_both_terms(blobs, teacher):
    student = DistilledClassifier(teacher, early_stopping=True, **QUICK).fit(*blobs)
    epoch = student.history_[0]
    assert epoch["valid_loss"] == pytest.approx(
        epoch["valid_loss_cls"] + epoch["valid_loss_distillation"]
    )


def test_augmented_clips_keep_their_teacher(ragged):
    clips, y = ragged
    teacher = make_pipeline(MFCC(), LogisticRegression(max_iter=5000)).fit(clips, y)
    quick = {"max_epochs": 2, "batch_size": 4, "random_state": 0}
    fits = [
        DistilledClassifier(teacher, augment=augment, frozen_layers=-1, **quick).fit(clips, y)
        for augment in (None, lambda samples, sr: samples[::-1])
    ]
    assert not np.array_equal(*(fit.predict_proba(clips) for fit in fits))


def test_another_call_goes_on_with_the_teacher_of_the_first(blobs):
    X, y, _ = blobs
    student = DistilledClassifier(LogisticRegression(), **QUICK)
    student.partial_fit(X[:40], y[:40], classes=[0, 1])
    first = student.teacher_
    student.partial_fit(X[40:], y[40:])
    assert student.teacher_ is first
    np.testing.assert_array_equal(first.coef_, LogisticRegression().fit(X[:40], y[:40]).coef_)


def test_a_killed_fit_of_another_teacher_is_not_taken_up(blobs, teacher, tmp_path):
    X, y, _ = blobs
    other = LogisticRegression().fit(X, 1 - y)
    plain = DistilledClassifier(other, alpha=1, **QUICK).fit(X, y).predict_proba(X)
    DistilledClassifier(teacher, alpha=1, checkpoint=tmp_path, **QUICK).fit(X, y)
    kept = DistilledClassifier(other, alpha=1, checkpoint=tmp_path, **QUICK).fit(X, y)
    np.testing.assert_array_equal(kept.predict_proba(X), plain)


def test_grids_reach_the_teacher_and_the_share(blobs, teacher):
    X, y, _ = blobs
    grid = {"alpha": [0.0, 0.9], "teacher__C": [0.1, 1.0], "temperature": [4.0]}
    search = GridSearchCV(DistilledClassifier(LogisticRegression(), **QUICK), grid, cv=2)
    assert search.fit(X, y).best_estimator_.teacher_.C in (0.1, 1.0)
    frozen = DistilledClassifier(FrozenEstimator(teacher), **QUICK)
    assert cross_val_score(frozen, *shuffle(X, y, random_state=0), cv=3).shape == (3,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"teacher": "forest"}, "The 'teacher' parameter of DistilledClassifier must be"),
        ({"teacher": StandardScaler()}, "The 'teacher' parameter of DistilledClassifier must be"),
        ({"alpha": 1.1}, "The 'alpha' parameter of DistilledClassifier must be a float in the"),
        ({"temperature": 0}, "The 'temperature' parameter of DistilledClassifier must be"),
        (
            {"optimizer": "lbfgs", "frozen_layers": "all"},
            r"optimizer='lbfgs' solves a linear head on a frozen network, but alpha=0\.5",
        ),
    ],
)
def test_parameters_that_mean_nothing_are_refused(blobs, arguments, message):
    X, y, _ = blobs
    with pytest.raises(ValueError, match=message):
        DistilledClassifier(**{"teacher": LogisticRegression(), **QUICK, **arguments}).fit(X, y)


def test_levers_are_checked_before_the_teacher_is_fitted(blobs):
    X, y, _ = blobs

    class Slow(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            pytest.fail("the teacher was fitted")

    for wrong in ({"frozen_layers": 9}, {"head": lambda n_inputs, n_outputs: None}):
        with pytest.raises(ValueError, match=r"frozen_layers=9|returned NoneType"):
            DistilledClassifier(Slow(), **wrong, **QUICK).fit(X, y)


def test_a_teacher_that_trains_networks_in_threads_is_no_deadlock(blobs):
    X, y, _ = blobs
    bag = BaggingClassifier(FineTunedClassifier(**QUICK), 2, n_jobs=2, random_state=0)
    with parallel_config(backend="threading"):
        student = DistilledClassifier(bag, **QUICK).fit(X, y)
    assert student.predict(X).shape == (60,)
