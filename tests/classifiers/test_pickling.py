"""Fitted classifiers come out of a pickle as they went in."""

import pickle

import joblib
import numpy as np
import pytest
import torch
from torch import nn

from sktl import DANNClassifier, FineTunedClassifier, MMDAligner
from sktl.backbones import InputSpec, ModuleHandle

QUICK = {"max_epochs": 4, "lr": 0.01, "batch_size": 16, "random_state": 0}
CLIPS = {"max_epochs": 2, "batch_size": 4, "random_state": 0}


@pytest.fixture(scope="module")
def speech(ragged):
    """speech-mini, partly trained on ragged clips."""
    return FineTunedClassifier("speech-mini", frozen_layers=8, **CLIPS).fit(*ragged)


class Odd(nn.Module):
    """A network with a parameter that no layer can draw anew."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.randn(6))
        self.linear = nn.Linear(6, 5)

    def forward(self, rows):
        return self.linear(rows * self.scale)


class Waves(nn.Sequential):
    """A network of its own for clips of one length."""

    input_spec = InputSpec("waveform", sr=8000, min_samples=500)

    def __init__(self):
        super().__init__(nn.Linear(500, 4), nn.Tanh())


@pytest.mark.parametrize("way", [Odd, ModuleHandle(Odd), "instance"])
def test_networks_of_ones_own_survive_pickling(blobs, way):
    X, y, _ = blobs
    if way == "instance":
        with torch.random.fork_rng(devices=[]):
            way = Odd()
    fitted = FineTunedClassifier(way, **QUICK).fit(X, y)
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict_proba(X), fitted.predict_proba(X))
    assert len(copy.backbone_.blocks) == len(fitted.backbone_.blocks)


@pytest.mark.parametrize("n_frozen", [0, 1, "all"])
def test_what_is_unpickled_is_what_was_pickled(blobs, n_frozen, tmp_path):
    X, y, sample_domain = blobs
    fitted = DANNClassifier(frozen_layers=n_frozen, conditional=True, **QUICK)
    fitted.fit(X, y, sample_domain)
    joblib.dump(fitted, tmp_path / "fitted.joblib")
    copy = joblib.load(tmp_path / "fitted.joblib")
    assert copy.history_ == fitted.history_
    assert copy.n_iter_ == fitted.n_iter_
    assert copy.net_.module_.n_frozen == fitted.net_.module_.n_frozen
    assert not copy.net_.module_.training
    for name, value in fitted.net_.module_.state_dict().items():
        assert torch.equal(copy.net_.module_.state_dict()[name], value), name
    twice = pickle.loads(pickle.dumps(copy))
    np.testing.assert_array_equal(twice.predict_proba(X), fitted.predict_proba(X))


def test_a_pickled_start_gives_the_same_transfer(speech, ragged):
    clips, y = ragged
    copy = pickle.loads(pickle.dumps(speech))
    assert copy.backbone_.fixed_statistics
    fits = [FineTunedClassifier(start, **CLIPS).fit(clips, y) for start in (speech, copy)]
    np.testing.assert_array_equal(*(fitted.decision_function(clips) for fitted in fits))


def test_a_module_for_clips_survives_pickling(ragged):
    clips = [clip[:500] for clip in ragged[0]]
    fitted = FineTunedClassifier(Waves, **CLIPS).fit(clips, ragged[1])
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict_proba(clips), fitted.predict_proba(clips))


@pytest.mark.gpu
def test_what_was_fitted_on_the_gpu_predicts_on_the_cpu(blobs):
    X, y, sample_domain = blobs
    fitted = MMDAligner(device="cuda", precision="32", **QUICK).fit(X, y, sample_domain)
    copy = pickle.loads(pickle.dumps(fitted)).set_params(device="cpu")
    copy = pickle.loads(pickle.dumps(copy))
    assert next(copy.net_.module_.parameters()).device.type == "cpu"
    np.testing.assert_allclose(copy.predict_proba(X), fitted.predict_proba(X), atol=1e-5)


def test_a_device_that_is_not_here_is_replaced_on_loading(blobs):
    X, y, _ = blobs
    fitted = FineTunedClassifier(**QUICK).fit(X, y).set_params(device="cuda:77")
    with pytest.warns(UserWarning, match=r"device='cuda:77' is not here; using the CPU"):
        copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict(X), fitted.predict(X))


def make_cosine(n_inputs, n_outputs):
    return nn.Sequential(nn.Linear(n_inputs, 3), nn.BatchNorm1d(3), nn.Linear(3, n_outputs))


@pytest.mark.parametrize(
    "parameters",
    [
        {"head": "cosine"},
        {"head": make_cosine},
        {"head": nn.Linear(8, 2, bias=False), "backbone": nn.Linear(6, 8)},
        {"average_epochs": 2, "lr_schedule": "cosine", "mixup": 0.2},
        {"frozen_layers": ["blocks.0", "*.bias"], "batch_norm": "update"},
        {"frozen_layers": "all"},
        {"unfreeze_every": 3, "head_epochs": 1},
        {"early_stopping": True},
        {"optimizer": "sgd", "layer_decay": 0.5, "net_params": {"optimizer__momentum": 0.9}},
    ],
)
def test_whatever_was_trained_comes_back_to_the_bit(blobs, parameters):
    X, y, _ = blobs
    fitted = FineTunedClassifier(**{**QUICK, **parameters}).fit(X, y)
    copy = pickle.loads(pickle.dumps(fitted))
    modules = fitted.net_.module_, copy.net_.module_
    states = [module.state_dict() for module in modules]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    learning = [[w.requires_grad for w in module.parameters()] for module in modules]
    assert learning[0] == learning[1]
    np.testing.assert_array_equal(copy.predict_proba(X), fitted.predict_proba(X))
    assert copy.history_ == fitted.history_
    assert [epoch["epoch"] for epoch in copy.net_.history] == [e["epoch"] for e in copy.history_]


def test_adapted_statistics_come_back(images):
    X, y = images
    fitted = FineTunedClassifier("cnn", batch_norm="adapt", max_epochs=2).fit(X, y)
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict_proba(X), fitted.predict_proba(X))


def test_what_is_not_fitted_is_pickled_with_its_parameters_alone(tmp_path):
    plain = FineTunedClassifier(checkpoint=tmp_path, mixup=0.2, frozen_layers=["blocks.0"])
    copy = pickle.loads(pickle.dumps(plain))
    assert copy.get_params() == plain.get_params()
    assert not hasattr(copy, "net_")
