"""Each term of adaptation against its loss or numpy."""

import numpy as np
import pytest
import torch
from scipy.special import softmax

from sktl.classifiers._module import make_discriminator
from sktl.classifiers._objective import Objective
from sktl.losses import (
    class_confusion,
    coral_loss,
    domain_cross_entropy,
    jmmd2,
    margin_disparity,
    pairwise_jmmd2,
)

N_SOURCE = 7


def terms_of(objective, module, batch):
    embedding, logits = module(batch.units.values)
    terms = objective.terms(module, embedding, logits, batch, 0.5)
    return terms, embedding.detach().numpy(), logits.detach().numpy()


def number(term):
    return float(term.detach())


def domain_loss(log_odds, weight):
    target = np.arange(len(log_odds)) >= N_SOURCE
    losses = np.logaddexp(0, np.where(target, -log_odds, log_odds))
    return sum(np.average(losses[side], weights=weight[side]) for side in (~target, target))


def test_certain_predictions_count_more_for_the_adversary(module, batch):
    with torch.random.fork_rng(devices=[]):
        module.discriminator = make_discriminator(15, (4,)).double()
    objective = Objective(lambda_adv=1.0, conditional=True, entropy_weighting=True)
    terms, embedding, logits = terms_of(objective, module, batch)
    p = softmax(logits, axis=1)
    seen = np.einsum("nd,nc->ndc", embedding, p).reshape(len(p), -1)
    log_odds = module.discriminator(torch.as_tensor(seen)).detach().numpy()[:, 0]
    certainty = 1 + np.exp((p * np.log(p)).sum(1))  # Long et al. 2018
    expected = domain_loss(log_odds, batch.weight.numpy() * certainty)
    assert number(terms["adv"]) == pytest.approx(expected)


def test_the_joint_distance_is_that_of_embeddings_and_predictions(module, batch):
    objective = Objective(lambda_jmmd=0.5, bandwidths=2.0)
    terms, embedding, logits = terms_of(objective, module, batch)
    layers = [torch.as_tensor(embedding), torch.as_tensor(softmax(logits, axis=1))]
    sides = [[layer[part] for layer in layers] for part in (slice(N_SOURCE), slice(N_SOURCE, None))]
    # exp(-d² / 1.68) of predictions, as in Long et al. 2017
    expected = jmmd2(*sides, [2.0, np.sqrt(1.68 / 2)], batch.weight[:N_SOURCE])
    assert number(terms["jmmd"]) == pytest.approx(0.5 * number(expected))


def test_class_confusion_is_that_of_target_predictions(module, batch):
    objective = Objective(lambda_mcc=0.2, mcc_temperature=1.5)
    terms, _, logits = terms_of(objective, module, batch)
    expected = class_confusion(torch.as_tensor(logits[N_SOURCE:]), 1.5)
    assert number(terms["mcc"]) == pytest.approx(0.2 * number(expected))


def test_the_rival_learns_in_full_and_the_body_by_its_reversed_gradient(module, batch):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        module.rival = make_discriminator(5, (4,), 3).double()
    found = []
    for weight in (1.0, 0.25):
        module.zero_grad()
        objective = Objective(lambda_mdd=weight, mdd_margin=2.0)
        terms, embedding, logits = terms_of(objective, module, batch)
        terms["mdd"].backward()
        found.append(
            {n: w.grad.clone() for n, w in module.named_parameters() if w.grad is not None}
        )
    scores = module.rival(torch.as_tensor(embedding))
    parts = (torch.as_tensor(logits), scores, batch.source, 2.0, batch.weight)
    assert number(terms["mdd"]) == pytest.approx(number(margin_disparity(*parts)))
    full, quarter = found
    assert {name.split(".")[0] for name in full} == {"body", "rival"}
    for name, gradient in full.items():
        scale = 1.0 if name.startswith("rival") else 0.25
        torch.testing.assert_close(quarter[name], scale * gradient)


def with_domains(batch):
    """Two sources and two targets."""
    batch.domain = torch.tensor([2, 3, 3, 2, 2, 3, 2, 0, 1, 1, 0, 1])
    return batch


def test_distances_of_several_domains_are_means_over_all_pairs(module, batch):
    objective = Objective(lambda_mmd=1.0, lambda_jmmd=1.0, lambda_coral=1.0, bandwidths=1.0)
    terms, embedding, logits = terms_of(objective, module, with_domains(batch))
    rows = torch.as_tensor(embedding)
    parts = [rows[batch.domain == k] for k in range(4)]
    pairs = [(parts[i], parts[j]) for i in range(4) for j in range(i)]
    corals = [number(coral_loss(*pair)) for pair in pairs]
    assert number(terms["coral"]) == pytest.approx(np.mean(corals))
    weight = torch.where(batch.source, batch.weight, 1.0)
    expected = pairwise_jmmd2([rows], batch.domain, [1.0], weight)
    assert number(terms["mmd"]) == pytest.approx(number(expected))
    layers = [rows, torch.as_tensor(logits).softmax(1)]
    expected = pairwise_jmmd2(layers, batch.domain, [1.0, np.sqrt(0.84)], weight)
    assert number(terms["jmmd"]) == pytest.approx(number(expected))


def test_the_adversary_tells_several_domains_apart(module, batch):
    with torch.random.fork_rng(devices=[]):
        module.discriminator = make_discriminator(5, (4,), 4).double()
    terms, embedding, _ = terms_of(Objective(lambda_adv=1.0), module, with_domains(batch))
    scores = module.discriminator(torch.as_tensor(embedding))
    expected = domain_cross_entropy(scores, batch.domain, batch.weight)
    assert number(terms["adv"]) == pytest.approx(number(expected))
