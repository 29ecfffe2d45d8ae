"""Mixed rows and their loss against numpy, and the draws against Beta's distribution."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import log_softmax

from sktl._random import torch_seed
from sktl.backbones import Ragged, Units
from sktl.classifiers._batches import RowSet
from sktl.classifiers._mixup import draw_shares, mix_rows, mixup_losses

N_SOURCE, N_TARGET = 5, 3


def noise(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def batch_of(units, n_source=N_SOURCE, start=0):
    n = len(units)
    y, weight = torch.arange(n) % 3, 0.5 + noise(n, seed=1).abs()
    return RowSet(units, y, weight, torch.arange(n) < n_source, start, n_source)


def mixed(batch, alpha=0.7, seed=0):
    with torch_seed(seed):
        return mix_rows(batch, alpha)


def parts(mix):
    return mix.partner.numpy(), mix.share.numpy()


def test_source_rows_are_mixed_in_pairs_and_target_rows_stay():
    values = noise(N_SOURCE + N_TARGET, 4, 2)
    found, mix = mixed(batch_of(Units(values)))
    partner, share = parts(mix)
    X = values.numpy()
    expected = X.copy()
    for i in range(N_SOURCE):
        expected[i] = share[i] * X[i] + (1 - share[i]) * X[partner[i]]
    np.testing.assert_allclose(found.units.values, expected, rtol=1e-14)
    assert sorted(partner) == list(range(N_SOURCE))
    assert torch.equal(found.units.values[N_SOURCE:], values[N_SOURCE:])
    assert found.units.offsets is None


def test_the_rest_of_the_batch_is_as_it_was():
    batch = batch_of(Units(noise(8, 2)), start=3)
    found, mix = mixed(batch)
    assert torch.equal(found.y, batch.y)
    assert torch.equal(found.weight, batch.weight)
    assert torch.equal(found.source, batch.source)
    assert (found.start, found.n_source) == (3, N_SOURCE)
    partner = mix.partner
    assert torch.equal(mix.y, batch.y[partner])
    assert torch.equal(mix.weight, batch.weight[partner])


def test_of_several_units_each_is_mixed_with_the_partners_in_turn():
    counts = [3, 1, 2, 4, 1, 2, 1, 3]
    rows = [noise(count, 2, 3, seed=i) for i, count in enumerate(counts)]
    found, mix = mixed(batch_of(Units.from_rows(rows)))
    partner, share = parts(mix)
    assert found.units.counts().tolist() == counts
    for i, (row, own) in enumerate(zip(found.units.rows(), rows, strict=True)):
        for k, unit in enumerate(row):
            expected = own[k].numpy()
            if i < N_SOURCE:
                other = rows[partner[i]][k % counts[partner[i]]].numpy()
                expected = share[i] * expected + (1 - share[i]) * other
            np.testing.assert_allclose(unit, expected, rtol=1e-14)


@pytest.mark.parametrize("tail", [(), (4,)])
def test_units_of_several_lengths_keep_theirs_and_the_partner_is_repeated(tail):
    lengths = [7, 3, 5, 7, 2, 4, 3, 7]
    rows = [noise(1, n, *tail, seed=n) for n in lengths]
    found, mix = mixed(batch_of(Units.from_rows(rows, varying=True)))
    partner, share = parts(mix)
    assert isinstance(found.units.values, Ragged)
    for i, (row, own) in enumerate(zip(found.units.rows(), rows, strict=True)):
        expected = own[0].numpy()
        if i < N_SOURCE:
            other = rows[partner[i]][0].numpy()
            place = np.arange(lengths[i]) % len(other)
            expected = share[i] * expected + (1 - share[i]) * other[place]
        np.testing.assert_allclose(row[0], expected, rtol=1e-14)


def test_lists_of_units_of_one_shape_are_mixed_as_one_tensor():
    rows = [noise(count, 6, seed=i) for i, count in enumerate([2, 1, 3, 1, 1, 2, 1, 1])]
    dense, _ = mixed(batch_of(Units.from_rows(rows)))
    ragged, _ = mixed(batch_of(Units.from_rows(rows, varying=True)))
    for one, other in zip(dense.units.rows(), ragged.units.rows(), strict=True):
        assert torch.equal(one, other)


def test_a_row_alone_stays_as_it_is():
    batch = batch_of(Units(noise(4, 2)), n_source=1)
    found, mix = mixed(batch)
    assert mix.partner.tolist() == [0]
    torch.testing.assert_close(found.units.values, batch.units.values, rtol=1e-15, atol=0)


@pytest.mark.parametrize("varying", [False, True])
def test_the_batch_is_not_changed_and_the_gradient_is_the_share(varying):
    values = noise(8, 3)
    before = values.clone()
    values.requires_grad_()
    units = Units(Ragged.concat([values]) if varying else values)
    found, mix = mixed(batch_of(units))
    outputs = found.units.values
    sum(group.sum() for group in (outputs.groups if varying else [outputs])).backward()
    assert torch.equal(values.detach(), before)
    partner, share = parts(mix)
    expected = np.r_[share, np.ones(N_TARGET)]
    np.add.at(expected, partner, 1 - share)
    np.testing.assert_allclose(values.grad, np.repeat(expected[:, None], 3, axis=1), rtol=1e-14)


def test_the_units_keep_their_type():
    batch = batch_of(Units(noise(8, 3).float()))
    assert mixed(batch)[0].units.values.dtype == torch.float32
    ragged = batch_of(Units(Ragged.concat([noise(8, 3).float()])))
    assert mixed(ragged)[0].units.values.groups[0].dtype == torch.float32


def loss_by_hand(logits, y):
    return -log_softmax(logits.numpy(), axis=1)[np.arange(len(y)), y]


def test_the_loss_carries_the_weight_of_the_row_each_part_comes_from():
    batch = batch_of(Units(noise(8, 2)))
    _, mix = mixed(batch)
    logits, y = noise(N_SOURCE, 3, seed=4), batch.y[:N_SOURCE]
    weight = batch.weight[:N_SOURCE]
    found = mixup_losses(logits, y, weight, mix)
    partner, share = parts(mix)
    own = share * weight.numpy() * loss_by_hand(logits, y)
    other = (1 - share) * weight.numpy()[partner] * loss_by_hand(logits, y[mix.partner])
    np.testing.assert_allclose(found, own + other, rtol=1e-13)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_with_equal_weights_it_is_the_cross_entropy_with_the_mixed_label(smoothing):
    batch = batch_of(Units(noise(8, 2)))
    batch.weight = torch.ones_like(batch.weight)
    _, mix = mixed(batch)
    logits, y = noise(N_SOURCE, 3, seed=4), batch.y[:N_SOURCE].numpy()
    found = mixup_losses(logits, batch.y[:N_SOURCE], batch.weight[:N_SOURCE], mix, smoothing)
    partner, share = parts(mix)
    label = share[:, None] * np.eye(3)[y] + (1 - share[:, None]) * np.eye(3)[y[partner]]
    label = (1 - smoothing) * label + smoothing / 3
    expected = -(label * log_softmax(logits.numpy(), axis=1)).sum(1)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_on_average_a_row_counts_as_much_as_without_mixing():
    batch = batch_of(Units(noise(N_SOURCE, 1)))
    total = np.zeros(N_SOURCE)
    for seed in range(2000):
        partner, share = parts(mixed(batch, alpha=0.4, seed=seed)[1])
        np.add.at(total, np.arange(N_SOURCE), share)
        np.add.at(total, partner, 1 - share)
    np.testing.assert_allclose(total / 2000, 1.0, atol=0.05)


def test_part_of_a_mix_keeps_partners_and_shares():
    batch = batch_of(Units(noise(8, 2)))
    _, mix = mixed(batch)
    logits, index = noise(N_SOURCE, 3, seed=4), torch.tensor([4, 1])
    whole = mixup_losses(logits, batch.y[:N_SOURCE], batch.weight[:N_SOURCE], mix)
    part = mixup_losses(logits[index], batch.y[index], batch.weight[index], mix.take(index))
    assert torch.equal(part, whole[index])


@pytest.mark.parametrize("alpha", [0.15, 0.4, 1, 3.0, 50.0])
def test_shares_follow_the_beta_distribution(alpha):
    with torch_seed(0):
        shares = draw_shares(alpha, 4000).numpy()
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 0.01


@pytest.mark.parametrize("alpha", [1e-8, 1e-3, 1e8])
def test_extreme_shares_are_numbers_between_0_and_1(alpha):
    with torch_seed(0):
        shares = draw_shares(alpha, 1000)
    assert ((shares >= 0) & (shares <= 1)).all()
    near = (shares - 0.5).abs() < 1e-3 if alpha > 1 else shares.minimum(1 - shares) < 1e-3
    assert near.float().mean() > 0.95
    assert shares.mean() == pytest.approx(0.5, abs=0.05)


def test_partners_are_any_permutation():
    batch = batch_of(Units(noise(3, 1)), n_source=3)
    seen = [tuple(mixed(batch, seed=seed)[1].partner.tolist()) for seed in range(600)]
    counts = np.unique(seen, axis=0, return_counts=True)[1]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 0.01


def test_draws_follow_from_torchs_generator():
    batch = batch_of(Units(noise(8, 2)))
    again = [mixed(batch, seed=seed)[0].units.values for seed in (3, 3, 4)]
    assert torch.equal(again[0], again[1])
    assert not torch.equal(again[0], again[2])


def test_a_batch_is_mixed_where_it_lies(device):
    batch = batch_of(Units(noise(8, 2)))
    fields = (batch.y, batch.weight, batch.source)
    units = Units(batch.units.values.to(device))
    moved = RowSet(units, *(value.to(device) for value in fields), n_source=N_SOURCE)
    found, mix = mixed(moved)
    assert found.units.values.device.type == mix.share.device.type == device
    torch.testing.assert_close(found.units.values.cpu(), mixed(batch)[0].units.values)
