"""What fitted classifiers say of rows."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score

from sktl import FineTunedClassifier, MMDAligner

QUICK = {"max_epochs": 4, "lr": 0.01, "batch_size": 16, "random_state": 0}
CLIPS = {"max_epochs": 2, "batch_size": 4, "random_state": 0}


@pytest.fixture(scope="module")
def speech(ragged):
    """speech-mini, partly trained on ragged clips."""
    return FineTunedClassifier("speech-mini", frozen_layers=8, **CLIPS).fit(*ragged)


@pytest.fixture(scope="module")
def yamnet(ragged):
    """YAMNet from random weights."""
    return FineTunedClassifier("yamnet", weights=None, frozen_layers=-1, **CLIPS).fit(*ragged)


@pytest.mark.parametrize("name", ["speech", "yamnet"])
def test_the_output_of_a_clip_does_not_depend_on_the_others(request, ragged, name):
    fitted, clips = request.getfixturevalue(name), ragged[0]
    expected = fitted.decision_function(clips)
    order = [7, 2, 9, 0, 4]
    np.testing.assert_array_equal(
        fitted.decision_function([clips[i] for i in order]), expected[order]
    )
    for i in (0, 5, 9):
        np.testing.assert_array_equal(fitted.decision_function([clips[i]]), expected[[i]])
    many = fitted.decision_function(clips * 7)
    np.testing.assert_array_equal(many, np.tile(expected, 7))


def test_longer_clips_are_averages_over_patches(speech, ragged):
    clip = ragged[0][0]
    body = speech.backbone_
    long = np.concatenate([ragged[0][3], ragged[0][8]])
    with torch.no_grad():
        [patches] = body.front_end([torch.from_numpy(long)])
        assert len(patches) > 2
        embedding = torch.stack([body(patch[None])[0] for patch in patches]).mean(0)
        logits = speech.net_.module_.head(speech.net_.module_.embedding_scaler(embedding))
    np.testing.assert_allclose(
        speech.predict_proba([clip, long])[1], softmax(logits.numpy()), atol=1e-5
    )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_outputs_agree_with_each_other(blobs, n_classes):
    X = blobs[0]
    names = np.array(["b", "a", "c"])[np.arange(60) % n_classes]
    fitted = FineTunedClassifier(**QUICK).fit(X, names)
    probability, scores = fitted.predict_proba(X), fitted.decision_function(X)
    np.testing.assert_allclose(probability.sum(1), 1)
    np.testing.assert_allclose(np.exp(fitted.predict_log_proba(X)), probability)
    np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[probability.argmax(1)])
    assert fitted.score(X, names) == accuracy_score(names, fitted.predict(X))
    if n_classes == 2:
        np.testing.assert_allclose(1 / (1 + np.exp(-scores)), probability[:, 1])
    else:
        np.testing.assert_allclose(softmax(scores, axis=1), probability)


def test_nothing_is_predicted_before_a_fit(blobs):
    for method in ("predict", "predict_proba", "decision_function", "predict_log_proba"):
        with pytest.raises(NotFittedError, match="This FineTunedClassifier instance is not fitted"):
            getattr(FineTunedClassifier(), method)(blobs[0])
    with pytest.raises(NotFittedError):
        MMDAligner().transform(blobs[0])


def test_rows_of_another_width_are_refused(blobs, images):
    fitted = FineTunedClassifier(**QUICK).fit(*blobs[:2])
    with pytest.raises(
        ValueError, match="X has 5 features, but FineTunedClassifier is expecting 6"
    ):
        fitted.predict(blobs[0][:, :5])
    fitted = FineTunedClassifier(**QUICK).fit(*images)
    with pytest.raises(
        ValueError, match=r"rows of shape \(12, 7\).* fitted with rows of shape \(12, 20\)"
    ):
        fitted.predict(images[0][:, :, :7])


@pytest.mark.parametrize("frozen_layers", [0, 1, "all"])
def test_predictions_with_memory_are_the_same_to_the_bit(blobs, tmp_path, frozen_layers):
    X, y, _ = blobs
    common = {"frozen_layers": frozen_layers, **QUICK}
    plain = FineTunedClassifier(**common).fit(X[:40], y[:40])
    kept = FineTunedClassifier(memory=tmp_path, **common).fit(X[:40], y[:40])
    for rows in (X, X[::-1], X[3:4]):
        np.testing.assert_array_equal(kept.predict_proba(rows), plain.predict_proba(rows))


def test_brain_floats_are_used_in_prediction_where_they_were_in_training(blobs):
    X = blobs[0].astype(np.float32)
    half = FineTunedClassifier(precision="bf16", **QUICK).fit(X, blobs[1])
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        rows = half.net_.module_.input_scaler(torch.as_tensor(X))
        embedding = half.net_.module_.embedding_scaler(half.backbone_(rows))
        logits = half.net_.module_.head(embedding)
    np.testing.assert_allclose(half.predict_proba(X), logits.float().softmax(1).numpy(), atol=0.01)
    assert half.predict_proba(X).dtype == np.float32


def test_the_score_counts_weighted_rows_of_known_label(blobs):
    X, y, sample_domain = blobs
    fitted = FineTunedClassifier(**QUICK).fit(X, y)
    weight = np.linspace(0.0, 2.0, 60)
    right = fitted.predict(X) == y
    assert fitted.score(X, y, weight) == pytest.approx(np.average(right, weights=weight))
    target = sample_domain < 0
    masked = np.where(target, 5, y)
    expected = np.average(right[~target], weights=weight[~target])
    assert fitted.score(X, masked, weight, sample_domain) == pytest.approx(expected)
    assert fitted.score(X, masked) == pytest.approx((right & ~target).mean())
    with pytest.raises(ValueError, match=r"allow_source=False but sample_domain marks"):
        fitted.score(X, y, sample_domain=sample_domain, allow_source=False)
