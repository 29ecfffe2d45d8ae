"""What the history says, and which rows and weights a step uses."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch import nn

from sktl import DomainAdaptiveClassifier, FineTunedClassifier, MMDAligner

# Steps too small to change a weight: the losses are those of the starting network.
STILL = {"lr": 1e-30, "weight_decay": 0.0, "optimizer": "sgd", "max_epochs": 2, "random_state": 0}


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
