"""Which network is built for which rows, and what is refused before any training."""

from functools import partial

import numpy as np
import pytest
import soundfile
import torch
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from torch import nn

from sktl import DANNClassifier, FineTunedClassifier
from sktl.backbones import CNN, MLP, InputSpec, ModuleHandle
from sktl.classifiers._build import name_of
from sktl.exceptions import WeightsError

QUICK = {"max_epochs": 2, "random_state": 0}
FAST = {"max_epochs": 1, "frozen_layers": "all", "random_state": 0}


def fit(X, y=None, **parameters):
    y = np.arange(len(X)) % 2 if y is None else y
    return FineTunedClassifier(**{**QUICK, **parameters}).fit(X, y)


def test_auto_takes_the_network_for_the_kind_of_rows(blobs, images, ragged):
    assert isinstance(fit(blobs[0]).backbone_, MLP)
    assert isinstance(fit(images[0]).backbone_, CNN)
    assert fit(ragged[0], **FAST).backbone_.input_spec.kind == "waveform"
    assert isinstance(fit(blobs[0].tolist()).backbone_, MLP)


def test_waveform_networks_take_arrays_lists_and_files_alike(ragged, tmp_path):
    clips = [clip[:4000] for clip in ragged[0] if len(clip) >= 4000]
    paths = [tmp_path / f"{i}.wav" for i in range(len(clips))]
    for path, clip in zip(paths, clips, strict=True):
        soundfile.write(path, clip, 16000, subtype="FLOAT")
    fits = [fit(X, backbone="speech-mini", **FAST) for X in (np.stack(clips), clips, paths)]
    probabilities = [
        fitted.predict_proba(X) for fitted in fits for X in (np.stack(clips), clips, paths)
    ]
    for other in probabilities[1:]:
        np.testing.assert_array_equal(other, probabilities[0])
    assert [hasattr(fitted, "n_features_in_") for fitted in fits] == [True, False, False]
    with pytest.raises(
        ValueError, match="X has 3000 features, but FineTunedClassifier is expecting 4000"
    ):
        fits[0].predict(np.stack(clips)[:, :3000])
    assert fits[0].predict([clip[:3000] for clip in clips]).shape == (len(clips),)


def test_a_series_of_paths_and_a_frame_of_numbers_are_rows_too(blobs, ragged, tmp_path):
    pandas = pytest.importorskip("pandas")
    for i, clip in enumerate(ragged[0][:4]):
        soundfile.write(tmp_path / f"{i}.flac", clip, 16000)
    series = pandas.Series([str(tmp_path / f"{i}.flac") for i in range(4)], index=list("abcd"))
    assert fit(series, **FAST).predict(series[::-1]).shape == (4,)
    frame = pandas.DataFrame(blobs[0], columns=list("uvwxyz"))
    fitted = fit(frame, pandas.Series(blobs[1]), **QUICK)
    assert list(fitted.feature_names_in_) == list("uvwxyz")
    np.testing.assert_array_equal(fitted.predict(frame), fit(blobs[0], blobs[1]).predict(blobs[0]))
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(frame[list("zyxwvu")])


@pytest.mark.parametrize("backbone", ["mlp", "cnn", "crnn", "gru"])
def test_float64_rows_are_computed_in_float64_by_networks_trained_from_scratch(images, backbone):
    X, y = images
    double = fit(X, y, backbone=backbone)
    single = fit(X.astype(np.float32), y, backbone=backbone)
    assert {w.dtype for w in double.net_.module_.parameters()} == {torch.float64}
    assert {w.dtype for w in single.net_.module_.parameters()} == {torch.float32}
    assert double.predict_proba(X).dtype == np.float64
    assert single.predict_proba(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(double.predict_proba(X), single.predict_proba(X), atol=1e-4)


def test_tensors_are_rows_too(blobs):
    X, y, _ = blobs
    tensor = torch.as_tensor(X).requires_grad_()
    np.testing.assert_array_equal(fit(tensor, y).predict_proba(tensor), fit(X, y).predict_proba(X))


class Own(nn.Linear):
    def __init__(self):
        super().__init__(6, 4)


def test_a_class_is_a_factory(blobs):
    fitted = fit(blobs[0], blobs[1], backbone=Own)
    assert isinstance(fitted.backbone_.blocks[0], Own)
    assert fitted.predict(blobs[0]).shape == (60,)


def test_a_module_keeps_its_own_precision(blobs, chain):
    X, y, _ = blobs
    layer = partial(nn.Linear, 6, 3)
    for X_dtype in (np.float32, np.float64):
        single = fit(X.astype(X_dtype), y, backbone=chain(layer))
        double = fit(X.astype(X_dtype), y, backbone=chain(layer).double())
        assert {w.dtype for w in single.net_.module_.parameters()} == {torch.float32}
        assert {w.dtype for w in double.net_.module_.parameters()} == {torch.float64}


@pytest.mark.parametrize("way", ["module", "factory", "handle"])
def test_a_network_of_ones_own_is_built_cut_and_frozen(blobs, chain, way):
    X, y, _ = blobs
    layers = [
        partial(nn.Linear, 6, 8),
        partial(nn.BatchNorm1d, 8),
        nn.ReLU,
        partial(nn.Linear, 8, 3),
    ]
    make = partial(chain, *layers)
    module = make()
    given = {"module": module, "factory": make, "handle": ModuleHandle(make)}[way]
    start = {name: value.clone() for name, value in module.state_dict().items()}
    fitted = fit(X, y, backbone=given, frozen_layers=2, max_epochs=3, lr=0.05)
    assert fitted.predict(X).shape == (60,)
    body = fitted.backbone_
    assert [len(body.blocks), body.embedding_size] == [4, 3]
    for name, value in start.items():
        frozen = name.startswith(("0.", "1."))
        assert torch.equal(body.state_dict()[f"blocks.{name}"], value) is frozen, name
        assert torch.equal(module.state_dict()[name], value)


def test_a_module_for_clips_says_so(ragged):
    class Energy(nn.Module):
        input_spec = InputSpec("waveform", sr=16000)

        def forward(self, clips):
            return clips.unflatten(1, (10, -1)).square().mean(2).log()

    clips = [clip[:1600] for clip in ragged[0]]
    assert fit(clips, backbone=Energy(), max_epochs=3).predict(clips).shape == (10,)


def test_a_fitted_estimator_is_the_start_and_stays_as_it_was(blobs):
    X, y, sample_domain = blobs
    trained = fit(X, y, max_epochs=20)
    weights = {name: w.clone() for name, w in trained.backbone_.state_dict().items()}
    probe = fit(X, y, backbone=trained, frozen_layers="all")
    for name, weight in probe.backbone_.state_dict().items():
        assert torch.equal(weight, weights[name]), name
    adapted = DANNClassifier(trained, **QUICK).fit(X, y, sample_domain)
    assert not torch.equal(next(adapted.backbone_.parameters()), next(iter(weights.values())))
    for name, weight in trained.backbone_.state_dict().items():
        assert torch.equal(weight, weights[name]), name
        assert weight is not adapted.backbone_.state_dict()[name]


@pytest.mark.parametrize("kind", ["features", "spectrogram", "own"])
def test_a_trained_body_keeps_the_scaling_it_was_trained_with(blobs, images, chain, kind):
    X, y = blobs[:2] if kind != "spectrogram" else images
    backbone = chain(lambda: nn.Linear(6, 4)) if kind == "own" else "auto"
    trained = fit(100 + 7 * X, y, backbone=backbone)
    transferred = fit(X, y, backbone=FrozenEstimator(trained), frozen_layers="all")
    a, b = (fitted.net_.module_.input_scaler.state_dict() for fitted in (trained, transferred))
    assert a.keys() == b.keys() == (set() if kind == "own" else {"mean", "scale"})
    assert all(torch.equal(a[name], b[name]) for name in a)
    modules = (trained.net_.module_, transferred.net_.module_.to(trained._plan.dtype))
    rows = torch.as_tensor(X, dtype=trained._plan.dtype)
    first, second = (module.prefix(rows, len(module.body.blocks)) for module in modules)
    assert torch.equal(first, second)


def test_a_body_trained_on_rows_of_another_width_is_refused(blobs):
    X, y, _ = blobs
    trained = fit(X, y)
    with pytest.raises(ValueError, match=r"X has rows of 4 columns .* was trained on rows of 6"):
        fit(X[:, :4], y, backbone=trained)


def test_a_fitted_estimator_is_searched_over_when_it_is_frozen(blobs):
    X, y, _ = blobs
    trained = fit(X, y, max_epochs=20)
    search = GridSearchCV(
        FineTunedClassifier(FrozenEstimator(trained), **QUICK), {"frozen_layers": ["all", 0]}, cv=2
    ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    with pytest.raises(NotFittedError, match=r"wrap it: sklearn.frozen.FrozenEstimator\(fitted\)"):
        fit(X, y, backbone=FineTunedClassifier())


def test_the_message_names_the_network_in_use(blobs, chain):
    X, y, _ = blobs
    with pytest.raises(ValueError, match=r"frozen_layers=3 but 'mlp' has 2 blocks; give 0\.\.2,"):
        fit(X, y, frozen_layers=3)
    with pytest.raises(ValueError, match=r"^frozen_layers=-2 but Sequential has 1 blocks; give 0"):
        fit(X, y, backbone=chain(lambda: nn.Linear(6, 2)), frozen_layers=-2)


def test_networks_are_named_shortly_in_messages(chain):
    assert name_of("yamnet") == "'yamnet'"
    assert name_of(chain(nn.ReLU)) == "Sequential"
    assert name_of(MLP) == "MLP"
    assert name_of(partial(MLP, 3)) == "partial"
    assert name_of(FineTunedClassifier()) == "FineTunedClassifier"


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"backbone": "yamnt"}, ValueError, "'yamnt' is unknown; did you mean 'yamnet'?"),
        ({"backbone": "cnn"}, ValueError, r"'cnn' takes spectrograms.* row_shape=\(6,\)"),
        ({"backbone": 3}, ValueError, "backbone=3 is not understood"),
        ({"weights": "missing.pt"}, WeightsError, "No file of weights at missing.pt"),
        ({"weights": "imagenet"}, ValueError, "weights='imagenet' is not understood"),
        ({"frozen_layers": "some"}, ValueError, "'frozen_layers' parameter of FineTuned"),
        ({"memory": 3}, ValueError, "memory=3 is neither a folder nor a joblib.Memory"),
        ({"device": "tpu9"}, ValueError, "device='tpu9' is not a device; give 'auto', 'cpu'"),
        ({"device": "cuda:99"}, ValueError, r"device='cuda:99' but torch sees \d+ CUDA devices"),
        ({"optimizer": "adamm"}, ValueError, "'optimizer' parameter of FineTunedClassifier must"),
        ({"net_params": {"bogus": 1}}, ValueError, r"unexpected argument\(s\) bogus"),
    ],
)
def test_what_cannot_be_built_is_refused(blobs, parameters, error, message):
    X, y, _ = blobs
    with pytest.raises(error, match=message):
        fit(X, y, **parameters)


@pytest.mark.parametrize("hidden", [(0,), (3, -1), (2.5,), ("a",)])
def test_widths_that_are_none_are_refused(blobs, hidden):
    X, y, sample_domain = blobs
    with pytest.raises(ValueError, match="give a sequence of positive whole numbers"):
        DANNClassifier(discriminator_hidden=hidden).fit(X, y, sample_domain)


@pytest.mark.parametrize("backbone", ["mlp", "cnn", "crnn", "gru"])
def test_clips_for_a_network_that_takes_arrays_are_refused(ragged, backbone):
    with pytest.raises(ValueError, match=f"'{backbone}' takes .* X"):
        fit(ragged[0], backbone=backbone)


def test_clips_for_the_trained_body_of_an_array_network_are_refused(ragged, images):
    trained = fit(*images)
    with pytest.raises(ValueError, match=r"FineTunedClassifier takes spectrogram, but X is a list"):
        fit(ragged[0], backbone=trained)
