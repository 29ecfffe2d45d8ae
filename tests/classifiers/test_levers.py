"""The head alone at first, batch normalisation, averaged weights: levers through the estimator."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from skorch.callbacks import EarlyStopping, EpochTimer
from torch import nn

from sktl import DANNClassifier, FineTunedClassifier

QUICK = {"lr": 0.02, "batch_size": 16, "max_epochs": 4, "random_state": 0}
STILL = {"lr": 1e-30, "weight_decay": 0.0, "optimizer": "sgd", "max_epochs": 1, "random_state": 0}


def make(network, **parameters):
    return FineTunedClassifier(network, **{**QUICK, **parameters})


@pytest.fixture
def network(chain):
    layers = [partial(nn.Linear, 6, 8), partial(nn.BatchNorm1d, 8), nn.Tanh]
    return chain(*layers, partial(nn.Linear, 8, 5), partial(nn.BatchNorm1d, 5))


def body_of(net):
    return {n: v.detach().clone() for n, v in net.module_.body.state_dict().items()}


def differing(one, other):
    return {name for name in one if not torch.equal(one[name], other[name])}


def test_the_head_learns_alone_for_so_many_epochs(blobs, network, watch):
    X, y, _ = blobs
    bodies, heads = watch(body_of), watch(lambda net: net.module_.head.weight.detach().clone())
    make(network, head_epochs=2, callbacks=[bodies, heads]).fit(X, y)
    start = {f"blocks.{n}": v for n, v in network.state_dict().items()}
    assert differing(bodies.seen[0], start) == differing(bodies.seen[1], start) == set()
    # Batch normalisation follows when the body does, and so does everything else.
    assert differing(bodies.seen[2], start) == set(start)
    moved = [not torch.equal(*pair) for pair in zip(heads.seen, heads.seen[1:], strict=False)]
    assert moved == [True] * 3


def test_until_then_it_is_a_probe_that_is_trained(blobs, network):
    X, y, _ = blobs
    probe = make(network, frozen_layers="all", optimizer="adamw", max_epochs=2).fit(X, y)
    warmed = make(network, head_epochs=2, max_epochs=3).fit(X, y)
    losses = [[epoch["train_loss"] for epoch in f.history_[:2]] for f in (probe, warmed)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert [epoch["n_frozen"] for epoch in warmed.history_] == [5, 5, 0]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"unfreeze_every": 1}, [5, 5, 5, 4, 3, 2, 1, 0]),
        ({"unfreeze_every": 2, "frozen_layers": 3}, [5, 5, 5, 5, 4, 4, 3, 3]),
        ({"frozen_layers": 2}, [5, 5, 2, 2, 2, 2, 2, 2]),
        ({"frozen_layers": ["blocks.0", "blocks.4"]}, [5, 5, 1, 1, 1, 1, 1, 1]),
        ({"frozen_layers": "all", "optimizer": "sgd"}, [5] * 8),
    ],
)
def test_afterwards_blocks_are_released_as_without(blobs, network, parameters, expected):
    X, y, _ = blobs
    fitted = make(network, head_epochs=2, max_epochs=8, **parameters).fit(X, y)
    assert [epoch["n_frozen"] for epoch in fitted.history_] == expected


@pytest.mark.parametrize("held_out", [False, True])
def test_a_head_may_be_solved_first(blobs, network, held_out):
    X, y, _ = blobs
    still = {**STILL, "weight_decay": 0.05, "early_stopping": held_out, "validation_fraction": 0.5}
    network = network.double().eval()
    fitted = make(network, head_epochs="solve", **still).fit(X, y)
    module = fitted.net_.module_
    with torch.no_grad():
        embedding = module.embedding_scaler(network(torch.as_tensor(X))).numpy()
    train = np.ones(60, bool)
    if held_out:
        units = fitted.net_.train_split(None)[1].units.values.numpy()
        train = ~(X[:, None] == units).all(2).any(1)
        assert train.sum() == 30
    model = LogisticRegression(C=2 / (0.05 * train.sum()), tol=1e-10, max_iter=10_000)
    model.fit(embedding[train], y[train])
    head = module.head.weight.detach().numpy()
    np.testing.assert_allclose(head[1:] - head[:1], model.coef_, atol=1e-4)
    assert fitted.n_iter_ == 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"head_epochs": 4}, "head_epochs=4 leaves none of max_epochs=4 epochs; give fewer"),
        ({"head_epochs": -1}, "'head_epochs' parameter of FineTunedClassifier must be"),
        ({"head_epochs": "probe"}, "'head_epochs' parameter of FineTunedClassifier must be"),
        ({"head_epochs": "solve", "head": "mlp"}, "head_epochs='solve' needs a linear head, but"),
        ({"batch_norm": "no"}, "'batch_norm' parameter of FineTunedClassifier must be"),
        ({"average_epochs": 5}, "average_epochs=5 but max_epochs=4; give at most 4"),
        ({"average_epochs": 2, "early_stopping": True}, "average_epochs=2 does not go with early"),
        (
            {"average_epochs": 2, "callbacks": [EarlyStopping()]},
            r"average_epochs=2 does not go with callbacks=\[EarlyStopping",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_before_training(blobs, network, parameters, message):
    with pytest.raises(ValueError, match=message):
        make(network, **parameters).fit(*blobs[:2])


def norms(fitted):
    return [part for part in fitted.backbone_.modules() if isinstance(part, nn.BatchNorm1d)]


def statistics(fitted):
    return [(n.running_mean.numpy().copy(), n.running_var.numpy().copy()) for n in norms(fitted)]


def linear(fitted, X):
    layer = fitted.backbone_.blocks[0]
    return X @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


@pytest.mark.parametrize("mode", ["auto", "update"])
def test_statistics_follow_the_batches(blobs, network, mode):
    X, y, _ = blobs
    fitted = make(network, batch_norm=mode, **{**STILL, "batch_size": 60}).fit(X, y)
    values = linear(fitted, X)
    mean, variance = statistics(fitted)[0]
    np.testing.assert_allclose(mean, 0.1 * values.mean(0), atol=1e-6)
    np.testing.assert_allclose(variance, 0.9 + 0.1 * values.var(0, ddof=1), rtol=1e-5)


def test_frozen_statistics_stay_and_training_uses_them(blobs, network):
    X, y, _ = blobs
    fitted = make(network, batch_norm="frozen").fit(X, y)
    for mean, variance in statistics(fitted):
        np.testing.assert_array_equal(mean, np.zeros(len(mean)))
        np.testing.assert_array_equal(variance, np.ones(len(variance)))
    still = make(network, batch_norm="frozen", **STILL).fit(X, y)
    losses = -np.log(still.predict_proba(X)[np.arange(60), y])
    assert still.history_[0]["train_loss"] == pytest.approx(losses.mean(), rel=1e-5)


@pytest.mark.parametrize("frozen_layers", [0, 2, "all", ["blocks.0"]])
@pytest.mark.parametrize("with_target", [True, False])
def test_adapted_statistics_are_those_of_the_target_and_no_weight_differs(
    blobs, network, frozen_layers, with_target, tmp_path
):
    X, y, sample_domain = blobs
    X = np.where(sample_domain[:, None] < 0, 3 * X + 2, X).astype(np.float32)
    given = {"sample_domain": sample_domain if with_target else None}
    common = {"frozen_layers": frozen_layers}
    frozen = make(network, batch_norm="frozen", **common).fit(X, y, **given)
    adapted = make(network, batch_norm="adapt", **common).fit(X, y, **given)
    weights = [dict(f.net_.module_.named_parameters()) for f in (frozen, adapted)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    source, target = (
        linear(adapted, X[sample_domain < 0 if side else sample_domain >= 0])
        for side in (False, True)
    )
    mean, variance = statistics(adapted)[0]
    # Mean 0 and variance 1 were kept in training: source rows pass unscaled, and so shall these.
    ratio = target.std(0, ddof=1) / source.std(0, ddof=1)
    if with_target:
        np.testing.assert_allclose(mean, target.mean(0) - ratio * source.mean(0), atol=1e-3)
        np.testing.assert_allclose(variance, ratio**2, rtol=1e-3)
    else:
        np.testing.assert_array_equal((mean, variance), (np.zeros(8), np.ones(8)))
    for other in ({"cache": False}, {"memory": tmp_path}, {"memory": tmp_path}):
        again = make(network, batch_norm="adapt", **common, **other).fit(X, y, **given)
        np.testing.assert_array_equal(again.predict_proba(X), adapted.predict_proba(X))
    # The embedding changes with the statistics, and so do predictions.
    change = np.abs(adapted.predict_proba(X) - frozen.predict_proba(X)).max()
    assert (change > 1e-3) == with_target


def test_target_rows_that_only_adapt_statistics_are_not_trained_on(blobs, network):
    X, y, sample_domain = blobs
    source = sample_domain >= 0
    both = make(network, batch_norm="adapt").fit(X, np.where(source, y, 9), sample_domain)
    alone = make(network, batch_norm="frozen").fit(X[source], y[source])
    weights = [dict(f.net_.module_.named_parameters()) for f in (both, alone)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert both.classes_.tolist() == [0, 1]
    unweighted = make(network, batch_norm="adapt").fit(X[source], y[source])
    weight = source.astype(float)
    weighted = make(network, batch_norm="adapt").fit(X, y, sample_domain, weight)
    np.testing.assert_array_equal(weighted.predict_proba(X), unweighted.predict_proba(X))


def test_a_single_target_row_has_no_statistics_which_is_told_before_training(blobs, network):
    X, y, _ = blobs
    sample_domain = np.where(np.arange(len(y)) == 7, -1, 0)
    begun = []
    spy = EpochTimer()
    spy.on_train_begin = lambda *_, **__: begun.append(1)
    adapting = make(network, batch_norm="adapt", callbacks=[spy])
    with pytest.raises(ValueError, match="has seen one value of a neuron"):
        adapting.fit(X, y, sample_domain)
    assert not begun
    assert not hasattr(adapting, "net_")


def test_adversarial_training_and_adapted_statistics_go_together(blobs, network):
    X, y, sample_domain = blobs
    fitted = DANNClassifier(network, batch_norm="adapt", **QUICK).fit(X, y, sample_domain)
    target = linear(fitted, X[sample_domain < 0].astype(np.float32))
    source = linear(fitted, X[sample_domain >= 0].astype(np.float32))
    ratio = target.std(0, ddof=1) / source.std(0, ddof=1)
    expected = target.mean(0) - ratio * source.mean(0)
    np.testing.assert_allclose(statistics(fitted)[0][0], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("n_epochs", [1, 3])
def test_averaged_weights_are_the_mean_over_the_last_epochs(blobs, network, watch, n_epochs):
    X, y, _ = blobs
    kept = watch(lambda net: {n: w.detach().clone() for n, w in net.module_.named_parameters()})
    fitted = make(network, average_epochs=n_epochs, callbacks=[kept]).fit(X, y)
    for name, weight in fitted.net_.module_.named_parameters():
        expected = np.mean([epoch[name].double().numpy() for epoch in kept.seen[-n_epochs:]], 0)
        np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-5, atol=1e-7)


def test_statistics_are_estimated_again_for_averaged_weights(blobs, network):
    X, y, _ = blobs
    fitted = make(network, average_epochs=3).fit(X, y)
    values = linear(fitted, X.astype(np.float32))
    mean, variance = statistics(fitted)[0]
    np.testing.assert_allclose(mean, values.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(variance, values.var(0, ddof=1), rtol=1e-4)
    frozen = make(network, average_epochs=3, batch_norm="frozen").fit(X, y)
    np.testing.assert_array_equal(statistics(frozen)[0][0], np.zeros(8))
    prefix = make(network, average_epochs=3, frozen_layers=2).fit(X, y)
    np.testing.assert_array_equal(statistics(prefix)[0][0], np.zeros(8))
    assert np.abs(statistics(prefix)[1][0]).min() > 0
    probe = make(network, average_epochs=2, frozen_layers="all").fit(X, y)
    assert probe.n_iter_ == 4
