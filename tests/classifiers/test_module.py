"""Scaling, freezing and the independence of rows in the network that is trained."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn

from sktl import FineTunedClassifier
from sktl._random import torch_seed
from sktl.backbones import Backbone, InputSpec, Units, make_backbone
from sktl.classifiers._heads import make_head
from sktl.classifiers._module import Scaler, TransferModule, make_discriminator, moments


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(2.0, 3.0, size=(20, 5))


def make_module(backbone="mlp", row_shape=(5,), scaler_shape=None, n_classes=3):
    with torch_seed(0):
        body = make_backbone(backbone, row_shape=row_shape)
        head = make_head("linear", body.embedding_size, n_classes)
        return TransferModule(body, head, scaler_shape, False)


def test_moments_are_those_of_scikit_learn(values):
    expected = StandardScaler().fit(values)
    mean, scale = moments(values, np.ones(20), ())
    np.testing.assert_allclose(mean, expected.mean_)
    np.testing.assert_allclose(scale, expected.scale_)


def test_a_weight_counts_as_a_repetition(values):
    weight = np.arange(20) % 4
    repeated = np.repeat(values, weight, axis=0)
    for got, expected in zip(
        moments(values, weight, ()), moments(repeated, np.ones(len(repeated)), ()), strict=True
    ):
        np.testing.assert_allclose(got, expected)


@pytest.mark.parametrize("n", [1, 255, 256, 257, 700])
def test_moments_of_more_rows_than_are_taken_at_once(n):
    rng = np.random.default_rng(0)
    values, weight = rng.normal(size=(n, 3, 4)) + 2, rng.random(n) + 0.1
    mean = np.average(values, axis=0, weights=weight)
    deviation = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weight))
    found = moments(values, weight, ())
    np.testing.assert_allclose(found[0], mean, rtol=1e-12)
    np.testing.assert_allclose(found[1], deviation if n > 1 else 1.0, rtol=1e-12)


def test_moments_over_frames_are_one_pair_per_band(values):
    images = values.reshape(4, 5, 5)
    mean, scale = moments(images, np.ones(4), (2,))
    assert mean.shape == scale.shape == (5, 1)
    np.testing.assert_allclose(mean[:, 0], images.mean((0, 2)))
    np.testing.assert_allclose(scale[:, 0], images.std((0, 2)))


@pytest.mark.parametrize("constant", [0.0, 1e6, -3e-20, 0.1])
def test_a_constant_column_is_not_blown_up(values, constant):
    values[:, 2] = constant
    assert moments(values, np.linspace(1, 2, 20), ())[1][2] == 1.0


def test_float32_values_are_summed_in_float64():
    values = np.full((1000, 1), 1e4, dtype=np.float32)
    values[::2] += 1
    mean, scale = moments(values, np.ones(1000), ())
    assert mean[0] == pytest.approx(10000.5, abs=1e-6)
    assert scale[0] == pytest.approx(0.5, abs=1e-6)


def test_a_scaler_is_the_identity_until_it_is_filled(values):
    scaler = Scaler((5,)).double()
    rows = torch.as_tensor(values)
    assert torch.equal(scaler(rows), rows)
    scaler.fill(values.mean(0), values.std(0))
    np.testing.assert_allclose(scaler(rows), StandardScaler().fit_transform(values))
    assert set(scaler.state_dict()) == {"mean", "scale"}
    assert not list(scaler.parameters())


def test_discriminators_have_the_widths_asked_for():
    with torch_seed(0):
        discriminator = make_discriminator(8, (6, 4))
        assert [tuple(m.weight.shape) for m in discriminator[::2]] == [(6, 8), (4, 6), (1, 4)]
        assert make_discriminator(8, ())[0].weight.shape == (1, 8)


@pytest.mark.parametrize("n_frozen", [0, 1, 2])
def test_frozen_blocks_are_in_eval_mode_and_learn_nothing(n_frozen):
    module = make_module()
    module.freeze(n_frozen)
    module.train()
    for i, block in enumerate(module.body.blocks):
        assert block.training == (i >= n_frozen)
        assert all(w.requires_grad == (i >= n_frozen) for w in block.parameters())
    assert module.body.training == (n_frozen < 2)
    assert module.head.training
    module.eval()
    assert not any(part.training for part in module.modules())


def test_blocks_can_be_released_again():
    module = make_module()
    module.freeze(2)
    module.freeze(0)
    assert all(weight.requires_grad for weight in module.parameters())


def test_no_gradient_reaches_what_is_frozen():
    module = make_module()
    module.freeze(1)
    module(torch.ones(4, 5))[1].sum().backward()
    assert all(w.grad is None for w in module.body.blocks[0].parameters())
    assert all(w.grad is not None for w in module.body.blocks[1].parameters())


@pytest.mark.parametrize(
    ("backbone", "row_shape"),
    [("mlp", (5,)), *((name, (12, 20)) for name in ("cnn", "crnn", "gru"))],
)
def test_the_way_over_the_prefix_gives_the_same(backbone, row_shape):
    module = make_module(backbone, row_shape, row_shape)
    shape = (row_shape[0], 1) if len(row_shape) == 2 else row_shape
    module.input_scaler.fill(np.full(shape, 0.3), np.full(shape, 2.0))
    rows = torch.randn(33, *row_shape, generator=torch.Generator().manual_seed(0))
    embedding, logits = module.infer(Units(rows))
    for depth in range(1, len(module.body.blocks) + 1):
        part, cut_logits = module.infer(Units(module.prefix(rows, depth)), depth)
        torch.testing.assert_close(part, embedding)
        torch.testing.assert_close(cut_logits, logits)
    module.freeze(1)
    module.eval()
    torch.testing.assert_close(module(rows)[1], logits)


@pytest.mark.parametrize(
    ("backbone", "row_shape"),
    [("mlp", (5,)), *((name, (12, 20)) for name in ("cnn", "crnn", "gru"))],
)
def test_a_rows_output_does_not_depend_on_the_others(backbone, row_shape, device):
    module = make_module(backbone, row_shape).to(device)
    rows = torch.randn(200, *row_shape, generator=torch.Generator().manual_seed(0)).to(device)
    expected = module.infer(Units(rows))
    for index in ([3], [*range(17)], [*range(100, 200)], [*range(199, 49, -1)]):
        for got, whole in zip(module.infer(Units(rows[index])), expected, strict=True):
            assert torch.equal(got, whole[index])


def test_frozen_blocks_are_computed_in_full_precision():
    module = make_module()
    module.freeze(1)
    seen = []
    for block in module.body.blocks:
        block.register_forward_hook(lambda block, inputs, output: seen.append(output.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        module(torch.ones(16, 5))
    assert seen == [torch.float32, torch.bfloat16]


def test_the_embedding_of_a_row_is_the_mean_over_its_units():
    module = make_module()
    rows = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    offsets = torch.tensor([0, 3, 5])
    embedding, logits = module(rows, offsets)
    single = module(rows)[0]
    expected = torch.stack([single[:3].mean(0), single[3:].mean(0)])
    torch.testing.assert_close(embedding, expected)
    torch.testing.assert_close(logits, module.head(expected))
    torch.testing.assert_close(module.infer(Units(rows, offsets))[1], logits)


def test_the_discriminator_does_not_take_part_in_prediction(chain):
    module = make_module()
    module.discriminator = chain(lambda: nn.Linear(256, 1))
    torch.nn.init.constant_(module.discriminator[0].weight, torch.nan)
    assert torch.isfinite(module(torch.ones(2, 5))[1]).all()


class Wrong(Backbone):
    """Tells another width than it has."""

    input_spec = InputSpec("features")
    embedding_size = 8

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(5, 7)])


def test_embeddings_of_another_width_than_told_are_refused(values):
    with (
        torch.random.fork_rng(devices=[]),
        pytest.raises(
            ValueError, match=r"Wrong\.embedding_size is 8 but its embeddings have shape \(7,\)"
        ),
    ):
        FineTunedClassifier(Wrong, random_state=0).fit(values.astype("float32"), np.arange(20) % 2)
