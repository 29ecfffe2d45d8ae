"""Fine-tuning helps where the start is good, and goes through scikit-learn's tools."""

import numpy as np
import pytest
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktl import FineTunedClassifier


def test_a_trained_body_is_a_good_start_where_labels_are_few():
    X, y = load_digits(return_X_y=True)
    X, names = (X / 16).astype(np.float32), np.array(list("abcdefghij"))[y]
    first = np.arange(len(y)) < 1000
    few = np.concatenate([np.where((y == k) & ~first)[0][:1] for k in range(10)])
    rest = np.setdiff1d(np.where(~first)[0], few)
    trained = FineTunedClassifier(max_epochs=20, random_state=0).fit(X[first], y[first])
    common = {"frozen_layers": "all", "lr": 1e-2, "max_epochs": 60, "random_state": 0}
    transferred, from_random = (
        FineTunedClassifier(start, **common).fit(X[few], names[few]).score(X[rest], names[rest])
        for start in (trained, "mlp")
    )
    assert transferred > 0.85
    assert transferred > from_random + 0.2


def test_spectrograms_are_learned(images):
    X, y = images
    for backbone in ("cnn", "gru"):
        fitted = FineTunedClassifier(backbone, max_epochs=60, lr=5e-3, random_state=0).fit(X, y)
        assert fitted.score(X, y) == 1.0, backbone


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_either_head_learns(blobs, head):
    X, y, _ = blobs
    fitted = FineTunedClassifier(head=head, max_epochs=100, random_state=0).fit(X, y)
    assert fitted.score(X, y) > 0.9


def test_every_parameter_of_the_network_can_be_searched(blobs):
    X, y, _ = blobs
    grid = [
        {"finetunedclassifier__frozen_layers": [0, -1], "finetunedclassifier__layer_decay": [0.5]},
        {
            "finetunedclassifier__head": ["mlp"],
            "finetunedclassifier__weights": ["pretrained", None],
        },
    ]
    classifier = FineTunedClassifier(max_epochs=3, random_state=0)
    search = GridSearchCV(make_pipeline(StandardScaler(), classifier), grid, cv=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(X).shape == (60,)


def test_weights_none_and_absent_weights_are_the_same_start(blobs):
    X, y, _ = blobs
    common = {"max_epochs": 3, "random_state": 0}
    published, random = (
        FineTunedClassifier("mlp", weights=weights, **common).fit(X, y)
        for weights in ("pretrained", None)
    )
    np.testing.assert_array_equal(published.predict_proba(X), random.predict_proba(X))


def test_pretrained_weights_are_the_start_and_a_file_of_them_too(ragged, tmp_path):
    clips, y = ragged
    common = {"frozen_layers": "all", "max_epochs": 2, "random_state": 0}
    shipped = FineTunedClassifier("speech-mini", **common).fit(clips, y)
    random = FineTunedClassifier("speech-mini", weights=None, **common).fit(clips, y)
    save_file(shipped.backbone_.state_dict(), tmp_path / "mine.safetensors")
    mine = FineTunedClassifier("speech-mini", weights=tmp_path / "mine.safetensors", **common)
    expected = shipped.predict_proba(clips)
    np.testing.assert_array_equal(mine.fit(clips, y).predict_proba(clips), expected)
    assert not np.allclose(random.predict_proba(clips), expected)
