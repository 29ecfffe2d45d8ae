"""scikit-learn's meta-estimators over network classifiers, on arrays, clips and domains."""

import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import SequentialFeatureSelector
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from skorch.callbacks import Callback

from sktl import MFCC, DANNClassifier, FineTunedClassifier, MMDAligner

QUICK = {"max_epochs": 12, "lr": 0.02, "batch_size": 16, "random_state": 0}


@pytest.fixture(scope="module")
def rows():
    """Three classes in 6 dimensions."""
    generator = np.random.default_rng(0)
    y = np.arange(60) % 3
    return generator.normal(size=(60, 6)) + 2.0 * np.eye(6)[y], np.array(["a", "b", "c"])[y]


@pytest.fixture(scope="module")
def clips():
    """Twelve clips of several lengths: tones of two pitches in noise."""
    generator = np.random.default_rng(1)
    y = np.arange(12) % 2
    made = []
    for label in y:
        time = np.arange(generator.integers(4000, 9000)) / 16000
        tone = 0.3 * np.sin(2 * np.pi * (300 + 900 * label) * time)
        made.append((tone + 0.01 * generator.normal(size=len(time))).astype(np.float32))
    return made, y


def network(**parameters):
    return FineTunedClassifier(**{**QUICK, **parameters})


def probe():
    return FineTunedClassifier("speech-mini", frozen_layers="all", random_state=0)


def check(fitted, X, y, at_least=0.8):
    """It predicts labels, probabilities that sum to one, and survives a pickle."""
    probability = fitted.predict_proba(X)
    np.testing.assert_allclose(probability.sum(1), 1.0, rtol=1e-5)
    assert fitted.score(X, y) >= at_least
    assert set(fitted.predict(X)) <= set(y)
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict_proba(X), probability)


@pytest.mark.parametrize("voting", ["hard", "soft"])
def test_voting(rows, voting):
    X, y = rows
    members = [("net", network()), ("other", network(head="mlp")), ("model", LogisticRegression())]
    fitted = VotingClassifier(members, voting=voting).fit(X, y)
    assert fitted.score(X, y) > 0.8
    if voting == "soft":
        check(fitted, X, y)
        alone = [member.fit(X, np.unique(y, return_inverse=True)[1]) for _, member in members]
        mean = np.mean([member.predict_proba(X) for member in alone], axis=0)
        np.testing.assert_allclose(fitted.predict_proba(X), mean, atol=1e-6)


def test_voting_over_clips(clips):
    X, y = clips
    fitted = VotingClassifier([("one", probe()), ("two", probe())], voting="soft").fit(X, y)
    check(fitted, X, y, 1.0)
    np.testing.assert_allclose(fitted.predict_proba(X), probe().fit(X, y).predict_proba(X))


@pytest.mark.parametrize("passthrough", [False, True])
def test_stacking(rows, passthrough):
    X, y = rows
    members = [("net", network()), ("probe", network(frozen_layers="all"))]
    fitted = StackingClassifier(members, LogisticRegression(), cv=3, passthrough=passthrough)
    check(fitted.fit(X, y), X, y)
    onto = StackingClassifier([("model", LogisticRegression())], network(), cv=3).fit(X, y)
    check(onto, X, y)


def test_stacking_over_clips(clips):
    X, y = clips
    members = [("probe", probe()), ("rows", make_pipeline(MFCC(), LogisticRegression()))]
    check(StackingClassifier(members, cv=3).fit(X, y), X, y)


@pytest.mark.parametrize("given", [{}, {"max_samples": 0.5}, {"bootstrap": False}, {"n_jobs": 1}])
def test_bagging(rows, given):
    X, y = rows
    fitted = BaggingClassifier(network(), n_estimators=3, random_state=0, **given).fit(X, y)
    check(fitted, X, y)
    assert len({e.random_state for e in fitted.estimators_}) == 3
    parts = BaggingClassifier(network(), n_estimators=3, max_features=4, random_state=0).fit(X, y)
    check(parts, X, y, 0.5)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
@pytest.mark.parametrize("ensemble", [True, False])
def test_calibration(rows, method, ensemble):
    X, y = rows
    fitted = CalibratedClassifierCV(network(), method=method, cv=3, ensemble=ensemble).fit(X, y)
    check(fitted, X, y)


def test_calibration_of_what_is_too_certain(rows):
    X, y = rows
    generator = np.random.default_rng(0)
    noisy = np.where(generator.random(60) < 0.3, np.roll(y, 1), y)
    overfitted = network(max_epochs=150).fit(X[:30], noisy[:30])
    calibrated = CalibratedClassifierCV(FrozenEstimator(overfitted), method="sigmoid")
    calibrated.fit(X[30:], noisy[30:])
    losses = [log_loss(noisy[30:], m.predict_proba(X[30:])) for m in (overfitted, calibrated)]
    assert losses[1] < losses[0]


def test_calibration_over_clips(clips):
    X, y = clips
    check(CalibratedClassifierCV(probe(), cv=3).fit(X, y), X, y, 0.9)


def test_self_training(rows):
    X, y = rows
    codes = np.unique(y, return_inverse=True)[1]
    few = np.where(np.arange(60) < 15, codes, -1)
    fitted = SelfTrainingClassifier(network(), threshold=0.6).fit(X, few)
    check(fitted, X, codes, 0.7)
    assert (fitted.labeled_iter_ > 0).any()
    alone = network().fit(X[:15], codes[:15])
    assert fitted.score(X, codes) >= alone.score(X, codes) - 0.1


@pytest.mark.parametrize(
    "make",
    [
        lambda net: AdaBoostClassifier(net, n_estimators=2, random_state=0),
        OneVsRestClassifier,
        lambda net: make_pipeline(StandardScaler(), net),
        lambda net: RandomizedSearchCV(net, {"lr": [0.01, 0.03]}, n_iter=2, cv=2, random_state=0),
    ],
)
def test_other_meta_estimators(rows, make):
    X, y = rows
    check(make(network()).fit(X, y), X, y)


def test_thresholds_and_several_outputs(rows):
    X, y = rows
    is_a = y == "a"
    tuned = TunedThresholdClassifierCV(network(), cv=3).fit(X, is_a)
    assert tuned.score(X, is_a) > 0.8
    both = np.column_stack([is_a, y == "b"]).astype(int)
    for cls in (MultiOutputClassifier, ClassifierChain):
        assert (cls(network()).fit(X, both).predict(X) == both).mean() > 0.8


def test_features_are_selected_by_its_scores(rows):
    X, y = rows
    selector = SequentialFeatureSelector(network(max_epochs=5), n_features_to_select=1, cv=2)
    assert selector.fit(X, y).get_support().sum() == 1


def test_curves_and_out_of_fold_predictions_of_clips(clips):
    X, y = clips
    found = cross_val_predict(probe(), X, y, cv=3, method="predict_proba")
    assert (found.argmax(1) == y).mean() > 0.7
    sizes, train, test = learning_curve(probe(), X, y, cv=2, train_sizes=[4, 6])
    assert sizes.tolist() == [4, 6]
    assert np.isfinite(train).all()
    assert np.isfinite(test).all()


@pytest.mark.parametrize("cls", [DANNClassifier, MMDAligner])
def test_domains_are_routed_through_ensembles(rows, cls):
    X, y = rows
    sample_domain = np.where(np.arange(60) % 4, 0, -1)
    masked = np.where(sample_domain < 0, "a", y)
    member = cls(**{**QUICK, "max_epochs": 4})
    with config_context(enable_metadata_routing=True):
        voting = VotingClassifier([("net", member)], voting="soft")
        voting.fit(X, masked, sample_domain=sample_domain)
        bagging = BaggingClassifier(member, n_estimators=2, random_state=0)
        bagging.fit(X, masked, sample_domain=sample_domain)
        codes = np.unique(masked, return_inverse=True)[1]
        alone = member.fit(X, codes, sample_domain=sample_domain)
        np.testing.assert_allclose(voting.predict_proba(X), alone.predict_proba(X))
        assert "train_loss_cls" in bagging.estimators_[0].history_[0]


class Interrupt(Callback):
    """The user presses Ctrl-C in the second epoch."""

    fits = 0

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 1:
            Interrupt.fits += 1
        elif len(net.history) == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    "make",
    [
        lambda net: GridSearchCV(net, {"lr": [0.1, 0.01]}, cv=3),
        lambda net: GridSearchCV(make_pipeline(StandardScaler(), net), {}, cv=3, error_score=0.0),
        lambda net: BaggingClassifier(net, n_estimators=4, random_state=0),
        lambda net: VotingClassifier([("one", net), ("two", net)]),
    ],
)
def test_an_interrupt_stops_them_at_once(rows, make, monkeypatch):
    X, y = rows
    monkeypatch.setattr(Interrupt, "fits", 0)
    with pytest.raises(KeyboardInterrupt):
        make(network(callbacks=[Interrupt()])).fit(X, y)
    assert Interrupt.fits == 1
