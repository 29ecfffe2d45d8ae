"""What the history says, and which rows and weights a step uses."""

import math

import numpy as np
import pytest
import torch
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from torch import nn

from sktl import DomainAdaptiveClassifier, FineTunedClassifier, MMDAligner
from sktl.classifiers._schedules import rate_factor
from sktl.exceptions import TrainingDivergedError

# Steps too small to change a weight: the losses are those of the starting network.
STILL = {"lr": 1e-30, "weight_decay": 0.0, "optimizer": "sgd", "max_epochs": 2, "random_state": 0}
STILL_ALONE = {name: value for name, value in STILL.items() if name != "random_state"}


@pytest.mark.parametrize("batch_size", [7, 16, 59, 60, 200])
def test_the_loss_of_an_epoch_is_the_mean_over_its_rows(blobs, batch_size):
    X, y, _ = blobs
    weight = np.linspace(0.1, 3, 60)
    fitted = FineTunedClassifier(batch_size=batch_size, **STILL).fit(X, y, sample_weight=weight)
    losses = [
        log_loss([label], p[None], labels=[0, 1])
        for label, p in zip(y, fitted.predict_proba(X), strict=True)
    ]
    expected = np.average(losses, weights=weight)
    assert [epoch["train_loss"] for epoch in fitted.history_] == pytest.approx([expected] * 2)


def test_terms_are_recorded_apart_and_add_up(blobs):
    X, y, sample_domain = blobs
    fitted = DomainAdaptiveClassifier(
        lambda_adv=1.0,
        lambda_mmd=0.5,
        lambda_coral=2.0,
        lambda_entropy=0.1,
        l2_sp=0.1,
        max_epochs=2,
    ).fit(X, y, sample_domain)
    for epoch in fitted.history_:
        terms = {name: v for name, v in epoch.items() if name.startswith("train_loss_")}
        assert set(terms) == {
            f"train_loss_{name}" for name in ("cls", "adv", "mmd", "coral", "entropy", "l2_sp")
        }
        assert epoch["train_loss"] == pytest.approx(sum(terms.values()))
    assert set(fitted.history_[0]) > {"epoch", "dur", "train_batch_count"}


def test_mmd_in_the_history_is_that_of_the_embedding(blobs):
    X, y, sample_domain = blobs
    source = sample_domain >= 0
    keep = np.sort(np.r_[np.where(source)[0][:20], np.where(~source)[0][:20]])
    X, y, source = X[keep], y[keep], source[keep]
    fitted = MMDAligner(
        lambda_mmd=0.5, bandwidths=[3.0], lambda_schedule="constant", batch_size=40, **STILL
    ).fit(X, y, np.where(source, 0, -1))
    embedding = fitted.transform(X)
    sign = np.where(source, 1 / 20, -1 / 20)
    distance = ((embedding[:, None] - embedding[None]) ** 2).sum(2)
    expected = sign @ np.exp(-distance / 18) @ sign
    assert fitted.history_[0]["train_loss_mmd"] == pytest.approx(0.5 * expected)


def trained_body(network, blobs, **parameters):
    X, y, _ = blobs
    sgd = {"optimizer": "sgd", "weight_decay": 0, "batch_size": 60, "random_state": 0}
    fitted = FineTunedClassifier(network, **{**sgd, **parameters}).fit(X, y)
    return fitted.backbone_.blocks[0].weight.detach().numpy()


def test_l2_sp_pulls_each_step_towards_the_starting_weights(blobs, chain):
    network = chain(lambda: nn.Linear(6, 8), nn.ReLU)
    start = network[0].weight.detach().numpy().copy()
    first = trained_body(network, blobs, lr=0.1, max_epochs=1)
    second = trained_body(network, blobs, lr=0.1, max_epochs=2)
    pulled = trained_body(network, blobs, lr=0.1, max_epochs=2, l2_sp=3.0)
    np.testing.assert_allclose(pulled, second - 0.1 * 3.0 * (first - start), atol=1e-7)
    assert np.abs(pulled - second).max() > 1e-4


def test_large_l2_sp_keeps_the_body_at_its_start(blobs, chain):
    network = chain(lambda: nn.Linear(6, 8), nn.ReLU)
    start = network[0].weight.detach().numpy().copy()
    free, tied = (
        trained_body(network, blobs, lr=0.01, max_epochs=40, l2_sp=l2_sp) for l2_sp in (0.0, 90.0)
    )
    assert np.abs(free - start).max() > 10 * np.abs(tied - start).max() > 0
    np.testing.assert_array_equal(network[0].weight.detach().numpy(), start)


def test_l2_sp_with_everything_frozen_adds_nothing(blobs):
    X, y, _ = blobs
    common = {"frozen_layers": "all", "max_epochs": 3, "random_state": 0}
    pulled = FineTunedClassifier(l2_sp=1.0, **common).fit(X, y)
    free = FineTunedClassifier(**common).fit(X, y)
    np.testing.assert_array_equal(pulled.predict_proba(X), free.predict_proba(X))


def test_gradients_of_one_step_are_those_of_the_whole_batch(blobs, chain):
    X, y, _ = blobs
    network = chain(lambda: nn.Linear(6, 4)).double()
    fitted = FineTunedClassifier(
        network,
        optimizer="sgd",
        lr=0.5,
        weight_decay=0,
        max_epochs=1,
        batch_size=60,
        random_state=0,
    )
    before = FineTunedClassifier(network, **{**STILL, "max_epochs": 1}).fit(X, y)
    fitted.fit(X, y)
    head = before.net_.module_.head
    embedding, logits = before.net_.module_(torch.as_tensor(X))
    p = logits.softmax(1).detach().numpy()
    p[np.arange(60), y] -= 1
    expected = head.weight.detach().numpy() - 0.5 * p.T @ embedding.detach().numpy() / 60
    np.testing.assert_allclose(fitted.net_.module_.head.weight.detach(), expected, atol=1e-12)


def by_a_bare_loop(X, y, start, order_seed, adapt=None):
    """What anyone would write: rows half source, half target where there is `adapt`."""
    with torch.random.fork_rng(devices=[]):
        net = nn.Sequential(nn.Linear(6, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU())
        net, head = net.double(), nn.Linear(256, 2).double()
    weights = [*net.parameters(), *head.parameters()]
    with torch.no_grad():
        for own, given in zip(weights, start, strict=True):
            own.copy_(given)
    optimizer = torch.optim.AdamW(weights, lr=0.01, weight_decay=0.1)
    X, y = torch.as_tensor((X - X.mean(0)) / X.std(0)), torch.as_tensor(y)
    n = 60 if adapt is None else 30
    size = 16 if adapt is None else 8
    for epoch in range(3):
        generator = torch.Generator().manual_seed(order_seed + epoch)
        order = torch.randperm(n, generator=generator)
        other = 30 + torch.randperm(30, generator=generator)
        for i in range(0, n, size):
            rows, target = order[i : i + size], other[i : i + size]
            optimizer.zero_grad()
            embedding = net(X[rows] if adapt is None else X[torch.cat([rows, target])])
            loss = nn.functional.cross_entropy(head(embedding[: len(rows)]), y[rows])
            if adapt is not None:
                loss = loss + adapt(embedding[: len(rows)], embedding[len(rows) :])
            loss.backward()
            optimizer.step()
    return weights


def covariance_gap(source, target):
    return 3 * (torch.cov(source.T) - torch.cov(target.T)).square().sum() / (4 * 256**2)


def kernel_gap(source, target):
    rows, n = torch.cat([source, target]), len(source)
    kernel = torch.exp(-torch.cdist(rows, rows).square() / 50)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()


@pytest.mark.parametrize(
    ("adapt", "parameters"),
    [
        (None, {}),
        (covariance_gap, {"lambda_coral": 3.0}),
        (kernel_gap, {"lambda_mmd": 1.0, "bandwidths": [5.0]}),
    ],
)
def test_training_ends_with_the_weights_of_a_bare_loop(blobs, adapt, parameters):
    X, y, _ = blobs
    sample_domain = None if adapt is None else np.repeat([1, -1], 30)
    common = {"batch_size": 16, "random_state": 0, "lambda_schedule": "constant", **parameters}
    trained = {"lr": 0.01, "weight_decay": 0.1, "max_epochs": 3}
    start, end = (
        DomainAdaptiveClassifier(**common, **options).fit(X, y, sample_domain=sample_domain).net_
        for options in (STILL_ALONE, trained)
    )
    expected = by_a_bare_loop(X, y, start.module_.parameters(), end.order_seed, adapt)
    for weight, other in zip(end.module_.parameters(), expected, strict=True):
        torch.testing.assert_close(weight, other, rtol=1e-6, atol=1e-8)


class TwoPasses(torch.optim.SGD):
    """Evaluates every batch twice, as LBFGS does many times."""

    def __init__(self, params, lr):
        super().__init__(params, lr=lr)

    def step(self, closure):
        closure()
        return super().step(closure)


def test_an_optimizer_of_several_passes_and_no_weight_decay_works(blobs):
    X, y, sample_domain = blobs
    common = {"lambda_mmd": 0.1, "lr": 0.1, "max_epochs": 4, "random_state": 0}
    fitted = DomainAdaptiveClassifier(optimizer=TwoPasses, **common).fit(X, y, sample_domain)
    losses = [epoch["train_loss_cls"] for epoch in fitted.history_]
    assert losses[3] < losses[0]


def test_an_optimizer_of_several_passes_keeps_the_schedule_of_its_steps(blobs, watch_steps):
    X, y, _ = blobs
    watched = watch_steps(lambda net: net.optimizer_.param_groups[0]["lr"])
    common = {"lr": 0.1, "lr_schedule": "cosine", "batch_size": 16, "max_epochs": 3}
    FineTunedClassifier(optimizer=TwoPasses, callbacks=[watched], **common).fit(X, y)
    expected = [0.1 * rate_factor("cosine", step, 12) for step in range(12)]
    assert watched.seen == pytest.approx(expected)


class Hooks(Callback):
    """Knows of everything that skorch tells, in order; a copy is itself."""

    def __init__(self):
        self.told = []
        self.losses = []

    def __deepcopy__(self, memo):
        return self

    def on_batch_begin(self, net, batch=None, training=None, **kwargs):
        self.told.append("begin" if training else "validation begins")
        assert batch[1] is None

    def on_grad_computed(self, net, named_parameters=None, training=None, **kwargs):
        assert any(weight.grad is not None for _, weight in named_parameters)
        self.told.append("gradients")

    def on_batch_end(self, net, batch=None, training=None, loss=None, y_pred=None, **kwargs):
        assert len(y_pred) == len(batch[0])
        self.told.append("end" if training else "validation ends")
        self.losses.append(float(loss.detach()))


@pytest.mark.parametrize("optimizer", ["adamw", TwoPasses])
def test_callbacks_of_batches_are_called_and_change_no_bit(blobs, optimizer):
    X, y, _ = blobs
    common = {"early_stopping": True, "validation_fraction": 0.3, "batch_size": 16, "lr": 0.02}
    common |= {"optimizer": optimizer, "max_epochs": 2, "random_state": 0, "mixup": 0.2}
    hooks = Hooks()
    told = FineTunedClassifier(callbacks=[hooks], **common).fit(X, y)
    untold = FineTunedClassifier(**common).fit(X, y)
    np.testing.assert_array_equal(told.predict_proba(X), untold.predict_proba(X))
    for one, other in zip(told.history_, untold.history_, strict=True):
        assert {k: v for k, v in one.items() if k != "dur"} == {
            k: v for k, v in other.items() if k != "dur"
        }
    # 42 rows to train on, 18 held out.
    passes = 1 if optimizer == "adamw" else 2
    step = ["begin", *["gradients"] * passes, "end"]
    validation = ["validation begins", "validation ends"] * 2
    assert hooks.told == (step * 3 + validation) * 2


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("n_good", [1, 6, 9])
def test_a_loss_that_is_no_number_stops_with_epoch_batch_and_rate(blobs, schedule, n_good):
    X, y, _ = blobs

    class Poison(Hooks):
        """Spoils a weight once so many steps have been made."""

        def on_batch_end(self, net, training=None, **kwargs):
            super().on_batch_end(net, training=training, **kwargs)
            if len(self.losses) == n_good:
                with torch.no_grad():
                    net.module_.head.bias[0] = math.inf

    # Four batches in an epoch.
    common = {"lr": 0.02, "lr_schedule": schedule, "batch_size": 16, "max_epochs": 5}
    classifier = FineTunedClassifier(callbacks=[Poison()], **common)
    with pytest.raises(TrainingDivergedError) as caught:
        classifier.fit(X, y)
    rate = 0.02 * rate_factor(schedule, n_good, 20)
    assert str(caught.value) == (
        f"the loss became nan in batch {n_good % 4 + 1} of epoch {n_good // 4 + 1}, at a learning "
        f"rate of {rate:.3g}; give a smaller lr (it is 0.02), or look for extreme values in X."
    )
    assert not hasattr(classifier, "net_")


def test_steps_that_are_too_long_end_in_that_error(blobs):
    X, y, _ = blobs
    wild = {"optimizer": "sgd", "lr": 1e200, "max_epochs": 9, "random_state": 0}
    with pytest.raises(TrainingDivergedError, match=r"the loss became (nan|inf) in batch \d of"):
        FineTunedClassifier(**wild).fit(X, y)
    search = GridSearchCV(FineTunedClassifier(**wild), {"lr": [0.1, 1e200]}, cv=2)
    with (
        pytest.warns(FitFailedWarning, match="TrainingDivergedError: the loss became"),
        pytest.warns(UserWarning, match="test scores are non-finite"),
    ):
        search.fit(X, y)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False, True]


def test_the_history_says_what_was_frozen_and_how_held_out_rows_fare(blobs, images):
    X, y, _ = blobs
    common = {"early_stopping": True, "validation_fraction": 0.3, **STILL}
    weight = np.linspace(0.1, 2.0, 60)
    fitted = FineTunedClassifier(**common).fit(X, y, sample_weight=weight)
    held_out = fitted.net_.train_split(None)[1]
    logits = fitted.net_.module_.infer(held_out.units)[1]
    accuracy = float((logits.argmax(1) == held_out.y).double().mean())
    assert [epoch["valid_accuracy"] for epoch in fitted.history_] == pytest.approx([accuracy] * 2)
    X, y = images
    unfrozen = FineTunedClassifier(unfreeze_every=1, head_epochs=1, max_epochs=6).fit(X, y)
    assert [epoch["n_frozen"] for epoch in unfrozen.history_] == [4, 4, 3, 2, 1, 0]
    assert "valid_loss" not in unfrozen.history_[0]
