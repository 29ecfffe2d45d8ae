"""Rows on their way to the network, and what they are standardised by."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from sktl import FineTunedClassifier
from sktl._random import torch_seed
from sktl.audio import Clips
from sktl.backbones import make_backbone
from sktl.classifiers._data import Data, has_batch_statistics, row_set, set_input_scaler
from sktl.classifiers._heads import make_head
from sktl.classifiers._module import TransferModule


@pytest.mark.parametrize(("frozen_layers", "is_scaled"), [(0, False), (13, False), ("all", True)])
def test_embeddings_that_training_changes_by_its_batches_are_not_scaled(frozen_layers, is_scaled):
    rng = np.random.default_rng(0)
    clips = [0.1 * rng.standard_normal(8000).astype(np.float32) for _ in range(6)]
    fitted = FineTunedClassifier(
        "yamnet", weights=None, frozen_layers=frozen_layers, max_epochs=2, random_state=0
    ).fit(clips, [0, 1, 0, 1, 0, 1])
    scale = fitted.net_.module_.embedding_scaler.scale
    assert bool((scale != 1).any()) == is_scaled
    assert max(epoch["train_loss"] for epoch in fitted.history_) < 10


def test_columns_that_hardly_vary_are_not_raised_to_the_others():
    X = np.random.default_rng(0).standard_normal((40, 2)).astype(np.float32)
    with torch.random.fork_rng(devices=[]):
        network = nn.Linear(2, 4)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1e-6, 0.0], [1e-3, 0.0]]))
        network.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 50.0]))
    fitted = FineTunedClassifier(network, frozen_layers="all", max_epochs=1, random_state=0)
    scale = fitted.fit(X, X[:, 0] > 0).net_.module_.embedding_scaler.scale
    deviations = np.array([*X.std(0), 1e-6 * X[:, 0].std(), 1e-3 * X[:, 0].std()])
    assert scale[:2].numpy() == pytest.approx(deviations[:2], rel=1e-4)
    assert scale[2].item() == pytest.approx(0.01 * np.median(deviations), rel=0.02)
    assert scale[3].item() == pytest.approx(0.05, rel=1e-3)


def make_data(n=6, groups=None, teacher=None):
    rows = np.arange(2.0 * n).reshape(n, 2)
    source = np.arange(n) % 3 < 2
    y = np.where(source, np.arange(n) % 2, 7)
    weight = np.arange(1.0, n + 1)
    return Data(rows, y, weight, source, np.array([0, 1]), groups, np.arange(n), teacher)


def test_taken_rows_keep_all_that_belongs_to_them():
    groups, teacher = np.array(list("abcdef")), np.eye(6)
    index = np.array([4, 1, 1])
    taken = make_data(groups=groups, teacher=teacher).take(index)
    whole = make_data(groups=groups, teacher=teacher)
    for name in ("rows", "y", "weight", "source", "groups", "place", "teacher"):
        np.testing.assert_array_equal(getattr(taken, name), getattr(whole, name)[index])
    assert make_data().take(index).groups is None
    clips = Clips([np.full(3, float(i)) for i in range(6)], 8000)
    taken = replace(whole, rows=clips).take(index)
    assert [float(clip[0]) for clip in taken.rows.rows] == [4.0, 1.0, 1.0]


def transfer(row_shape=(2,), backbone="mlp", scaler_shape=(2,), **parameters):
    with torch_seed(0):
        body = make_backbone(backbone, row_shape=row_shape, **parameters)
        head = make_head("linear", body.embedding_size, 2)
        return TransferModule(body, head, scaler_shape, True).double()


def test_weights_have_mean_one_over_source_rows_and_target_labels_are_hidden():
    module, data = transfer(), make_data()
    rows = row_set(module, data, 0, torch.device("cpu"), None)
    assert rows.y.tolist() == [0, 1, 0, 1, 0, 0]
    source = data.source
    assert rows.source.tolist() == source.tolist()
    np.testing.assert_allclose(rows.weight, data.weight / data.weight[source].mean())
    np.testing.assert_array_equal(rows.units.values, data.rows)
    assert (rows.start, rows.teacher) == (0, None)
    taught = row_set(module, make_data(teacher=np.eye(6)), 0, torch.device("cpu"), None)
    np.testing.assert_array_equal(taught.teacher, np.eye(6))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_rows_at_a_depth_have_passed_the_blocks_before_it(depth):
    module, data = transfer(), make_data()
    rows = row_set(module, data, depth, torch.device("cpu"), None)
    with torch.no_grad():
        expected = module.body.run_blocks(module.input_scaler(torch.as_tensor(data.rows)), 0, depth)
    assert rows.start == depth
    torch.testing.assert_close(rows.units.values, expected)


def test_inputs_are_standardised_with_the_weights_of_rows():
    module, data = transfer(), make_data()
    set_input_scaler(module, data)
    mean = np.average(data.rows, axis=0, weights=data.weight)
    deviation = np.sqrt(np.average((data.rows - mean) ** 2, axis=0, weights=data.weight))
    np.testing.assert_allclose(module.input_scaler.mean, mean)
    np.testing.assert_allclose(module.input_scaler.scale, deviation)


def test_spectrograms_are_standardised_band_by_band(images):
    X, y = images
    module = transfer((12, 20), "cnn", (12, 1))
    set_input_scaler(module, Data(X, y, np.ones(24), np.ones(24, bool), np.arange(3)))
    np.testing.assert_allclose(module.input_scaler.mean[:, 0], X.mean((0, 2)))
    np.testing.assert_allclose(module.input_scaler.scale[:, 0], X.std((0, 2)))


def test_clips_and_networks_of_ones_own_are_not_standardised():
    clips = Clips([np.ones(3)] * 6, 8000)
    module = transfer(scaler_shape=None)
    set_input_scaler(module, make_data())
    assert isinstance(module.input_scaler, nn.Identity)
    module = transfer()
    set_input_scaler(module, replace(make_data(), rows=clips))
    assert module.input_scaler.mean.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("frozen_layers", [0, 1, 2, "all"])
def test_the_embedding_is_standardised_as_the_start_gives_it(blobs, chain, frozen_layers):
    X, y, sample_domain = blobs
    source = sample_domain >= 0
    weight = np.linspace(0.5, 2.0, 60)
    layers = partial(nn.Linear, 6, 8), nn.Tanh, partial(nn.Linear, 8, 4), partial(nn.BatchNorm1d, 4)
    network = chain(*layers).double().eval()
    fitted = FineTunedClassifier(network, frozen_layers=frozen_layers, lr=0.1, max_epochs=3)
    fitted.fit(X, y, sample_domain, weight)
    with torch.no_grad():
        embedding = network(torch.as_tensor(X[source])).numpy()
    mean = np.average(embedding, axis=0, weights=weight[source])
    variance = np.average((embedding - mean) ** 2, axis=0, weights=weight[source])
    scaler = fitted.net_.module_.embedding_scaler
    np.testing.assert_allclose(scaler.mean, mean)
    np.testing.assert_allclose(scaler.scale, np.sqrt(variance))


def test_batch_statistics_matter_where_they_move(chain):
    layers = partial(nn.Linear, 2, 4), partial(nn.BatchNorm1d, 4), partial(nn.Linear, 4, 3)
    with torch_seed(0):
        body = make_backbone(chain(*layers), row_shape=(2,))
        module = TransferModule(body, make_head("linear", 3, 2), None, True)
    found = []
    for n_frozen in (0, 1, 2, 3):
        module.freeze(n_frozen)
        found.append(has_batch_statistics(module))
    assert found == [True, True, False, False]
    module.freeze(0)
    body.fixed_statistics = True
    assert not has_batch_statistics(module)
