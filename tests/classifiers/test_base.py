"""Fitting, going on, predicting and pickling, whatever the network."""

import pickle
import warnings

import joblib
import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import cross_val_score, train_test_split
from torch import nn

from sktl import DANNClassifier, FineTunedClassifier, MMDAligner
from sktl.backbones import InputSpec, ModuleHandle
from sktl.exceptions import AudioReadError, NoAdaptationWarning

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
