"""Weights averaged over the last epochs, against the mean of those kept by hand."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping
from torch import nn

from sktl import FineTunedClassifier
from sktl._random import torch_seed
from sktl.backbones import Units
from sktl.classifiers._averaging import AverageWeights, check_average_epochs
from sktl.classifiers._batch_norm import adapt_statistics, in_batches, updated_layers

QUICK = {"lr": 0.01, "batch_size": 16, "random_state": 0}


class Keep(Callback):
    """The weights at every epoch's end, in a list outside."""

    seen: list = []

    def on_epoch_end(self, net, **kwargs):
        weights = {n: w.detach().double().numpy().copy() for n, w in net.module_.named_parameters()}
        Keep.seen.append(weights)


@pytest.fixture
def keep(monkeypatch):
    monkeypatch.setattr(Keep, "seen", [])
    return Keep()


def fit(X, y, n_epochs, keep, restore=None, **parameters):
    callbacks = [keep, AverageWeights(n_epochs, restore)]
    return FineTunedClassifier(callbacks=callbacks, **{**QUICK, **parameters}).fit(X, y)


def check_mean(fitted, epochs):
    for name, weight in fitted.net_.module_.named_parameters():
        expected = np.mean([epoch[name] for epoch in epochs], axis=0)
        rtol = 1e-12 if weight.dtype == torch.float64 else 1e-6
        np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=rtol, atol=rtol / 10)


@pytest.mark.parametrize("n_epochs", [1, 2, 5])
def test_the_weights_are_the_mean_over_the_last_epochs(blobs, keep, n_epochs):
    X, y, _ = blobs
    fitted = fit(X, y, n_epochs, keep, max_epochs=5)
    assert len(Keep.seen) == 5
    check_mean(fitted, Keep.seen[-n_epochs:])
    if n_epochs > 1:
        name = next(iter(Keep.seen[0]))
        assert not np.allclose(Keep.seen[-1][name], Keep.seen[-2][name])


def test_training_itself_is_not_changed(blobs, keep):
    X, y, _ = blobs
    fit(X, y, 3, keep, max_epochs=5)
    averaged = list(Keep.seen)
    Keep.seen.clear()
    FineTunedClassifier(callbacks=[keep], max_epochs=5, **QUICK).fit(X, y)
    for one, other in zip(averaged, Keep.seen, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_one_precision_is_averaged_in_another(blobs, keep):
    X, y, _ = blobs
    fitted = fit(X.astype(np.float32), y, 4, keep, max_epochs=4)
    for name, weight in fitted.net_.module_.named_parameters():
        expected = np.mean([epoch[name] for epoch in Keep.seen], axis=0)
        assert weight.dtype == torch.float32
        np.testing.assert_array_equal(weight.detach().numpy(), expected.astype(np.float32))


def test_frozen_weights_stay_to_the_bit_and_are_not_kept(blobs, keep):
    X, y, _ = blobs
    whole = FineTunedClassifier(max_epochs=1, **QUICK).fit(X, y).backbone_
    start = {n: w.clone() for n, w in whole.state_dict().items()}
    fitted = fit(X, y, 2, keep, max_epochs=3, backbone=whole, frozen_layers=1)
    body = fitted.backbone_
    for name, weight in body.blocks[0].named_parameters():
        assert torch.equal(weight, start[f"blocks.0.{name}"])
    [callback] = [c for _, c in fitted.net_.callbacks_ if isinstance(c, AverageWeights)]
    assert not any(name.startswith("body.blocks.0.") for name in callback.sum_)
    assert callback.n_averaged_ == 2


def test_a_block_that_is_released_late_counts_with_what_it_was_before(images, keep):
    X, y = images
    fitted = fit(X, y, 4, keep, max_epochs=4, unfreeze_every=1)
    check_mean(fitted, Keep.seen)


def test_afterwards_the_statistics_can_be_estimated_again(blobs, chain, keep):
    X, y, _ = blobs
    network = chain(lambda: nn.Linear(6, 8), lambda: nn.BatchNorm1d(8), nn.ReLU)
    units = Units(torch.as_tensor(X, dtype=torch.float32))

    def restore(net):
        adapt_statistics(net.module_, in_batches(units), layers=updated_layers(net.module_))

    fitted = fit(X, y, 2, keep, restore, backbone=network, max_epochs=3)
    check_mean(fitted, Keep.seen[-2:])
    linear, norm = fitted.backbone_.blocks[:2]
    with torch.no_grad():
        values = linear(units.values)
    torch.testing.assert_close(norm.running_mean, values.mean(0))
    torch.testing.assert_close(norm.running_var, values.var(0))


def begin(callback, epochs, done=0):
    """A net of one weight, as it is when training begins."""
    with torch_seed(0):
        module = nn.Linear(1, 1, bias=False).double()
    net = SimpleNamespace(module_=module, history=[None] * done, max_epochs=epochs)
    callback.on_train_begin(net)
    return net, module


def step(callback, net, module, value):
    net.history.append(None)
    callback.on_epoch_begin(net)
    with torch.no_grad():
        module.weight.fill_(value)
    callback.on_epoch_end(net)


def test_the_state_goes_on_in_another_callback():
    values = [1.0, 5.0, 2.0, 9.0, 0.1, 3.0]
    whole = AverageWeights(4)
    net, module = begin(whole, 6)
    for value in values:
        step(whole, net, module, value)
    whole.on_train_end(net)
    assert module.weight.item() == pytest.approx(np.mean(values[2:]))
    for stop in range(7):
        first, second = AverageWeights(4), AverageWeights(4)
        net, part = begin(first, 6)
        for value in values[:stop]:
            step(first, net, part, value)
        state = copy.deepcopy(first.state_dict())
        net, part = begin(second, 6, done=stop)
        with torch.no_grad():
            part.weight.fill_(values[stop - 1])
        second.load_state_dict(state)
        for value in values[stop:]:
            step(second, net, part, value)
        second.on_train_end(net)
        assert torch.equal(part.weight, module.weight), stop


def test_a_training_that_ended_before_keeps_its_weights():
    callback = AverageWeights(2)
    net, module = begin(callback, 9)
    step(callback, net, module, 4.0)
    callback.on_train_end(net)
    assert module.weight.item() == 4.0


def estimator(**parameters):
    defaults = {"average_epochs": 0, "max_epochs": 5, "early_stopping": False, "callbacks": None}
    return SimpleNamespace(**{**defaults, **parameters})


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"early_stopping": True},
        {"average_epochs": 5},
        {"average_epochs": 1, "callbacks": [Keep(), ("named", Keep())]},
    ],
)
def test_what_goes_together_is_let_pass(parameters):
    check_average_epochs(estimator(**parameters))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_epochs": 2}, "average_epochs=3 but max_epochs=2; give at most 2, or train longer."),
        ({"early_stopping": True}, "average_epochs=3 does not go with early_stopping=True: which"),
        *(
            ({"callbacks": [stop]}, "average_epochs=3 does not go with callbacks=[EarlyStopping")
            for stop in (EarlyStopping(), ("stop", EarlyStopping()))
        ),
    ],
)
def test_what_contradicts_it_is_refused(parameters, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared below)
        check_average_epochs(estimator(average_epochs=3, **parameters))
    assert message in str(caught.value)
