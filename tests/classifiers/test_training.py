"""Weights of rows and classes, validation, precision: what a fit does with its parameters."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch import nn

from sktl import DANNClassifier, FineTunedClassifier, MMDAligner

# One batch per epoch, so that the order of the rows does not matter.
WHOLE = {"batch_size": 10_000, "max_epochs": 5, "lr": 0.01, "random_state": 0}


def repeat(arrays, counts):
    return [np.repeat(array, counts, axis=0) for array in arrays]


@pytest.mark.parametrize("class_weight", [None, {0: 1.0, 1: 3.0}])
def test_a_weight_counts_as_a_repetition(blobs, class_weight):
    X, y, _ = blobs
    counts = np.arange(60) % 3
    common = {"class_weight": class_weight, **WHOLE}
    weighted = FineTunedClassifier(**common).fit(X, y, sample_weight=counts)
    repeated = FineTunedClassifier(**common).fit(*repeat((X, y), counts))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-9)


@pytest.mark.parametrize("cls", [DANNClassifier, MMDAligner])
def test_a_weight_of_a_source_row_counts_as_a_repetition_for_the_domains_too(blobs, cls):
    X, y, _ = blobs
    X, y = X[:40], y[:40]
    sample_domain = np.repeat([0, -1], 20)
    counts = np.r_[np.tile([1, 3], 10), np.full(20, 2)]
    extra = {"bandwidths": [2.0]} if cls is MMDAligner else {}
    common = {"lambda_schedule": "constant", **WHOLE, **extra}
    weighted = cls(**common).fit(X, y, sample_domain, counts)
    repeated = cls(**common).fit(*repeat((X, y, sample_domain), counts))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-7)
    plain = cls(**common).fit(X, y, sample_domain)
    assert np.abs(plain.predict_proba(X) - weighted.predict_proba(X)).max() > 1e-4


def test_a_common_factor_of_the_weights_changes_nothing(blobs):
    X, y, _ = blobs
    one, ten = (FineTunedClassifier(**WHOLE).fit(X, y, None, np.full(60, w)) for w in (1, 10))
    np.testing.assert_allclose(one.predict_proba(X), ten.predict_proba(X), atol=1e-12)


def test_balanced_classes_weigh_alike(blobs):
    X, y, _ = blobs
    keep = (y == 0) | (np.arange(60) < 12)
    X, y = X[keep], y[keep]
    balanced = FineTunedClassifier(class_weight="balanced", **WHOLE).fit(X, y)
    weight = len(y) / (2 * np.bincount(y))
    by_hand = FineTunedClassifier(class_weight=dict(enumerate(weight)), **WHOLE).fit(X, y)
    np.testing.assert_array_equal(balanced.predict_proba(X), by_hand.predict_proba(X))
    plain = FineTunedClassifier(**WHOLE).fit(X, y)
    assert np.abs(balanced.predict_proba(X) - plain.predict_proba(X)).max() > 1e-3


def test_labels_of_target_rows_have_no_part_in_class_weights(blobs):
    X, y, sample_domain = blobs
    common = {"class_weight": "balanced", **WHOLE}
    told = MMDAligner(**common).fit(X, y, sample_domain)
    untold = MMDAligner(**common).fit(X, np.where(sample_domain < 0, 0, y), sample_domain)
    np.testing.assert_array_equal(told.predict_proba(X), untold.predict_proba(X))


def test_class_weights_of_zero_for_all_are_refused(blobs):
    X, y, _ = blobs
    with pytest.raises(ValueError, match=r"class_weight=\{0: 0, 1: 0\} leaves no source row"):
        FineTunedClassifier(class_weight={0: 0, 1: 0}).fit(X, y)


def test_nothing_to_validate_on_is_said(blobs):
    X, y, _ = blobs
    with pytest.raises(ValueError, match="leaves no row of class 2 to validate on"):
        FineTunedClassifier(early_stopping=True).fit(X[:41], [*y[:40], 2])


@pytest.mark.parametrize("n_iter_no_change", [2, 500])
def test_early_stopping_keeps_the_weights_of_the_lowest_validation_loss(blobs, n_iter_no_change):
    X, y, _ = blobs
    generator = np.random.default_rng(0)
    noisy = np.where(generator.random(60) < 0.3, 1 - y, y)
    fitted = FineTunedClassifier(
        early_stopping=True,
        validation_fraction=0.3,
        n_iter_no_change=n_iter_no_change,
        max_epochs=40,
        lr=0.03,
        random_state=3,
    ).fit(X, noisy)
    losses = [epoch["valid_loss"] for epoch in fitted.history_]
    best = int(np.argmin(losses))
    assert best < len(losses) - 1
    assert len(losses) == min(40, best + 1 + n_iter_no_change) == fitted.n_iter_
    held_out = fitted.net_.train_split(None)[1]
    probability = fitted.net_.module_(held_out.units.values)[1].softmax(1).detach().numpy()
    assert log_loss(held_out.y.numpy(), probability, labels=[0, 1]) == pytest.approx(min(losses))


def test_early_stopping_trains_on_the_other_rows_and_all_of_the_target(blobs):
    X, y, sample_domain = blobs
    fitted = MMDAligner(
        early_stopping=True, validation_fraction=0.5, batch_size=4, max_epochs=2, random_state=0
    ).fit(X, y, sample_domain)
    n_target = int((sample_domain < 0).sum())
    assert fitted.history_[0]["train_batch_count"] == n_target // 2
    assert {"valid_loss", "train_loss_mmd"} <= set(fitted.history_[0])
    assert "valid_loss_mmd" not in fitted.history_[0]


def test_precision_is_bf16_where_asked_for(blobs):
    X, y, _ = blobs
    X = X.astype(np.float32)
    full = FineTunedClassifier(precision="32", **WHOLE).fit(X, y)
    half = FineTunedClassifier(precision="bf16", **WHOLE).fit(X, y)
    assert half.predict_proba(X).dtype == np.float32
    gap = np.abs(full.predict_proba(X) - half.predict_proba(X)).max()
    assert 1e-5 < gap < 0.05
    assert {w.dtype for w in half.net_.module_.parameters()} == {torch.float32}


def test_net_params_reach_the_net_and_its_optimizer(blobs):
    X, y, _ = blobs
    fitted = FineTunedClassifier(
        net_params={"optimizer__betas": (0.5, 0.6), "predict_nonlinearity": None}, max_epochs=1
    ).fit(X, y)
    assert fitted.net_.optimizer_.defaults["betas"] == (0.5, 0.6)
    assert fitted.net_.predict_nonlinearity is None


def test_net_params_do_not_override_parameters(blobs):
    X, y, _ = blobs
    with pytest.raises(ValueError, match="net_params holds 'callbacks', 'lr', which FineTuned"):
        FineTunedClassifier(net_params={"lr": 1.0, "callbacks": []}).fit(X, y)


@pytest.mark.parametrize(
    ("optimizer", "cls"),
    [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)],
)
def test_optimizers_by_name(blobs, optimizer, cls):
    X, y, _ = blobs
    fitted = FineTunedClassifier(optimizer=optimizer, weight_decay=0.3, lr=0.2, max_epochs=1).fit(
        X, y
    )
    assert type(fitted.net_.optimizer_) is cls
    assert fitted.net_.optimizer_.defaults["weight_decay"] == 0.3
    assert fitted.net_.optimizer_.defaults["lr"] == 0.2


def test_frozen_blocks_are_bit_identical_after_a_fit_statistics_too(blobs, chain):
    X, y, _ = blobs
    network = chain(lambda: nn.Linear(6, 8), lambda: nn.BatchNorm1d(8), lambda: nn.Linear(8, 8))
    for cache in (True, False):
        fitted = FineTunedClassifier(network, frozen_layers=2, cache=cache, **WHOLE).fit(X, y)
        trained = fitted.backbone_.blocks.state_dict()
        for name, value in network.state_dict().items():
            assert torch.equal(trained[name], value) is name.startswith(("0.", "1.")), name


def test_trained_batch_statistics_move(blobs, chain):
    X, y, _ = blobs
    network = chain(lambda: nn.Linear(6, 8), lambda: nn.BatchNorm1d(8))
    fitted = FineTunedClassifier(network, **WHOLE).fit(X, y)
    assert not torch.equal(fitted.backbone_.blocks[1].running_mean, network[1].running_mean)


def test_loaded_batch_statistics_stay_while_the_weights_move(ragged):
    fitted = FineTunedClassifier("speech-mini", max_epochs=1, random_state=0).fit(*ragged)
    start = FineTunedClassifier("speech-mini", frozen_layers="all", max_epochs=1).fit(*ragged)
    before, after = (c.backbone_.state_dict() for c in (start, fitted))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any("running" in name for name in moved)
    assert {"blocks.0.conv.weight", "blocks.9.linear.weight"} <= moved
