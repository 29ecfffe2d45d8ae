"""Statistics of batch normalisation against numpy and against torch's own."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from sktl._random import torch_seed
from sktl.backbones import Backbone, InputSpec, Ragged, Units, make_backbone
from sktl.classifiers._batch_norm import (
    adapt_from_source,
    adapt_statistics,
    hold_statistics,
    in_batches,
    set_batch_norm,
    updated_layers,
)
from sktl.classifiers._heads import make_head
from sktl.classifiers._module import TransferModule


@pytest.fixture(autouse=True)
def seeded():
    with torch_seed(0):
        yield


@pytest.fixture
def rows():
    return 3.0 + 2.0 * torch.randn(50, 6)


def transfer(body, head=None, scaled=True):
    head = head or make_head("linear", body.embedding_size, 2)
    return TransferModule(body, head, None, scaled)


def chained(*layers):
    """A module for rows of 6 numbers, each layer a block."""
    return transfer(make_backbone(nn.Sequential(*layers), row_shape=(6,)), scaled=False)


def two_norms():
    layers = [nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(), nn.Linear(5, 4)]
    return chained(*layers, nn.BatchNorm1d(4, momentum=0.3))


def norms(module):
    return [
        layer for layer in module.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)
    ]


def statistics(module):
    return [
        value.clone()
        for layer in norms(module)
        for value in (layer.running_mean, layer.running_var)
    ]


def close(found, expected):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("sizes", [[50], [10] * 5, [1, 49], [7, 3, 40], [49, 1]])
def test_the_first_layer_gets_mean_and_variance_over_all_rows(rows, sizes):
    module = two_norms()
    adapt_statistics(module, [Units(part) for part in rows.split(sizes)])
    linear = module.body.blocks[0]
    values = rows.numpy() @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()
    first = norms(module)[0]
    np.testing.assert_allclose(first.running_mean, values.mean(0), atol=1e-5)
    np.testing.assert_allclose(first.running_var, values.var(0, ddof=1), rtol=1e-5)


def test_rows_in_one_batch_give_every_layer_what_numpy_says(rows):
    module = two_norms()
    adapt_statistics(module, [Units(rows)])
    one, two = module.body.blocks[0], module.body.blocks[4]
    values = rows.numpy() @ one.weight.detach().numpy().T + one.bias.detach().numpy()
    values = np.maximum((values - values.mean(0)) / np.sqrt(values.var(0) + 1e-5), 0.0)
    values = values @ two.weight.detach().numpy().T + two.bias.detach().numpy()
    last = norms(module)[1]
    np.testing.assert_allclose(last.running_mean, values.mean(0), atol=1e-5)
    np.testing.assert_allclose(last.running_var, values.var(0, ddof=1), rtol=1e-4)


def images(n):
    return 1.0 + torch.randn(n, 1, 12, 20)


def image_network():
    layers = [nn.Conv2d(1, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout()]
    layers += [nn.Conv2d(8, 16, 3, groups=2), nn.BatchNorm2d(16, affine=False), nn.ReLU()]
    layers += [nn.Flatten(), nn.Linear(16 * 3 * 7, 12), nn.BatchNorm1d(12, eps=0.1)]
    return transfer(make_backbone(nn.Sequential(*layers), row_shape=(1, 12, 20)))


def test_one_batch_is_what_torch_makes_of_it():
    module, ours = image_network(), image_network()
    ours.load_state_dict(module.state_dict())
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    X = images(24)
    update_bn([X], module)
    before = [p.clone() for p in ours.parameters()]
    adapt_statistics(ours, [Units(X)])
    assert norms(ours)
    close(statistics(ours), statistics(module))
    assert all(torch.equal(p, old) for p, old in zip(ours.parameters(), before, strict=True))


def test_several_batches_are_near_to_all_rows_at_once():
    module, X = image_network(), images(200)
    adapt_statistics(module, [Units(X)])
    expected = statistics(module)
    adapt_statistics(module, in_batches(Units(X), 50 * 240))
    for found, value in zip(statistics(module), expected, strict=True):
        torch.testing.assert_close(found, value, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("name", ["yamnet", "cnn6", "speech-mini"])
def test_networks_that_join_convolution_and_norm_are_adapted_in_every_layer(name):
    """Frozen ones compute both at once, and a few images at a time."""
    body = make_backbone(name, weights=None)
    body.fixed_statistics = True
    module = transfer(body)
    module.freeze(len(body.blocks))
    clips = [0.1 * torch.randn(2 * body.input_spec.sr) for _ in range(4)]
    units = Units.from_rows(body.front_end(clips), body.input_spec.varying)
    adapt_statistics(module, [units])
    found = statistics(module)
    for layer in norms(module):
        layer.reset_running_stats()
        layer.momentum, layer.training = None, True
    values = units.values if isinstance(units.values, torch.Tensor) else units.values.groups[0]
    with torch.no_grad():
        for block in body.blocks:
            values = block(values)
    assert len(found) == 2 * len(norms(body)) > 0
    close(found, statistics(module))


def test_batches_need_not_be_equal_nor_is_the_order_of_rows_seen(rows):
    module = two_norms()
    adapt_statistics(module, [Units(rows)])
    expected = statistics(module)
    adapt_statistics(module, [Units(rows[torch.randperm(50)])])
    close(statistics(module), expected)


def test_frozen_blocks_are_included_and_modes_stay(rows):
    module = two_norms()
    module.freeze(3)
    module.train()
    before, modes = statistics(module), [part.training for part in module.modules()]
    state = torch.get_rng_state()
    adapt_statistics(module, [Units(rows)])
    assert torch.equal(torch.get_rng_state(), state)
    assert [part.training for part in module.modules()] == modes
    assert all(not torch.equal(a, b) for a, b in zip(statistics(module), before, strict=True))
    assert not any(part._forward_hooks for part in module.modules())


def test_only_the_layers_asked_for_change(rows):
    module = two_norms()
    module.freeze(3)
    first, last = norms(module)
    assert updated_layers(module) == [last]
    before = first.running_mean.clone()
    adapt_statistics(module, [Units(rows)], layers=updated_layers(module))
    assert torch.equal(first.running_mean, before)
    assert last.running_mean.abs().sum() > 0


def test_rows_that_have_passed_some_blocks_leave_those_alone(rows):
    module, other = two_norms(), two_norms()
    other.load_state_dict(module.state_dict())
    module.eval()
    with torch.no_grad():
        passed = module.prefix(rows, 3)
    adapt_statistics(module, [Units(passed)], start=3)
    assert torch.equal(norms(module)[0].running_mean, torch.zeros(5))
    adapt_statistics(other, [Units(rows)], layers=[norms(other)[1]])
    close(statistics(module)[2:], statistics(other)[2:])


def test_the_head_is_adapted_but_not_a_discriminator(rows):
    body = make_backbone(nn.Sequential(nn.Linear(6, 5)), row_shape=(6,))
    head = nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 2))
    discriminator = nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 1))
    module = TransferModule(body, head, None, True, discriminator)
    module.embedding_scaler.fill(np.full(5, 1.0), np.full(5, 4.0))
    adapt_statistics(module, [Units(rows)])
    with torch.no_grad():
        embedding = module.embed(rows)
    torch.testing.assert_close(head[0].running_mean, embedding.mean(0))
    assert torch.equal(discriminator[0].running_mean, torch.zeros(5))
    assert updated_layers(module) == [head[0]]


def test_rows_are_scaled_as_in_training(rows):
    body = make_backbone(nn.Sequential(nn.BatchNorm1d(6)), row_shape=(6,))
    module = TransferModule(body, make_head("linear", 6, 2), (6,), False)
    module.input_scaler.fill(np.full(6, 3.0), np.full(6, 2.0))
    adapt_statistics(module, [Units(rows)])
    torch.testing.assert_close(norms(module)[0].running_mean, ((rows - 3) / 2).mean(0))


class Strided(Backbone):
    """A network for clips of any length, with a layer of each kind of statistics."""

    input_spec = InputSpec("waveform", sr=8000, varying=True)
    embedding_size = 4

    def __init__(self):
        super().__init__()
        layers = [nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.InstanceNorm1d(4)]
        layers.append(nn.BatchNorm1d(4, track_running_stats=False))
        self.blocks = nn.ModuleList(layers)

    def pool(self, activations):
        return activations.mean(2)


def test_units_of_several_lengths_and_rows_of_several_units(rows):
    module = transfer(Strided())
    clips = [torch.randn(1, 1, n) for n in (30, 50, 30)]
    conv = module.body.blocks[0]
    adapt_statistics(module, [Units(Ragged.concat(clips), torch.tensor([0, 1, 3]))])
    with torch.no_grad():
        values = torch.cat([conv(clip)[0] for clip in clips], dim=1)
    first = norms(module)[0]
    torch.testing.assert_close(first.running_mean, values.mean(1))
    torch.testing.assert_close(first.running_var, values.var(1))


def test_one_value_of_a_neuron_has_no_variance(rows):
    module = two_norms()
    before = statistics(module)
    with pytest.raises(ValueError, match="has seen one value of a neuron"):
        adapt_statistics(module, [Units(rows[:1])])
    assert all(torch.equal(a, b) for a, b in zip(statistics(module), before, strict=True))


def test_no_rows_and_no_layers_change_nothing(rows):
    module = two_norms()
    before = statistics(module)
    adapt_statistics(module, [])
    adapt_statistics(module, [Units(rows)], layers=[])
    assert all(torch.equal(a, b) for a, b in zip(statistics(module), before, strict=True))
    adapt_statistics(chained(nn.Linear(6, 2)), [Units(rows)])


def test_values_of_large_mean_keep_their_variance(rows):
    module = chained(nn.BatchNorm1d(6))
    shifted = rows + 1e4
    adapt_statistics(module, [Units(part) for part in shifted.split(10)])
    expected = shifted.double().var(0).float()
    torch.testing.assert_close(norms(module)[0].running_var, expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("mode", "was", "expected"),
    [
        *(("auto", was, was) for was in (False, True)),
        *((mode, was, True) for mode in ("frozen", "adapt") for was in (False, True)),
        *(("update", was, False) for was in (False, True)),
    ],
)
def test_modes_say_whether_training_moves_the_statistics(rows, mode, was, expected):
    module = two_norms()
    module.body.fixed_statistics = was
    set_batch_norm(module.body, mode)
    assert module.body.fixed_statistics is expected
    assert len(updated_layers(module)) == (0 if expected else 2)
    before = statistics(module)
    module.train()
    module(rows)
    moved = [not torch.equal(a, b) for a, b in zip(statistics(module), before, strict=True)]
    assert moved == [not expected] * 4


def test_a_mode_takes_effect_at_once():
    body = image_network().body
    set_batch_norm(body, "frozen")
    assert body.training
    assert not any(layer.training for layer in norms(body))
    set_batch_norm(body, "update")
    assert all(layer.training for layer in norms(body))


def test_another_mode_is_refused():
    body = make_backbone("mlp", row_shape=(6,))
    with pytest.raises(ValueError, match="batch_norm='no' is unknown; give one of 'auto', "):
        set_batch_norm(body, "no")


@pytest.mark.parametrize(("n_values", "sizes"), [(10**6, [50]), (6, [1] * 50), (120, [17, 17, 16])])
def test_batches_are_as_equal_as_can_be(rows, n_values, sizes):
    parts = list(in_batches(Units(rows), n_values))
    assert [len(part) for part in parts] == sizes
    assert torch.equal(torch.cat([part.values for part in parts]), rows)


def test_batches_keep_the_units_of_a_row_together(rows):
    units = Units(rows, torch.tensor([0, 10, 11, 30, 50]))
    parts = list(in_batches(units, 100))
    assert [len(part) for part in parts] == [2, 1, 1]
    assert torch.equal(Units.concat(parts).mean(), units.mean())
    ragged = Units(Ragged.concat([torch.ones(1, 3), torch.ones(1, 5), torch.ones(1, 3)]))
    assert [len(part) for part in in_batches(ragged, 6)] == [2, 1]


@pytest.mark.gpu
def test_a_gpu_gives_the_same(rows):
    module = two_norms()
    adapt_statistics(module, [Units(rows)])
    expected = statistics(module)
    module.cuda()
    adapt_statistics(module, [Units(rows.cuda())])
    close([value.cpu() for value in statistics(module)], expected)


def test_statistics_of_other_rows_are_held_without_a_change_of_what_is_returned(rows):
    module = two_norms()
    for layer in norms(module):
        for value in (layer.weight, layer.bias, layer.running_mean):
            nn.init.normal_(value)
        nn.init.uniform_(layer.running_var, 0.5, 2.0)
    module.eval()
    before = module.infer(Units(rows))[1]
    hold_statistics(module, [Units(part) for part in rows.split(20)])
    torch.testing.assert_close(module.infer(Units(rows))[1], before, rtol=1e-4, atol=1e-5)
    seen = module.body.blocks[0](rows)
    close(statistics(module)[:2], [seen.mean(0), seen.var(0)])


def test_a_folded_network_adapts_as_the_one_it_was_folded_from(rows):
    """Statistics folded into scale and shift are lost, but the source's can be found again."""
    kept, folded = two_norms(), two_norms()
    source, target = rows, 2 * rows - 5
    adapt_statistics(kept, [Units(source)])
    folded.load_state_dict(kept.state_dict())
    for layer in norms(folded):
        with torch.no_grad():
            layer.weight.div_((layer.running_var + layer.eps).sqrt())
            layer.bias.sub_(layer.weight * layer.running_mean)
        nn.init.zeros_(layer.running_mean)
        nn.init.constant_(layer.running_var, 1 - layer.eps)
    torch.testing.assert_close(
        folded.eval().infer(Units(source))[1], kept.eval().infer(Units(source))[1]
    )
    before = kept.infer(Units(target))[1]
    plain = two_norms()
    plain.load_state_dict(kept.state_dict())
    adapt_statistics(plain, [Units(target)])
    for module in (kept, folded):
        weights = [value.clone() for value in module.parameters()]
        adapt_from_source(module, [Units(source)], [Units(target)])
        close(list(module.parameters()), weights)
        # AdaBN of the network whose statistics are those of the source; these were of one batch,
        # whose variance is 50/49 of the one it was normalised by.
        expected = plain.eval().infer(Units(target))[1]
        torch.testing.assert_close(module.infer(Units(target))[1], expected, rtol=0.05, atol=0.05)
        assert (before - expected).abs().mean() > 0.3


def test_layers_without_scale_and_shift_hold_what_they_have(rows):
    module = chained(nn.Linear(6, 5), nn.BatchNorm1d(5, affine=False))
    before = statistics(module)
    hold_statistics(module, [Units(rows)])
    close(statistics(module), before)
