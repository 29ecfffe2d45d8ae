from itertools import combinations

import numpy as np
import pytest
import torch

from sktl.losses import jmmd2, mmd2, pairwise_jmmd2


def rows(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=shape))


def kernel(x, y, sigma):
    return np.exp(-((x[:, None] - y[None]) ** 2).sum(2) / (2 * sigma**2))


def jmmd2_from_the_paper(source, target, sigmas, weight):
    """Long et al. 2017, equation 9, over all pairs."""
    source, target = [[rows.numpy() for rows in side] for side in (source, target)]
    p, q = weight / weight.sum(), np.full(len(target[0]), 1 / len(target[0]))

    def product(left, right):
        kernels = [kernel(*each) for each in zip(left, right, sigmas, strict=True)]
        return np.prod(kernels, axis=0)

    same = p @ product(source, source) @ p + q @ product(target, target) @ q
    return same - 2 * p @ product(source, target) @ q


def test_equals_the_formula(device):
    source, target = [rows(6, 3), rows(6, 2, seed=1)], [rows(4, 3, seed=2), rows(4, 2, seed=3)]
    weight, sigmas = np.linspace(1, 3, 6), (0.7, 1.5)
    sides = [[layer.to(device) for layer in side] for side in (source, target)]
    value = jmmd2(*sides, sigmas, torch.tensor(weight, device=device))
    assert value.shape == ()
    expected = jmmd2_from_the_paper(source, target, sigmas, weight)
    assert value.item() == pytest.approx(expected, rel=1e-10)


def test_of_one_layer_it_is_the_mmd():
    source, target = rows(6, 3), rows(4, 3, seed=1)
    assert torch.equal(jmmd2([source], [target]), mmd2(source, target))


def test_gradient_is_that_of_the_value():
    source, target = rows(4, 3).requires_grad_(), rows(3, 3, seed=1).requires_grad_()

    def of(source, target):
        return jmmd2([source, source.tanh()], [target, target.tanh()], (1.0, 0.5))

    assert torch.autograd.gradcheck(of, (source, target))


def test_layers_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="source has 2 layers, target 1 and bandwidths 2"):
        jmmd2([rows(3, 2)] * 2, [rows(3, 2)])
    with pytest.raises(ValueError, match="source has 0 layers"):
        jmmd2([], [])


def test_of_pairs_it_is_the_mean_over_them(device):
    domain = torch.tensor([0, 2, 1, 0, 1, 2, 2, 0, 1])
    layers, weight = [rows(9, 3), rows(9, 2, seed=1)], torch.tensor(np.linspace(1, 2, 9))
    expected = []
    for first, second in combinations(range(3), 2):
        sides = [[layer[domain == k] for layer in layers] for k in (first, second)]
        # Weights of the target are given by repeating the roles.
        both = [torch.cat(pair) for pair in zip(*sides, strict=True)]
        w = [weight[domain == k] / weight[domain == k].sum() for k in (first, second)]
        signed = torch.cat([w[0], -w[1]]).numpy()
        product = kernel(both[0].numpy(), both[0].numpy(), 0.8)
        product = product * kernel(both[1].numpy(), both[1].numpy(), 2.0)
        expected.append(signed @ product @ signed)
    moved = [layer.to(device) for layer in layers]
    value = pairwise_jmmd2(moved, domain.to(device), (0.8, 2.0), weight.to(device))
    assert value.item() == pytest.approx(np.mean(expected), rel=1e-10)


def test_of_two_domains_the_pair_is_the_mmd():
    values, domain = rows(9, 3), torch.tensor([0, 1, 1, 0, 0, 1, 0, 1, 1])
    value = pairwise_jmmd2([values], domain, ["median"])
    torch.testing.assert_close(value, mmd2(values[domain == 0], values[domain == 1]))


@pytest.mark.parametrize("domain", [[0, 0, 0], [2, 2, 2]])
def test_of_one_domain_it_is_zero(domain):
    value = pairwise_jmmd2([rows(3, 2)], torch.tensor(domain), [1.0])
    assert value.item() == pytest.approx(0, abs=1e-12)


def test_a_domain_without_weight_has_no_part():
    values, domain = rows(9, 3), torch.tensor([0, 1, 2] * 3)
    weight = (domain < 2).double()
    value = pairwise_jmmd2([values], domain, [1.0], weight)
    torch.testing.assert_close(value, mmd2(values[domain == 0], values[domain == 1], 1.0))
