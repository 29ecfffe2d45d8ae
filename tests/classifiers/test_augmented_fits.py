"""Rows that change in every epoch: mixup, masks and functions on clips, through the estimator."""

import numpy as np
import pytest
import torch
from joblib import parallel_config
from sklearn.model_selection import cross_val_score

from sktl import DANNClassifier, FineTunedClassifier
from sktl._random import torch_seed
from sktl.backbones import Units
from sktl.backbones._base import Backbone
from sktl.classifiers._batches import Batches, RowSet
from sktl.classifiers._mixup import mix_rows

QUICK = {"lr": 0.02, "batch_size": 4, "max_epochs": 3, "random_state": 0}
STILL = {**QUICK, "lr": 1e-30, "weight_decay": 0.0, "optimizer": "sgd"}
NO_MASKS = {"n_time_masks": 0, "n_freq_masks": 0}


def noise(samples, sample_rate):
    """As augmentations do: drawn from the global generator."""
    assert sample_rate == 16000
    return samples + np.float32(0.05) * np.random.standard_normal(len(samples))  # noqa: NPY002


def same(samples, sample_rate):
    return samples


@pytest.fixture
def clips(ragged):
    return [clip[:5000] for clip in ragged[0]], ragged[1]


CASES = {
    "mixup": ("mlp", {"mixup": 0.4}),
    "masks": ("cnn", {"spec_augment": True}),
    "masks on clips": ("speech-mini", {"spec_augment": {"time_mask": 0.5}, "frozen_layers": -1}),
    "noise": ("speech-mini", {"augment": noise, "frozen_layers": -1}),
    "all": (
        "speech-mini",
        {"augment": noise, "spec_augment": True, "mixup": 0.2, "frozen_layers": -1},
    ),
}


@pytest.fixture(params=CASES)
def case(request, blobs, images, clips):
    """Network, parameters that augment, and rows."""
    backbone, parameters = CASES[request.param]
    rows = {"mlp": blobs[:2], "cnn": images, "speech-mini": clips}[backbone]
    return backbone, parameters, *rows


def losses(fitted):
    return [epoch["train_loss"] for epoch in fitted.history_]


def test_a_seed_gives_the_same_fit_and_each_epoch_other_rows(case):
    backbone, parameters, X, y = case
    fits = [FineTunedClassifier(backbone, **QUICK, **parameters).fit(X, y) for _ in range(2)]
    np.testing.assert_array_equal(*(fitted.predict_proba(X) for fitted in fits))
    plain = {name: value for name, value in parameters.items() if name == "frozen_layers"}
    assert losses(FineTunedClassifier(backbone, **QUICK, **plain).fit(X, y)) != losses(fits[0])
    # In steps that change nothing the rows alone differ.
    still = FineTunedClassifier(backbone, **STILL, **parameters).fit(X, y)
    assert len(set(np.round(losses(still), 6))) == 3
    other = FineTunedClassifier(backbone, **{**STILL, "random_state": 1}, **parameters).fit(X, y)
    assert losses(other) != losses(still)


def test_threads_give_the_same_scores(case):
    backbone, parameters, X, y = case
    classifier = FineTunedClassifier(backbone, **{**QUICK, "max_epochs": 2}, **parameters)
    serial = cross_val_score(classifier, X, y, cv=2)
    with parallel_config(backend="threading"):
        np.testing.assert_array_equal(cross_val_score(classifier, X, y, cv=2, n_jobs=2), serial)


@pytest.mark.parametrize("frozen_layers", [0, 2, "all"])
def test_what_leaves_rows_as_they_are_changes_no_bit(images, clips, frozen_layers):
    common = {**QUICK, "frozen_layers": frozen_layers, "optimizer": "adamw"}
    X, y = images[0].astype(np.float32), images[1]
    plain = FineTunedClassifier(cache=False, **common).fit(X, y)
    masked = FineTunedClassifier(spec_augment=NO_MASKS, **common).fit(X, y)
    np.testing.assert_array_equal(masked.predict_proba(X), plain.predict_proba(X))
    X, y = clips
    fits = [
        FineTunedClassifier(augment=augment, cache=False, **common).fit(X, y)
        for augment in (None, same)
    ]
    np.testing.assert_array_equal(*(fitted.predict_proba(X) for fitted in fits))


def test_frozen_blocks_see_every_epochs_rows(images, monkeypatch):
    X, y = images
    seen = []
    run_blocks = Backbone.run_blocks

    def counted(self, values, start=0, stop=None):
        if start == 0 and stop != 0 and len(self.blocks):
            seen.append(len(values))
        return run_blocks(self, values, start, stop)

    monkeypatch.setattr(Backbone, "run_blocks", counted)
    n_passes = {}
    for name, parameters in {"plain": {}, "mixup": {"mixup": 0.1}}.items():
        seen.clear()
        FineTunedClassifier(frozen_layers=2, **{**QUICK, "max_epochs": 5}, **parameters).fit(X, y)
        n_passes[name] = len(seen)
    # 24 rows in six batches, five times.
    assert n_passes["mixup"] >= 30
    assert n_passes["plain"] < 10


@pytest.mark.parametrize("backend", ["memory", "cache"])
def test_memory_and_cache_do_not_keep_augmented_rows(images, tmp_path, backend):
    X, y = images
    given = {"memory": tmp_path} if backend == "memory" else {"cache": True}
    common = {"frozen_layers": 2, "spec_augment": True, **QUICK}
    expected = FineTunedClassifier(cache=False, **common).fit(X, y)
    for _ in range(2):
        found = FineTunedClassifier(**given, **common).fit(X, y)
        np.testing.assert_array_equal(found.predict_proba(X), expected.predict_proba(X))


def test_rows_that_are_held_out_are_not_augmented(case):
    backbone, parameters, X, y = case
    held = {"early_stopping": True, "validation_fraction": 0.4, **STILL}
    plain = {name: value for name, value in parameters.items() if name == "frozen_layers"}
    found = FineTunedClassifier(backbone, **held, **parameters).fit(X, y)
    expected = FineTunedClassifier(backbone, **held, **plain).fit(X, y)
    valid = [[epoch["valid_loss"] for epoch in f.history_] for f in (found, expected)]
    assert valid[0] == pytest.approx(valid[1], rel=1e-5)
    assert losses(found) != pytest.approx(losses(expected), rel=1e-4)


def test_the_loss_of_mixed_rows_is_the_formula(blobs):
    X, y, _ = blobs
    weight = np.linspace(0.5, 2.0, 60)
    mixed = {"mixup": 0.4, "label_smoothing": 0.1, "batch_size": 60, "max_epochs": 1}
    fitted = FineTunedClassifier(**{**STILL, **mixed}).fit(X, y, sample_weight=weight)
    seed = fitted.net_.order_seed
    weight = weight / weight.mean()
    rows = RowSet(
        Units(torch.as_tensor(X)),
        torch.as_tensor(y),
        torch.as_tensor(weight),
        torch.ones(60, dtype=torch.bool),
    )
    [batch] = Batches(rows, 60, seed)
    with torch_seed(seed + 1):
        made, mix = mix_rows(batch, 0.4)
    share = mix.share.numpy()[:, None]
    other = batch.units.values.numpy()[mix.partner.numpy()]
    X_mixed = share * batch.units.values.numpy() + (1 - share) * other
    np.testing.assert_allclose(made.units.values, X_mixed)
    logs = fitted.predict_log_proba(X_mixed)
    aims = 0.9 * np.eye(2) + 0.05
    own, partner = ((-logs * aims[labels]).sum(1) for labels in (batch.y, batch.y[mix.partner]))
    weights = batch.weight.numpy(), batch.weight.numpy()[mix.partner.numpy()]
    expected = share[:, 0] * weights[0] * own + (1 - share[:, 0]) * weights[1] * partner
    assert fitted.history_[0]["train_loss"] == pytest.approx(expected.mean())


def test_target_rows_are_augmented_along(clips):
    X, y = clips
    sample_domain = np.where(np.arange(10) < 6, 0, -1)
    common = {"frozen_layers": -1, **QUICK}
    fits = [
        DANNClassifier("speech-mini", augment=noise, mixup=0.3, spec_augment=True, **common).fit(
            X, labels, sample_domain
        )
        for labels in (y, np.where(sample_domain < 0, 5, y))
    ]
    np.testing.assert_array_equal(*(fitted.predict_proba(X) for fitted in fits))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"spec_augment": True}, "spec_augment=True masks spectrograms, but backbone='mlp' works"),
        ({"spec_augment": {"n_masks": 2}}, "spec_augment holds 'n_masks'; what it may hold is"),
        ({"spec_augment": {"time_mask": 2.0}}, r"spec_augment holds time_mask=2\.0; give a share"),
        ({"spec_augment": 3}, "'spec_augment' parameter of FineTunedClassifier must be"),
        ({"augment": same}, "augment=same changes the samples of clips, but X is an array"),
        ({"augment": "gain"}, "'augment' parameter of FineTunedClassifier must be"),
        ({"mixup": -0.1}, "'mixup' parameter of FineTunedClassifier must be"),
        ({"label_smoothing": 1.0}, "'label_smoothing' parameter of FineTunedClassifier must be"),
    ],
)
def test_what_cannot_be_augmented_is_refused_before_training(blobs, parameters, message):
    with pytest.raises(ValueError, match=message):
        FineTunedClassifier(**{**QUICK, **parameters}).fit(*blobs[:2])


def test_what_returns_no_clip_is_refused_before_training(clips, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "backward", None)
    with pytest.raises(ValueError, match="returned None; it has to return the samples of one clip"):
        FineTunedClassifier(augment=lambda samples, sample_rate: None).fit(*clips)
