import math

import numpy as np
import pytest
import torch
from torch import nn

from sktl._random import torch_seed
from sktl.losses import (
    dann_schedule,
    domain_cross_entropy,
    entropy,
    gradient_reversal,
    multilinear_map,
)


def values(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=shape))


def domain_loss_from_the_paper(logits, domain, weight=None):
    """Ganin et al. 2016, equation 9: label 0 for source, 1 for target, a mean over each."""
    p = 1 / (1 + np.exp(-logits))
    weight = np.ones(len(p)) if weight is None else weight
    source = -np.log(1 - p[domain >= 0])
    target = -np.log(p[domain < 0])
    return np.average(source, weights=weight[domain >= 0]) + np.average(
        target, weights=weight[domain < 0]
    )


DOMAIN = np.array([1, 1, 3, 0, -1, -2, 1])


@pytest.mark.parametrize("scale", [0.0, 0.3, 1.0, 2])
def test_reversal_is_identity_forward_and_minus_scale_backward(device, scale):
    x = values(4, 3).to(device).requires_grad_()
    result = gradient_reversal(x, scale)
    assert torch.equal(result, x)
    factor = values(4, 3, seed=1).to(device)
    (result * factor).sum().backward()
    torch.testing.assert_close(x.grad, -scale * factor)


def test_reversal_sends_each_layer_its_own_gradient():
    with torch_seed(0):
        below, above = nn.Linear(3, 2).double(), nn.Linear(2, 1).double()
    x = values(5, 3)
    above(below(x)).square().sum().backward()
    straight = [p.grad.clone() for p in (*below.parameters(), *above.parameters())]
    for module in (below, above):
        module.zero_grad()
    above(gradient_reversal(below(x), 0.5)).square().sum().backward()
    crossed = [p.grad for p in (*below.parameters(), *above.parameters())]
    for i, factor in enumerate((-0.5, -0.5, 1, 1)):
        torch.testing.assert_close(crossed[i], factor * straight[i])


def test_reversal_keeps_the_dtype():
    x = values(3, 2).float().requires_grad_()
    gradient_reversal(x, 0.1).sum().backward()
    assert x.grad.dtype == torch.float32


def test_domain_loss_equals_the_formula(device):
    logits = values(7)
    value = domain_cross_entropy(logits.to(device), torch.tensor(DOMAIN).to(device))
    expected = domain_loss_from_the_paper(logits.numpy(), DOMAIN)
    assert value.shape == ()
    assert value.item() == pytest.approx(expected, rel=1e-12)


def test_domain_loss_takes_a_column_of_logits_and_a_source_mask():
    logits, domain = values(7, 1), torch.tensor(DOMAIN)
    expected = domain_cross_entropy(logits[:, 0], domain)
    assert domain_cross_entropy(logits, domain) == expected
    assert domain_cross_entropy(logits, domain >= 0) == expected


def test_domain_loss_weighs_rows_within_their_domain():
    logits = values(7)
    weight = np.array([1.0, 0.5, 2.0, 0.0, 3.0, 1.0, 1.0])
    value = domain_cross_entropy(logits, torch.tensor(DOMAIN), torch.tensor(weight))
    expected = domain_loss_from_the_paper(logits.numpy(), DOMAIN, weight)
    assert value.item() == pytest.approx(expected, rel=1e-12)


def test_domain_loss_does_not_depend_on_how_many_rows_a_domain_has():
    logits = torch.tensor([2.0, -1.0])
    few = domain_cross_entropy(logits, torch.tensor([0, -1]))
    many = domain_cross_entropy(logits[[0, 0, 0, 1]], torch.tensor([0, 0, 0, -1]))
    torch.testing.assert_close(few, many)


def test_domain_loss_is_two_log_2_at_chance():
    assert domain_cross_entropy(torch.zeros(3, 1), torch.tensor([1, 1, -1])).item() == (
        pytest.approx(2 * math.log(2))
    )


def test_domain_loss_has_gradients_that_teach():
    logits = torch.zeros(4, 1, requires_grad=True)
    domain_cross_entropy(logits, torch.tensor([1, 1, -1, -1])).backward()
    torch.testing.assert_close(logits.grad[:, 0], torch.tensor([0.25, 0.25, -0.25, -0.25]))


def test_domain_loss_gradient_is_that_of_the_value(device):
    domain = torch.tensor(DOMAIN, device=device)
    logits = values(7, 1).to(device).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: domain_cross_entropy(x, domain), logits)


@pytest.mark.parametrize("domain", [[1, 1], [-1, -1]])
def test_an_absent_domain_adds_nothing(domain):
    logits = torch.zeros(2, requires_grad=True)
    value = domain_cross_entropy(logits, torch.tensor(domain))
    value.backward()
    assert value.item() == pytest.approx(math.log(2))
    assert logits.grad.all()


def test_extreme_logits_stay_finite():
    logits = torch.tensor([1e4, -1e4], requires_grad=True)
    value = domain_cross_entropy(logits, torch.tensor([1, -1]))
    value.backward()
    assert value == 2e4
    assert logits.grad.isfinite().all()


def test_half_precision_is_computed_in_single():
    logits, domain = values(7).bfloat16(), torch.tensor(DOMAIN)
    value = domain_cross_entropy(logits, domain)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, domain_cross_entropy(logits.float(), domain))


@pytest.mark.parametrize(
    ("logits", "domain", "message"),
    [
        (torch.zeros(3, 2, 1), torch.zeros(3), r"logits has shape \(3, 2, 1\); give one log-odds"),
        (torch.zeros(3, 1), torch.zeros(2), r"domain has shape \(2,\) but logits has 3 rows"),
    ],
)
def test_domain_loss_names_bad_shapes(logits, domain, message):
    with pytest.raises(ValueError, match=message):
        domain_cross_entropy(logits, domain)


def test_the_loss_of_several_domains_is_twice_the_mean_over_them(device):
    logits, number = values(7, 3), np.array([0, 2, 1, 0, 2, 2, 0])
    weight = np.linspace(1, 2, 7)
    log_p = logits.numpy() - np.log(np.exp(logits.numpy()).sum(1, keepdims=True))
    losses = -log_p[np.arange(7), number]
    means = [np.average(losses[number == k], weights=weight[number == k]) for k in range(3)]
    moved = (value.to(device) for value in (logits, torch.tensor(number), torch.tensor(weight)))
    assert domain_cross_entropy(*moved).item() == pytest.approx(2 * np.mean(means))
    chance = domain_cross_entropy(torch.zeros(7, 3), torch.tensor(number))
    assert chance.item() == pytest.approx(2 * math.log(3))


def test_two_domains_cost_the_same_either_way():
    log_odds, source = values(7), torch.tensor(DOMAIN >= 0)
    scores = torch.stack([torch.zeros(7), log_odds], dim=1)
    several = domain_cross_entropy(scores, (~source).long())
    torch.testing.assert_close(several, domain_cross_entropy(log_odds, source))


def test_multilinear_map_is_the_kronecker_product_of_each_row(device):
    embedding, probabilities = values(5, 4), values(5, 3, seed=1)
    result = multilinear_map(embedding.to(device), probabilities.to(device))
    expected = [np.kron(f, g) for f, g in zip(embedding, probabilities, strict=True)]
    np.testing.assert_allclose(result.cpu(), np.stack(expected), rtol=1e-15)


def test_multilinear_map_sends_gradients_to_both():
    inputs = values(5, 4).requires_grad_(), values(5, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(multilinear_map, inputs)


def test_multilinear_map_names_different_lengths():
    with pytest.raises(ValueError, match="embedding has 5 rows but probabilities has 4"):
        multilinear_map(values(5, 4), values(4, 3))


def test_schedule_equals_the_formula():
    for progress in np.linspace(0, 1, 11):
        expected = 2 / (1 + np.exp(-10 * progress)) - 1
        assert dann_schedule(progress) == pytest.approx(expected, abs=1e-15)
    assert dann_schedule(0) == 0
    assert dann_schedule(1) == pytest.approx(0.99990920)


@pytest.mark.parametrize("progress", [-0.1, 1.5, float("nan")])
def test_schedule_refuses_what_is_not_a_share(progress):
    with pytest.raises(ValueError, match=f"progress={progress}"):
        dann_schedule(progress)


def test_the_losses_compose_into_one_backward_pass(device):
    with torch_seed(0):
        body, head, critic = nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(8, 1)
    for module in (body, head, critic):
        module.to(device)
    embedding = body(values(6, 3).float().to(device))
    logits = head(embedding)
    joint = multilinear_map(embedding, logits.softmax(1))
    domain = torch.tensor([1, 1, 1, -1, -1, -1], device=device)
    loss = domain_cross_entropy(critic(gradient_reversal(joint, 0.5)), domain) + entropy(logits)
    loss.backward()
    for module in (body, head, critic):
        assert all(p.grad.any() for p in module.parameters())
