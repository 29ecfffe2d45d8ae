"""Learning rates by the step, against torch's schedulers and by hand."""

import math

import numpy as np
import pytest
import torch
from skorch.callbacks import LRScheduler
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, OneCycleLR, SequentialLR

from sktl import FineTunedClassifier
from sktl.classifiers._schedules import RATE_SCHEDULES, rate_factor

# Four batches in each of five epochs.
STEPS = {"batch_size": 16, "max_epochs": 5, "random_state": 0}


def rates_of(make, n_steps):
    """Rates that a scheduler of torch gives an optimizer whose own is 1."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for _ in range(n_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def factors(schedule, n_steps, n_warmup=0):
    return [rate_factor(schedule, step, n_steps, n_warmup) for step in range(n_steps)]


@pytest.mark.parametrize("n_steps", [1, 2, 7, 100])
def test_cosine_is_that_of_torch(n_steps):
    expected = rates_of(lambda optimizer: CosineAnnealingLR(optimizer, n_steps), n_steps)
    assert factors("cosine", n_steps) == pytest.approx(expected, abs=1e-12)


def test_cosine_after_a_warm_up_is_that_of_torch():
    def make(optimizer):
        warm_up = LinearLR(optimizer, 1 / 5, 1.0, total_iters=4)
        return SequentialLR(optimizer, [warm_up, CosineAnnealingLR(optimizer, 20)], [5])

    expected = rates_of(make, 25)
    assert expected[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors("cosine", 25, n_warmup=5) == pytest.approx(expected, abs=1e-12)


def test_one_cycle_has_the_shape_of_torchs():
    # torch's cycle turns one step earlier, which many steps make small.
    n_steps = 3000
    expected = rates_of(lambda optimizer: OneCycleLR(optimizer, 1.0, n_steps), n_steps)
    found = factors("one_cycle", n_steps)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert found[0] == pytest.approx(1 / 25)
    assert found[0] == pytest.approx(expected[0])


def test_one_cycle_rises_for_three_tenths_and_falls_further_than_it_rose():
    found = factors("one_cycle", 100)
    assert int(np.argmax(found)) == 30
    assert found[30] == pytest.approx(1.0)
    assert (np.diff(found[:31]) > 0).all()
    assert (np.diff(found[30:]) < 0).all()
    half_up = 1 / 25 + (1 - 1 / 25) / 2
    assert found[15] == pytest.approx(half_up)
    last = 1 / 25e4
    falling = (1 + math.cos(math.pi * 69 / 70)) / 2
    assert found[99] == pytest.approx(last + (1 - last) * falling)


def test_constant_is_constant_but_for_the_warm_up():
    assert factors("constant", 6) == [1.0] * 6
    assert factors("constant", 6, n_warmup=3) == pytest.approx([1 / 3, 2 / 3, 1, 1, 1, 1])


@pytest.mark.parametrize("schedule", RATE_SCHEDULES)
def test_a_training_that_goes_on_keeps_its_last_rate(schedule):
    last = rate_factor(schedule, 9, 10)
    assert last > 0
    assert [rate_factor(schedule, step, 10) for step in (10, 11, 500)] == [last] * 3


def rates(net):
    return [group["lr"] for group in net.optimizer_.param_groups]


def seen_rates(blobs, watch_steps, **parameters):
    X, y, _ = blobs
    watched = watch_steps(rates)
    FineTunedClassifier(callbacks=[watched], **{**STEPS, **parameters}).fit(X, y)
    return np.array(watched.seen)


@pytest.mark.parametrize(
    ("schedule", "warmup_epochs"),
    [("constant", 0), ("constant", 2), ("cosine", 0), ("cosine", 1), ("one_cycle", 0)],
)
def test_the_optimizer_is_given_the_rate_of_each_step(blobs, watch_steps, schedule, warmup_epochs):
    found = seen_rates(
        blobs, watch_steps, lr=0.02, lr_schedule=schedule, warmup_epochs=warmup_epochs
    )
    assert found.shape == (20, 1)
    expected = 0.02 * np.array(factors(schedule, 20, 4 * warmup_epochs))
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-12)


def test_layers_keep_the_ratio_of_their_rates(blobs, watch_steps):
    common = {"lr": 0.02, "layer_decay": 0.5}
    found = seen_rates(blobs, watch_steps, lr_schedule="cosine", warmup_epochs=1, **common)
    base = seen_rates(blobs, watch_steps, **common)[0]
    assert sorted(base) == pytest.approx([0.005, 0.01, 0.02])
    expected = np.outer(factors("cosine", 20, 4), base)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("layer_decay", [1.0, 0.3])
def test_a_fit_ends_as_with_the_scheduler_of_torch(blobs, layer_decay):
    X, y, _ = blobs
    scheduler = LRScheduler(CosineAnnealingLR, T_max=20, step_every="batch")
    common = {**STEPS, "lr": 0.05, "layer_decay": layer_decay}
    expected = FineTunedClassifier(callbacks=[scheduler], **common).fit(X, y)
    found = FineTunedClassifier(lr_schedule="cosine", **common).fit(X, y)
    np.testing.assert_allclose(found.predict_proba(X), expected.predict_proba(X), atol=1e-10)
    constant = FineTunedClassifier(**common).fit(X, y)
    assert np.abs(constant.predict_proba(X) - found.predict_proba(X)).max() > 1e-3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"lr_schedule": "linear"}, "'lr_schedule' parameter of FineTunedClassifier must be"),
        ({"warmup_epochs": -1}, "'warmup_epochs' parameter of FineTunedClassifier must be"),
        ({"warmup_epochs": 5}, "warmup_epochs=5 leaves none of max_epochs=5 epochs; give fewer"),
        (
            {"warmup_epochs": 1, "lr_schedule": "one_cycle"},
            "warmup_epochs=1, but lr_schedule='one_cycle' rises by itself; give warmup_epochs=0",
        ),
    ],
)
def test_what_is_no_schedule_is_refused(blobs, parameters, message):
    with pytest.raises(ValueError, match=message):
        FineTunedClassifier(**{**STEPS, **parameters}).fit(*blobs[:2])
