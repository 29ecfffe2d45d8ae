"""Fitting, going on, predicting and pickling, whatever the network."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.model_selection import cross_val_score, train_test_split
from torch import nn

from sktl import FineTunedClassifier, MMDAligner
from sktl.exceptions import AudioReadError, NoAdaptationWarning

QUICK = {"max_epochs": 4, "lr": 0.01, "batch_size": 16, "random_state": 0}
CLIPS = {"max_epochs": 2, "batch_size": 4, "random_state": 0}


def test_clips_go_through_splits_and_scores(ragged):
    clips, y = ragged
    train, test, y_train, y_test = train_test_split(clips, y, random_state=0)
    probe = FineTunedClassifier(frozen_layers="all", max_epochs=20, random_state=0)
    assert probe.fit(train, y_train).predict(test).shape == y_test.shape
    assert cross_val_score(probe, clips, y, cv=2).shape == (2,)


@pytest.mark.parametrize(
    ("clips", "error", "message"),
    [
        ([], ValueError, "X is empty; give at least one"),
        ([np.zeros(0, np.float32)] * 2, ValueError, r"X\[0\] is empty"),
        ([np.full(9, np.nan)] * 2, ValueError, r"X\[0\] contains NaN or infinity"),
        ([np.zeros(9, np.int16)] * 2, ValueError, r"X\[0\] has dtype int16: PCM"),
        ([np.zeros((2, 9))] * 2, ValueError, r"X\[0\] has shape \(2, 9\): several channels"),
        (["no/such/a.wav", "no/such/b.wav"], AudioReadError, r"a\.wav\n.*b\.wav"),
    ],
)
def test_clips_that_are_none_are_refused(clips, error, message):
    with pytest.raises(error, match=message):
        FineTunedClassifier(frozen_layers="all").fit(clips, [0, 1][: len(clips)])


def test_rows_of_weight_zero_are_as_if_absent_for_clips_too(ragged):
    clips, y = ragged
    weight = np.r_[np.ones(8), 0, 0]
    probe = FineTunedClassifier(frozen_layers="all", **CLIPS)
    weighted = probe.fit(clips, y, sample_weight=weight).decision_function(clips)
    removed = probe.fit(clips[:8], y[:8]).decision_function(clips)
    np.testing.assert_array_equal(weighted, removed)
    shortest = min(map(len, clips))
    dense = np.stack([clip[:shortest] for clip in clips])
    weighted = probe.fit(dense, y, sample_weight=weight).decision_function(dense)
    np.testing.assert_array_equal(weighted, probe.fit(dense[:8], y[:8]).decision_function(dense))


def test_warm_start_goes_on_where_the_fit_before_ended(blobs, chain):
    X, y, _ = blobs
    for backbone in ("mlp", chain(lambda: nn.Linear(6, 8), nn.ReLU)):
        common = {"warm_start": True, "optimizer": "sgd", "weight_decay": 0.0, "random_state": 0}
        warm = FineTunedClassifier(backbone, max_epochs=5, lr=0.1, **common).fit(X, y)
        first = warm.decision_function(X)
        np.testing.assert_array_equal(
            warm.set_params(lr=1e-30).fit(X, y).decision_function(X), first
        )
        losses = [epoch["train_loss"] for epoch in warm.set_params(lr=0.1).fit(X, y).history_]
        cold = FineTunedClassifier(backbone, max_epochs=5, lr=0.1, random_state=0).fit(X, y)
        assert losses[0] < cold.history_[0]["train_loss"]
        assert not np.array_equal(warm.decision_function(X), first)


def test_warm_start_goes_on_after_a_pickle(blobs):
    X, y, _ = blobs
    warm = FineTunedClassifier(warm_start=True, **QUICK).fit(X, y)
    copy = pickle.loads(pickle.dumps(warm))
    np.testing.assert_array_equal(
        warm.fit(X, y).decision_function(X), copy.fit(X, y).decision_function(X)
    )


def test_warm_start_does_not_take_other_classes(blobs):
    X, y, _ = blobs
    warm = FineTunedClassifier(warm_start=True, **QUICK).fit(X, y)
    before = warm.predict_proba(X)
    message = r"previous fit had the classes \[0, 1\] and y has \['a', 'b'\]; give warm_start=False"
    with pytest.raises(ValueError, match=message):
        warm.fit(X, np.array(["a", "b"])[y])
    np.testing.assert_array_equal(warm.predict_proba(X), before)
    np.testing.assert_array_equal(warm.classes_, [0, 1])


def test_warm_start_builds_anew_what_is_of_another_size(blobs):
    X, y, _ = blobs
    warm = FineTunedClassifier(warm_start=True, **QUICK).fit(X, y)
    cold = FineTunedClassifier(**QUICK).fit(X[:, :4], y)
    np.testing.assert_array_equal(
        warm.fit(X[:, :4], y).decision_function(X[:, :4]), cold.decision_function(X[:, :4])
    )
    assert warm.set_params(head="mlp").fit(X[:, :4], y).n_iter_ == 4


def test_one_class_is_predicted_with_certainty(blobs):
    fitted = FineTunedClassifier(**QUICK).fit(blobs[0], np.full(60, "only"))
    assert set(fitted.predict(blobs[0])) == {"only"}
    np.testing.assert_array_equal(fitted.predict_proba(blobs[0]), np.ones((60, 1)))
    assert fitted.n_iter_ == 0
    assert pickle.loads(pickle.dumps(fitted)).predict(blobs[0][:2]).tolist() == ["only"] * 2


def test_fits_on_either_device_are_repeatable(ragged, device):
    common = {"device": device, "frozen_layers": 5, **CLIPS}
    first, second = (FineTunedClassifier(**common).fit(*ragged) for _ in range(2))
    np.testing.assert_array_equal(*(f.decision_function(ragged[0]) for f in (first, second)))


@pytest.mark.gpu
@pytest.mark.parametrize("used", ["cpu", "cuda"])
def test_no_generator_of_a_gpu_is_touched(blobs, used):
    before = torch.cuda.get_rng_state_all()
    FineTunedClassifier(device=used, **QUICK).fit(*blobs[:2])
    after = torch.cuda.get_rng_state_all()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_without_any_target_row_of_weight_it_says_so(blobs):
    X, y, sample_domain = blobs
    weight = (sample_domain >= 0).astype(float)
    with pytest.warns(NoAdaptationWarning, match="MMDAligner is fitted without target rows"):
        MMDAligner(**QUICK).fit(X, y, sample_domain, weight)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MMDAligner(lambda_mmd=0.0, **QUICK).fit(X, y)


def test_verbose_prints_a_line_per_epoch(blobs, capsys):
    X, y, _ = blobs
    FineTunedClassifier(**QUICK).fit(X, y)
    assert capsys.readouterr().out == ""
    FineTunedClassifier(verbose=1, **QUICK).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.strip()[:1].isdigit() for line in lines) == 4
