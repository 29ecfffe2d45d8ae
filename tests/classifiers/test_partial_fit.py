"""Training by calls: each is an epoch, as if one fit had made them all."""

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from torch import nn

from sktl import DANNClassifier, DomainAdaptiveClassifier, FineTunedClassifier, MMDAligner
from sktl.exceptions import NoAdaptationWarning

QUICK = {"lr": 0.02, "batch_size": 16, "random_state": 0}


def fit_by_calls(estimator, n_calls, X, y, **given):
    for _ in range(n_calls):
        estimator.partial_fit(X, y, classes=np.unique(y), **given)
    return estimator


def states(*estimators):
    return [fitted.net_.module_.state_dict() for fitted in estimators]


def check_equal(one, other):
    first, second = states(one, other)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name
    for epochs in zip(one.history_, other.history_, strict=True):
        before, after = ({k: v for k, v in epoch.items() if k != "dur"} for epoch in epochs)
        assert before == after


@pytest.fixture
def network(chain):
    return chain(partial(nn.Linear, 6, 8), partial(nn.BatchNorm1d, 8), nn.Dropout, nn.Tanh)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"mixup": 0.3, "label_smoothing": 0.1, "l2_sp": 1.0},
        {"frozen_layers": 1, "layer_decay": 0.5, "head": "mlp"},
        {"frozen_layers": ["blocks.0.weight", "*.bias"], "optimizer": "sgd"},
        {"frozen_layers": "all", "optimizer": "adam"},
        {"batch_norm": "frozen", "class_weight": "balanced"},
    ],
)
def test_calls_on_the_same_rows_are_the_epochs_of_one_fit(blobs, network, parameters):
    X, y, _ = blobs
    common = {**QUICK, "max_epochs": 4, **parameters}
    weight = np.linspace(0.5, 2.0, 60)
    whole = FineTunedClassifier(network, **common).fit(X, y, sample_weight=weight)
    calls = fit_by_calls(FineTunedClassifier(network, **common), 4, X, y, sample_weight=weight)
    check_equal(calls, whole)
    assert calls.n_iter_ == 4
    np.testing.assert_array_equal(calls.predict_proba(X), whole.predict_proba(X))


def test_augmented_clips_are_drawn_epoch_by_epoch(ragged):
    def gain(samples, sample_rate):
        return samples * np.float32(np.random.uniform(0.5, 1.5))  # noqa: NPY002 (seeded for it)

    clips, y = [clip[:4000] for clip in ragged[0]], ragged[1]
    common = {"frozen_layers": -1, "augment": gain, "head_epochs": 0}
    common |= {"max_epochs": 3, "random_state": 0}
    whole = FineTunedClassifier("speech-mini", **common).fit(clips, y)
    calls = fit_by_calls(FineTunedClassifier("speech-mini", **common), 3, clips, y)
    check_equal(calls, whole)


@pytest.mark.parametrize("cls", [DANNClassifier, MMDAligner])
def test_target_rows_take_part(blobs, cls):
    X, y, sample_domain = blobs
    common = {**QUICK, "max_epochs": 3}
    whole = cls(**common).fit(X, y, sample_domain)
    masked = np.where(sample_domain < 0, -7, y)
    calls = cls(**common)
    for _ in range(3):
        calls.partial_fit(X, masked, classes=[0, 1], sample_domain=sample_domain)
    check_equal(calls, whole)
    with pytest.warns(NoAdaptationWarning, match="without target rows"):
        calls.partial_fit(X, y)


def test_rows_in_turn_are_learned(blobs):
    X, y, _ = blobs
    parts = FineTunedClassifier(**QUICK)
    for _ in range(20):
        for start in range(0, 60, 20):
            parts.partial_fit(X[start : start + 20], y[start : start + 20], classes=[0, 1])
    assert parts.n_iter_ == 60
    assert parts.score(X, y) > 0.9
    assert parts.history_[0]["train_batch_count"] == 2


def test_standardisation_is_that_of_the_first_call(blobs):
    X, y, _ = blobs
    calls = FineTunedClassifier(**QUICK).partial_fit(X[:30], y[:30], classes=[0, 1])
    scaler = calls.net_.module_.input_scaler
    np.testing.assert_allclose(scaler.mean.numpy(), X[:30].mean(0))
    calls.partial_fit(100 + X, y)
    np.testing.assert_allclose(calls.net_.module_.input_scaler.mean.numpy(), X[:30].mean(0))


@pytest.mark.parametrize("frozen_layers", [0, 1, ["*.bias"]])
def test_a_pickle_in_between_changes_nothing_where_the_optimizer_has_no_memory(
    blobs, network, frozen_layers
):
    X, y, _ = blobs
    common = {**QUICK, "optimizer": "sgd", "mixup": 0.2, "frozen_layers": frozen_layers}
    whole = fit_by_calls(FineTunedClassifier(network, **common), 4, X, y)
    pickled = FineTunedClassifier(network, **common)
    for _ in range(4):
        pickled.partial_fit(X, y, classes=[0, 1])
        pickled = pickle.loads(pickle.dumps(pickled))
    check_equal(pickled, whole)


def test_a_fit_goes_on_by_calls(blobs, network):
    X, y, _ = blobs
    whole = FineTunedClassifier(network, max_epochs=5, **QUICK).fit(X, y)
    further = FineTunedClassifier(network, max_epochs=3, **QUICK).fit(X, y)
    further.set_params(max_epochs=5).partial_fit(X, y).partial_fit(X, y)
    check_equal(further, whole)
    assert further.fit(X, y).n_iter_ == 5


LEVERS = [
    {"early_stopping": True, "n_iter_no_change": 1, "lr": 1e-30},
    {"average_epochs": 2},
    {"unfreeze_every": 1, "head_epochs": 1},
    {"lr_schedule": "cosine", "warmup_epochs": 1},
    {"lr_schedule": "one_cycle"},
]


@pytest.mark.parametrize("levers", LEVERS)
def test_what_goes_over_epochs_has_no_effect(blobs, watch_steps, levers):
    X, y, _ = blobs
    watched = watch_steps(lambda net: net.optimizer_.param_groups[0]["lr"])
    common = {**QUICK, "max_epochs": 4, "callbacks": [watched], **levers}
    calls = FineTunedClassifier(**common)
    # Five calls, where a fit would have stopped or ended with its schedule.
    fit_by_calls(calls, 5, X, y)
    assert watched.seen == [common["lr"]] * 20
    assert {epoch["n_frozen"] for epoch in calls.history_} == {0}
    assert "valid_loss" not in calls.history_[0]
    plain = FineTunedClassifier(**{**QUICK, "lr": common["lr"], "max_epochs": 4})
    check_equal(calls, fit_by_calls(plain, 5, X, y))


@pytest.mark.parametrize("levers", LEVERS)
def test_nor_has_it_after_a_fit_that_had_it(blobs, watch_steps, levers, tmp_path):
    X, y, _ = blobs
    watched = watch_steps(lambda net: net.optimizer_.param_groups[0]["lr"])
    common = {**QUICK, "max_epochs": 4, "callbacks": [watched], **levers}
    fitted = FineTunedClassifier(checkpoint=tmp_path, **common).fit(X, y)
    n_epochs = fitted.n_iter_
    [kept] = tmp_path.iterdir()
    contents = kept.read_bytes()
    watched.seen.clear()
    for _ in range(3):
        fitted.partial_fit(X, y)
    assert watched.seen == [common["lr"]] * 12
    assert fitted.n_iter_ == n_epochs + 3
    assert "valid_loss" not in fitted.history_[-1]
    assert kept.read_bytes() == contents
    assert list(tmp_path.iterdir()) == [kept]
    assert fitted.score(X, y) > 0.4


def test_a_solved_head_is_trained_further(blobs):
    X, y, _ = blobs
    fitted = FineTunedClassifier(frozen_layers="all", **QUICK).fit(X, y)
    assert fitted.net_.order_seed == FineTunedClassifier(**QUICK).fit(X, y).net_.order_seed
    body = {name: value.clone() for name, value in fitted.backbone_.state_dict().items()}
    head = fitted.net_.module_.head.weight.detach().clone()
    fitted.partial_fit(X, y)
    assert [epoch["train_batch_count"] for epoch in fitted.history_[1:]] == [4]
    assert not torch.equal(fitted.net_.module_.head.weight, head)
    assert all(torch.equal(fitted.backbone_.state_dict()[name], body[name]) for name in body)
    named = FineTunedClassifier(frozen_layers="all", optimizer="lbfgs", **QUICK)
    assert fit_by_calls(named, 2, X, y).n_iter_ == 2


def test_statistics_are_adapted_after_every_call(blobs, chain):
    X, y, sample_domain = blobs
    X = X.astype(np.float32)
    network = chain(partial(nn.BatchNorm1d, 6), partial(nn.Linear, 6, 4))
    calls = FineTunedClassifier(network, batch_norm="adapt", **QUICK)
    mean, variance = np.zeros(6), np.ones(6)
    for rows in (X, 3 * X + 1):
        calls.partial_fit(rows, y, classes=[0, 1], sample_domain=sample_domain)
        norm = calls.backbone_.blocks[0]
        source, target = rows[sample_domain >= 0], rows[sample_domain < 0]
        ratio = target.std(0, ddof=1) / source.std(0, ddof=1)
        mean = target.mean(0) - (source.mean(0) - mean) * ratio
        variance = variance * ratio**2
        np.testing.assert_allclose(norm.running_mean, mean, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(norm.running_var, variance, rtol=1e-3)


def test_parameters_may_change_between_calls(blobs):
    X, y, _ = blobs
    calls = fit_by_calls(FineTunedClassifier(**QUICK), 2, X, y)
    before = {name: value.clone() for name, value in states(calls)[0].items()}
    calls.set_params(lr=1e-30, weight_decay=0.0).partial_fit(X, y)
    assert all(torch.equal(value, before[name]) for name, value in states(calls)[0].items())
    calls.set_params(lr=0.01, optimizer="sgd").partial_fit(X, y)
    assert type(calls.net_.optimizer_) is torch.optim.SGD
    assert not torch.equal(states(calls)[0]["head.bias"], before["head.bias"])


class Trainings(Callback):
    """Knows when training begins and ends; a copy is itself."""

    def __init__(self):
        self.told = []

    def __deepcopy__(self, memo):
        return self

    def on_train_begin(self, net, **kwargs):
        self.told.append("begin")

    def on_train_end(self, net, **kwargs):
        self.told.append("end")


def test_callbacks_are_told_of_every_call(blobs):
    trainings = Trainings()
    fit_by_calls(FineTunedClassifier(callbacks=[trainings], **QUICK), 2, *blobs[:2])
    assert trainings.told == ["begin", "end"] * 2


def test_a_call_may_bring_some_of_the_classes(blobs):
    X = blobs[0]
    names = np.array(["a", "b", "c"])[np.arange(60) % 3]
    calls = FineTunedClassifier(**QUICK)
    calls.partial_fit(X[names == "b"], names[names == "b"], classes=["c", "a", "b", "d"])
    assert calls.classes_.tolist() == ["a", "b", "c", "d"]
    assert calls.predict_proba(X).shape == (60, 4)
    calls.partial_fit(X, names).partial_fit(X, names, classes=["a", "b", "c", "d"])
    assert calls.n_iter_ == 3
    assert set(calls.predict(X)) <= {"a", "b", "c", "d"}


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (None, None, "classes is None in the first call to partial_fit; give all labels"),
        ([0], None, r"y holds 1, which is none of classes=\[0\]; give all labels in the first"),
        ([0, 1], [0, 1, 2], r"classes=\[0, 1, 2\] are not those of the first call, \[0, 1\]; give"),
        ([0, 1], ["a", "b"], r"classes=\['a', 'b'\] are not those of the first call"),
        ([[0, 1]], None, "1d array"),
    ],
)
def test_classes_that_do_not_fit_are_refused(blobs, first, second, message):
    X, y, _ = blobs
    calls = FineTunedClassifier(**QUICK)
    with pytest.raises(ValueError, match=message):
        calls.partial_fit(X, y, classes=first).partial_fit(X, y, classes=second)
    if second is None:
        with pytest.raises(NotFittedError):
            calls.predict(X)


def test_a_label_that_is_new_is_refused_and_nothing_is_trained(blobs):
    X, y, _ = blobs
    calls = fit_by_calls(FineTunedClassifier(**QUICK), 1, X, y)
    before = calls.predict_proba(X)
    with pytest.raises(ValueError, match=r"y holds 5, which is none of classes=\[0, 1\]"):
        calls.partial_fit(X, np.where(y == 1, 5, 0))
    with pytest.raises(ValueError, match="X has 5 features, but FineTunedClassifier is expecting"):
        calls.partial_fit(X[:, :5], y)
    np.testing.assert_array_equal(calls.predict_proba(X), before)
    assert calls.n_iter_ == 1


def test_one_class_is_predicted_with_certainty(blobs):
    X = blobs[0]
    calls = FineTunedClassifier(**QUICK)
    for _ in range(2):
        calls.partial_fit(X, np.full(60, "only"), classes=["only"])
        np.testing.assert_array_equal(calls.predict_proba(X), np.ones((60, 1)))
    assert calls.n_iter_ == 0


def test_weights_of_zero_leave_rows_out(blobs):
    X, y, _ = blobs
    weight = (np.arange(60) < 40).astype(float)
    found, expected = FineTunedClassifier(**QUICK), FineTunedClassifier(**QUICK)
    for _ in range(2):
        found.partial_fit(X, y, classes=[0, 1], sample_weight=weight)
        expected.partial_fit(X[:40], y[:40], classes=[0, 1])
    check_equal(found, expected)
    with pytest.raises(ValueError, match="must contain at least one non-zero number"):
        found.partial_fit(X, y, sample_weight=np.zeros(60))


def test_memory_and_cache_change_no_bit(blobs, tmp_path):
    X, y, _ = blobs
    common = {"frozen_layers": 1, **QUICK}
    fits = [
        fit_by_calls(FineTunedClassifier(**common, **options), 3, X, y)
        for options in ({}, {"cache": False}, {"memory": tmp_path})
    ]
    check_equal(fits[0], fits[1])
    check_equal(fits[0], fits[2])


def test_steps_after_a_pipeline(blobs):
    X, y, _ = blobs
    scaled = StandardScaler().fit(X)
    calls = fit_by_calls(FineTunedClassifier(**QUICK), 3, scaled.transform(X), y)
    pipe = make_pipeline(scaled, calls)
    assert pipe.score(X, y) == calls.score(scaled.transform(X), y)


def test_terms_that_need_target_rows_may_come_and_go(blobs):
    X, y, sample_domain = blobs
    calls = DomainAdaptiveClassifier(lambda_mmd=1.0, **QUICK)
    calls.partial_fit(X, y, classes=[0, 1], sample_domain=sample_domain)
    assert "train_loss_mmd" in calls.history_[0]
    calls.set_params(lambda_mmd=0.0).partial_fit(X, y, sample_domain=sample_domain)
    assert "train_loss_mmd" not in calls.history_[1]
