"""Each term of the loss against numpy, and where its gradient goes."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch import nn

from sktl import DomainAdaptiveClassifier
from sktl.classifiers._module import make_discriminator
from sktl.classifiers._objective import Objective

N_SOURCE, N_TARGET = 7, 5


def terms_of(objective, module, batch, progress=0.5):
    embedding, logits = module(batch.units.values)
    terms = objective.terms(module, embedding, logits, batch, progress)
    return terms, embedding.detach().numpy(), logits.detach().numpy()


def number(term):
    return float(term.detach())


def cross_entropy(logits, batch):
    rows = np.arange(N_SOURCE)
    losses = -log_softmax(logits[:N_SOURCE], axis=1)[rows, batch.y[:N_SOURCE]]
    return (losses * batch.weight[:N_SOURCE].numpy()).mean()


def kernel_mean(a, b, bandwidth, weight_a, weight_b):
    distance = ((a[:, None] - b[None]) ** 2).sum(2)
    return weight_a @ np.exp(-distance / (2 * bandwidth**2)) @ weight_b


def test_classification_is_the_weighted_mean_over_source_rows(module, batch):
    terms, _, logits = terms_of(Objective(), module, batch)
    assert set(terms) == {"cls"}
    assert number(terms["cls"]) == pytest.approx(cross_entropy(logits, batch))


def test_mmd_is_the_kernel_formula_with_the_weights_of_the_source(module, batch):
    objective = Objective(lambda_mmd=0.3, bandwidths=(0.7, 2.0), schedule=lambda p: 2 * p)
    terms, embedding, _ = terms_of(objective, module, batch, progress=0.25)
    source, target = embedding[:N_SOURCE], embedding[N_SOURCE:]
    w = batch.weight[:N_SOURCE].numpy() / batch.weight[:N_SOURCE].sum().item()
    v = np.full(N_TARGET, 1 / N_TARGET)
    expected = np.mean(
        [
            kernel_mean(source, source, s, w, w)
            + kernel_mean(target, target, s, v, v)
            - 2 * kernel_mean(source, target, s, w, v)
            for s in (0.7, 2.0)
        ]
    )
    assert number(terms["mmd"]) == pytest.approx(0.3 * 0.5 * expected)


def test_coral_is_the_distance_of_covariances(module, batch):
    terms, embedding, _ = terms_of(Objective(lambda_coral=4.0), module, batch)
    gap = np.cov(embedding[:N_SOURCE].T) - np.cov(embedding[N_SOURCE:].T)
    assert number(terms["coral"]) == pytest.approx(4.0 * (gap**2).sum() / (4 * 5**2))


def test_entropy_is_that_of_target_predictions(module, batch):
    terms, _, logits = terms_of(Objective(lambda_entropy=0.2), module, batch)
    p = softmax(logits[N_SOURCE:], axis=1)
    assert number(terms["entropy"]) == pytest.approx(0.2 * -(p * np.log(p)).sum(1).mean())


def domain_loss(log_odds, weight):
    target = np.arange(len(log_odds)) >= N_SOURCE
    losses = np.logaddexp(0, np.where(target, -log_odds, log_odds))
    sides = [np.average(losses[side], weights=weight[side]) for side in (~target, target)]
    return sum(sides)


@pytest.mark.parametrize("conditional", [False, True])
def test_the_adversary_is_the_cross_entropy_of_the_domains(module, batch, conditional):
    if conditional:
        with torch.random.fork_rng(devices=[]):
            module.discriminator = make_discriminator(15, (4,)).double()
    objective = Objective(lambda_adv=0.01, conditional=conditional)
    terms, embedding, logits = terms_of(objective, module, batch)
    if conditional:
        p = softmax(logits, axis=1)
        embedding = np.einsum("nd,nc->ndc", embedding, p).reshape(len(p), -1)
    log_odds = module.discriminator(torch.as_tensor(embedding)).detach().numpy()[:, 0]
    # λ acts on the reversed gradient alone.
    assert number(terms["adv"]) == pytest.approx(domain_loss(log_odds, batch.weight.numpy()))


def gradients(objective, module, batch):
    module.zero_grad()
    terms, _, _ = terms_of(objective, module, batch)
    terms["adv"].backward()
    return {name: w.grad.clone() for name, w in module.named_parameters() if w.grad is not None}


def test_the_body_gets_the_gradient_reversed_times_lambda_and_the_adversary_in_full(module, batch):
    one = gradients(Objective(lambda_adv=1.0), module, batch)
    third = gradients(Objective(lambda_adv=1.0, schedule=lambda p: 1 / 3), module, batch)
    embedding, _ = module(batch.units.values)
    log_odds = module.discriminator(embedding)[:, 0]
    target = (~batch.source).double()
    losses = nn.functional.binary_cross_entropy_with_logits(log_odds, target, reduction="none")
    shares = torch.where(batch.source, batch.weight, 0) / batch.weight[:N_SOURCE].sum()
    shares += torch.where(batch.source, 0, batch.weight) / batch.weight[N_SOURCE:].sum()
    module.zero_grad()
    (losses * shares).sum().backward()
    plain = {name: w.grad for name, w in module.named_parameters() if w.grad is not None}
    assert any(name.startswith("body") for name in plain)
    for name, gradient in plain.items():
        sign = 1.0 if name.startswith("discriminator") else -1.0
        torch.testing.assert_close(one[name], sign * gradient)
        scale = 1.0 if name.startswith("discriminator") else -1 / 3
        torch.testing.assert_close(third[name], scale * gradient)
    assert not any(name.startswith("head") for name in one)


def test_the_condition_sends_no_gradient_to_the_head(module, batch):
    with torch.random.fork_rng(devices=[]):
        module.discriminator = make_discriminator(15, (4,)).double()
    seen = gradients(Objective(lambda_adv=1.0, conditional=True), module, batch)
    assert not any(name.startswith("head") for name in seen)
    assert any(name.startswith("body") for name in seen)


def test_known_labels_of_target_rows_count_like_those_of_source_rows(module, batch):
    batch.known = torch.tensor([False] * N_SOURCE + [True, False, True, False, False])
    terms, _, logits = terms_of(Objective(use_target_labels=True), module, batch)
    rows = np.array([*range(N_SOURCE), N_SOURCE, N_SOURCE + 2])
    losses = -log_softmax(logits, axis=1)[rows, batch.y[rows]]
    assert number(terms["cls"]) == pytest.approx((losses * batch.weight[rows].numpy()).mean())


def test_a_batch_of_source_rows_alone_has_one_term(module, batch):
    alone = batch.take(torch.arange(N_SOURCE), N_SOURCE)
    everything = Objective(lambda_adv=1.0, lambda_mmd=1.0, lambda_coral=1.0, lambda_entropy=1.0)
    assert set(terms_of(everything, module, alone)[0]) == {"cls"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [((0, 0, 0, 0), False), ((1, 0, 0, 0), True), ((0, 0, 0, 0.1), True), ((0, 1e-9, 0, 0), True)],
)
def test_target_rows_are_of_use_when_any_lambda_is_not_zero(values, expected):
    names = ("lambda_adv", "lambda_mmd", "lambda_coral", "lambda_mcc")
    assert Objective(**dict(zip(names, values, strict=True))).adapts is expected


def test_l2_sp_is_half_the_squared_distance_of_what_learns(module):
    start = {name: w.detach().clone() for name, w in module.body.named_parameters()}
    with torch.no_grad():
        for i, weight in enumerate(module.body.parameters()):
            weight.add_(0.1 * (i + 1))
    objective = Objective(l2_sp=0.6)
    squares = [
        (0.1 * (i + 1)) ** 2 * weight.numel() for i, weight in enumerate(module.body.parameters())
    ]
    assert number(objective.l2_sp_term(module, start)) == pytest.approx(0.3 * sum(squares))
    module.freeze(1)
    assert number(objective.l2_sp_term(module, start)) == pytest.approx(0.3 * sum(squares[2:]))
    module.freeze(2)
    assert number(objective.l2_sp_term(module, start)) == 0.0


def test_every_lambda_is_multiplied_by_the_schedule_at_the_progress_of_training(blobs):
    X, y, sample_domain = blobs
    seen = []

    def schedule(progress):
        seen.append(progress)
        return 0.0

    scheduled = DomainAdaptiveClassifier(
        lambda_mmd=5.0,
        lambda_coral=5.0,
        lambda_entropy=5.0,
        lambda_adv=5.0,
        lambda_schedule=schedule,
        max_epochs=2,
        batch_size=20,
        random_state=0,
    ).fit(X, y, sample_domain)
    n_steps = 2 * scheduled.history_[0]["train_batch_count"]
    assert seen == pytest.approx(np.arange(n_steps) / n_steps)
    assert all(epoch["train_loss_mmd"] == 0 for epoch in scheduled.history_)
