"""Adapters through the classifiers: what learns, what is frozen, kept, pickled and resumed."""

import pickle
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sktl import DANNClassifier, FineTunedClassifier
from sktl.backbones import make_backbone

QUICK = {"max_epochs": 2, "batch_size": 4, "lr": 0.01, "random_state": 0}


@pytest.fixture(scope="module", autouse=True)
def peft(transformers):
    return pytest.importorskip("peft", reason="needs the extra [hf]")


@pytest.fixture(scope="module")
def clips():
    generator = np.random.default_rng(0)
    y = np.arange(8) % 2
    time = np.arange(1200) / 16000
    tones = [np.sin(2 * np.pi * (300 + 900 * label) * time) for label in y]
    noise = generator.normal(size=(8, 1200))
    return list((0.3 * np.array(tones) + 0.01 * noise).astype(np.float32)), y


@pytest.fixture(params=["wav2vec2", "wavlm", "ast"])
def name(saved_networks, request):
    return saved_networks[request.param].name


@pytest.fixture
def wav2vec2(save):
    return save("wav2vec2").name


def weights(fitted):
    return {n: w.detach() for n, w in fitted.backbone_.named_parameters()}


def test_adapters_and_the_head_learn_and_nothing_else(name, clips, tmp_path):
    X, y = clips
    fitted = FineTunedClassifier(name, lora=2, **QUICK).fit(X, y)
    published = dict(make_backbone(name).named_parameters())
    learned = weights(fitted)
    adapters = {n for n in learned if ".lora_" in n}
    assert adapters
    for key, value in learned.items():
        if key not in adapters:
            assert torch.equal(value, published[key.replace(".base_layer", "")]), key
        elif ".lora_B." in key:
            assert value.abs().max() > 0, key
    assert fitted.backbone_.lora_rank == 2
    assert all(w.shape[0] == 2 for n, w in learned.items() if ".lora_A." in n)
    np.testing.assert_array_equal(
        FineTunedClassifier(name, lora=2, **QUICK).fit(X, y).predict_proba(X),
        fitted.predict_proba(X),
    )


def test_tones_are_told_apart(wav2vec2, clips):
    X, y = clips
    fitted = FineTunedClassifier(wav2vec2, lora=4, **{**QUICK, "max_epochs": 30, "lr": 0.03})
    assert fitted.fit(X, y).score(X, y) == 1.0
    losses = [epoch["train_loss"] for epoch in fitted.history_]
    assert losses[-1] < 0.5 * losses[0]


def test_blocks_before_the_first_adapter_are_cached(wav2vec2, clips, tmp_path):
    X, y = clips
    fits = [
        FineTunedClassifier(wav2vec2, lora=2, frozen_layers=frozen_layers, **QUICK, **given)
        for frozen_layers in (0, 2)
        for given in ({}, {"cache": False}, {"memory": tmp_path})
    ]
    scores = [fitted.fit(X, y).decision_function(X) for fitted in fits]
    assert [fitted.net_.module_.n_frozen for fitted in fits] == [1] * 3 + [2] * 3
    for i in (1, 2):
        np.testing.assert_array_equal(scores[i], scores[0])
        np.testing.assert_array_equal(scores[3 + i], scores[3])
    assert not np.array_equal(scores[0], scores[3])
    assert not any(".lora_" in n for n in weights(fits[3]) if n.startswith("blocks.1."))


def test_pickles_go_on_and_predict_the_same(name, clips):
    X, y = clips
    fitted = FineTunedClassifier(name, lora=2, warm_start=True, **QUICK).fit(X, y)
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict_proba(X), fitted.predict_proba(X))
    assert weights(copy).keys() == weights(fitted).keys()
    again = [estimator.fit(X, y).predict_proba(X) for estimator in (fitted, copy)]
    np.testing.assert_array_equal(*again)
    learning = [w.requires_grad for w in copy.backbone_.parameters()]
    assert learning == [w.requires_grad for w in fitted.backbone_.parameters()]


def test_calls_are_the_epochs_of_one_fit(wav2vec2, clips):
    X, y = clips
    whole = FineTunedClassifier(wav2vec2, lora=2, head_epochs=0, **QUICK).fit(X, y)
    calls = FineTunedClassifier(wav2vec2, lora=2, head_epochs=0, **QUICK)
    for _ in range(2):
        calls.partial_fit(X, y, classes=[0, 1])
    np.testing.assert_array_equal(calls.predict_proba(X), whole.predict_proba(X))


@pytest.mark.parametrize(
    "parameters",
    [
        {"unfreeze_every": 1, "head_epochs": 1, "max_epochs": 4},
        {"average_epochs": 2, "lr_schedule": "cosine"},
        {"early_stopping": True, "validation_fraction": 0.3, "layer_decay": 0.5},
        {"l2_sp": 0.1, "label_smoothing": 0.1, "head": "mlp"},
        {"frozen_layers": ["blocks.0", "blocks.1"]},
        {"mixup": 0.3, "optimizer": "sgd"},
    ],
)
def test_other_levers_go_along(wav2vec2, clips, parameters, tmp_path):
    X, y = clips
    common = {**QUICK, "lora": 2, **parameters}
    fitted = FineTunedClassifier(wav2vec2, **common).fit(X, y)
    published = dict(make_backbone(wav2vec2).named_parameters())
    for key, value in weights(fitted).items():
        if ".lora_" not in key:
            assert torch.equal(value, published[key.replace(".base_layer", "")]), key
    kept = FineTunedClassifier(wav2vec2, checkpoint=tmp_path, **common)
    for _ in range(2):
        np.testing.assert_array_equal(kept.fit(X, y).predict_proba(X), fitted.predict_proba(X))
    assert len(list(tmp_path.glob("*.ckpt"))) == 1


def test_ranks_are_searched_over(wav2vec2, clips):
    X, y = clips
    search = GridSearchCV(FineTunedClassifier(wav2vec2, **QUICK), {"lora": [None, 1, 3]}, cv=2)
    search.fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert clone(search.best_estimator_).get_params()["lora"] == search.best_params_["lora"]


def test_target_rows_may_take_part(wav2vec2, clips):
    X, y = clips
    domains = np.where(np.arange(8) < 4, 0, -1)
    fitted = DANNClassifier(wav2vec2, lora=2, **QUICK).fit(X, y, domains)
    assert "train_loss_adv" in fitted.history_[0]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"lora": 25}, "lora=25 but layers of .* are 24 wide; give a rank of 1..24"),
        ({"lora": 0}, "The 'lora' parameter of FineTunedClassifier must be"),
        (
            {"lora": 2, "frozen_layers": "all"},
            "lora=2 but the first 4 of the 4 blocks of .* frozen",
        ),
        (
            {"lora": 2, "frozen_layers": ["*"]},
            "lora=2 but the first 4 of the 4 blocks of .* frozen",
        ),
        ({"lora": 2, "backbone": "speech-mini"}, "lora=2 but 'speech-mini' has no transformer"),
    ],
)
def test_what_cannot_be_adapted_is_refused_before_training(
    wav2vec2, clips, parameters, message, monkeypatch
):
    monkeypatch.setattr(torch.Tensor, "backward", None)
    with pytest.raises(ValueError, match=message):
        FineTunedClassifier(**{"backbone": wav2vec2, **QUICK, **parameters}).fit(*clips)


def test_without_peft_the_extra_is_named(wav2vec2, clips, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match=r"lora=2 needs 'peft'.*pip install 'sktl\[hf\]'"):
        FineTunedClassifier(wav2vec2, lora=2, **QUICK).fit(*clips)
