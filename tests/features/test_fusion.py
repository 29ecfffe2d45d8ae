"""Fused blocks are scikit-learn's union of scaled features."""

import pickle

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sktl.adaptation import CORALTransformer
from sktl.embedding import PretrainedEmbedding
from sktl.features import LPC, MFCC, MelSpectrogram
from sktl.features._fusion import FeatureFusion

CEPSTRA = MFCC(n_mfcc=5, n_mels=20, n_fft=256, hop_length=80, sr=8000)
PREDICTION = LPC(order=4, frame_length=200, hop_length=80, sr=8000)
BLOCKS = [("mfcc", CEPSTRA), ("lpc", PREDICTION)]


class FirstSamples(TransformerMixin, BaseEstimator):
    """A block without names, which gives arrays or tensors."""

    def __init__(self, tensors=False):
        self.tensors = tensors

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        rows = np.stack([np.asarray(clip)[:3] for clip in X])
        return torch.from_numpy(rows) if self.tensors else rows


@parametrize_with_checks(
    [FeatureFusion(), FeatureFusion(scale="block", weights={"lpc": 2.0}, n_jobs=2)]
)
def test_estimator_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


def test_rows_are_those_of_a_scaled_union(speech):
    expected = make_pipeline(FeatureUnion(BLOCKS), StandardScaler()).fit(speech[:20])
    fusion = FeatureFusion(BLOCKS).fit(speech[:20])
    np.testing.assert_allclose(fusion.transform(speech), expected.transform(speech), atol=1e-4)
    np.testing.assert_array_equal(fusion.fit_transform(speech), fusion.transform(speech))
    assert not hasattr(CEPSTRA, "n_features_in_")


def test_blocks_weigh_the_same_whatever_their_width(speech):
    rows = FeatureFusion(BLOCKS, scale="block").fit_transform(speech)
    for block in (rows[:, :10], rows[:, 10:]):
        np.testing.assert_allclose(block.mean(axis=0), 0, atol=1e-5)
        assert block.var(axis=0).sum() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("scale", ["standard", "block", None])
def test_weights_multiply_blocks(speech, scale):
    plain = FeatureFusion(BLOCKS, scale=scale).fit_transform(speech)
    weighted = FeatureFusion(BLOCKS, scale=scale, weights={"lpc": 3.0}).fit_transform(speech)
    np.testing.assert_array_equal(weighted[:, :10], plain[:, :10])
    np.testing.assert_allclose(weighted[:, 10:], 3 * plain[:, 10:], rtol=1e-5)


def test_without_a_scale_blocks_are_as_they_were(speech):
    rows = FeatureFusion(BLOCKS, scale=None).fit_transform(speech)
    np.testing.assert_array_equal(rows, FeatureUnion(BLOCKS).fit_transform(speech))


def test_the_default_is_cepstra_and_prediction_coefficients(speech):
    fusion = FeatureFusion().fit(speech)
    assert [name for name, _ in fusion.transformers_] == ["mfcc", "lpc"]
    assert fusion.transform(speech).shape == (30, 2 * 20 + 2 * 16)


def test_features_and_an_embedding_of_files_and_arrays_are_fused(speech_paths):
    fusion = FeatureFusion([("mfcc", MFCC()), ("network", PretrainedEmbedding())])
    rows = fusion.fit_transform(speech_paths[:6])
    assert rows.shape[1] == len(fusion.get_feature_names_out())
    assert fusion.get_feature_names_out()[-1].startswith("network__")
    np.testing.assert_allclose(rows.std(axis=0), 1, atol=1e-4)


def test_unreadable_files_stay_nan_and_do_not_count(speech_paths):
    blocks = [(name, clone(block).set_params(on_error="nan")) for name, block in BLOCKS]
    expected = FeatureFusion(blocks).fit_transform(speech_paths[:5])
    fusion = FeatureFusion(blocks)
    with pytest.warns(UserWarning, match="1 of 6 audio files cannot be read"):
        rows = fusion.fit_transform(["missing.wav", *speech_paths[:5]])
    assert np.isnan(rows[0]).all()
    np.testing.assert_allclose(rows[1:], expected, atol=1e-5)


def test_sample_weights_count_like_repeated_rows(speech):
    weight = np.arange(30) % 3
    weighted = FeatureFusion(BLOCKS).fit(speech, sample_weight=weight)
    repeated = FeatureFusion(BLOCKS).fit([speech[i] for i in np.repeat(np.arange(30), weight)])
    np.testing.assert_allclose(weighted.mean_, repeated.mean_)
    np.testing.assert_allclose(weighted.factors_, repeated.factors_)


def test_names_begin_with_the_block(speech):
    fusion = FeatureFusion([*BLOCKS, ("first", FirstSamples())]).fit(speech)
    names = list(fusion.get_feature_names_out())
    assert names[0] == "mfcc__mfcc_00_mean"
    assert names[-4:] == ["lpc__lpc_04_std", "first__0", "first__1", "first__2"]
    frame = fusion.set_output(transform="pandas").transform(speech)
    assert list(frame.columns) == names


def test_blocks_are_dropped_and_passed_through():
    X = np.random.default_rng(0).normal(size=(6, 50))
    fusion = FeatureFusion([("raw", "passthrough"), ("gone", "drop"), ("pca", PCA(2))])
    rows = fusion.fit_transform(X)
    np.testing.assert_allclose(rows[:, :50], StandardScaler().fit_transform(X), atol=1e-12)
    assert [name for name, _ in fusion.transformers_] == ["raw", "pca"]
    assert list(fusion.get_feature_names_out()[[0, -1]]) == ["raw__x0", "pca__pca1"]
    assert fusion.n_features_in_ == 50


def test_a_list_of_clips_has_no_number_of_features(speech):
    fusion = FeatureFusion(BLOCKS).fit(np.stack([clip[:1000] for clip in speech]))
    assert fusion.n_features_in_ == 1000
    assert not hasattr(fusion.fit(speech), "n_features_in_")


def test_parameters_of_blocks_are_got_and_set():
    fusion = FeatureFusion(BLOCKS)
    assert fusion.get_params()["mfcc__n_mfcc"] == 5
    fusion = clone(fusion).set_params(mfcc__n_mfcc=7, lpc="drop")
    assert dict(fusion.transformers)["mfcc"].n_mfcc == 7
    assert dict(fusion.transformers)["lpc"] == "drop"
    assert CEPSTRA.n_mfcc == 5
    with pytest.raises(ValueError, match="Invalid parameter 'other'"):
        fusion.set_params(other=1)


def test_parameters_of_the_default_blocks_are_set_too():
    fusion = FeatureFusion().set_params(scale=None)
    assert fusion.transformers is None
    assert fusion.set_params(mfcc__n_mfcc=13).get_params()["mfcc__n_mfcc"] == 13
    assert fusion.set_params(transformers=None, scale="block").transformers is None
    assert (
        FeatureFusion().set_params(transformers=None, lpc__order=4).get_params()["lpc__order"] == 4
    )


def test_a_grid_searches_parameters_of_blocks(speech):
    pipe = make_pipeline(FeatureFusion(BLOCKS), KNeighborsClassifier(1))
    grid = {"featurefusion__mfcc__n_mfcc": [1, 5], "featurefusion__lpc": ["drop", PREDICTION]}
    search = GridSearchCV(pipe, grid, cv=3).fit(speech, np.arange(30) // 10)
    assert search.best_score_ > 0.7


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_fitted_fusion_survives_pickling_and_threads(speech, n_jobs):
    fusion = FeatureFusion(BLOCKS, n_jobs=n_jobs).fit(speech[:9])
    copy = pickle.loads(pickle.dumps(fusion))
    np.testing.assert_array_equal(copy.transform(speech), fusion.transform(speech))
    np.testing.assert_array_equal(
        copy.transform(speech), FeatureFusion(BLOCKS).fit(speech[:9]).transform(speech)
    )


def adapted():
    """Blocks of which one wants domains."""
    return [("plain", CEPSTRA), ("adapted", make_pipeline(PREDICTION, CORALTransformer()))]


def test_routed_and_prefixed_domains_reach_the_block_that_wants_them(speech):
    sample_domain = np.where(np.arange(30) < 15, 1, -1)
    prefixed = FeatureFusion(adapted())
    key = "adapted__coraltransformer__sample_domain"
    rows = prefixed.fit_transform(speech, **{key: sample_domain})
    by_hand = adapted()[1][1].fit_transform(speech, coraltransformer__sample_domain=sample_domain)
    np.testing.assert_allclose(rows[:, 10:], StandardScaler().fit_transform(by_hand), atol=1e-4)
    with config_context(enable_metadata_routing=True):
        routed = FeatureFusion(adapted())
        np.testing.assert_array_equal(
            routed.fit_transform(speech, sample_domain=sample_domain), rows
        )
        np.testing.assert_array_equal(routed.transform(speech, sample_domain=sample_domain), rows)
        routed = FeatureFusion(adapted()).fit(speech, sample_domain=sample_domain)
        np.testing.assert_array_equal(routed.transform(speech, sample_domain=sample_domain), rows)
        with pytest.raises(TypeError, match="unexpected argument"):
            routed.fit(speech, other=1)


def test_routed_weights_enter_the_statistics(speech):
    weight = np.arange(30) % 3
    expected = FeatureFusion(BLOCKS).fit(speech, sample_weight=weight)
    with config_context(enable_metadata_routing=True):
        fusion = FeatureFusion(BLOCKS).set_fit_request(sample_weight=True)
        pipe = make_pipeline(fusion, StandardScaler().set_fit_request(sample_weight=False))
        pipe.fit(speech, sample_weight=weight)
    np.testing.assert_array_equal(pipe[0].factors_, expected.factors_)


def test_metadata_for_no_block_is_refused(speech):
    with pytest.raises(ValueError, match="'sample_domain', which is for no block; write mfcc__"):
        FeatureFusion(BLOCKS).fit(speech, sample_domain=np.ones(30))


def test_tensors_in_all_blocks_give_a_tensor(speech):
    tensors = FeatureFusion([("a", FirstSamples(True)), ("b", FirstSamples(True))])
    arrays = FeatureFusion([("a", FirstSamples(True)), ("b", FirstSamples())])
    rows = tensors.fit_transform(speech)
    assert isinstance(rows, torch.Tensor)
    assert isinstance(arrays.fit_transform(speech), np.ndarray)
    np.testing.assert_array_equal(rows.numpy(), arrays.transform(speech))


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"transformers": []}, ValueError, r"transformers=\[\] leaves no block"),
        ({"transformers": [("mfcc", "drop")]}, ValueError, "leaves no block"),
        ({"transformers": [CEPSTRA]}, ValueError, r"transformers holds MFCC\(.*give pairs"),
        ({"transformers": [("mfcc", MFCC)]}, TypeError, "'mfcc' is <class .*give an instance"),
        ({"transformers": [("mfcc", "pass")]}, TypeError, "'mfcc' is 'pass'; give an instance"),
        ({"transformers": BLOCKS * 2}, ValueError, "not unique"),
        ({"transformers": [("scale", CEPSTRA)]}, ValueError, "conflict with constructor"),
        ({"weights": {"cnn": 1.0}}, ValueError, r"a block 'cnn' but .* \['mfcc', 'lpc'\]"),
        ({"weights": {"lpc": np.nan}}, ValueError, r"weights\['lpc'\]=nan is not a finite"),
        ({"scale": "unit"}, ValueError, "The 'scale' parameter of FeatureFusion"),
        (
            {"transformers": [*BLOCKS, ("mel", MelSpectrogram(sr=8000))]},
            ValueError,
            r"block 'mel' \(MelSpectrogram\) gives .* mel__pooling='mean_std'",
        ),
    ],
)
def test_blocks_that_make_no_rows_are_refused(speech, parameters, error, message):
    with pytest.raises(error, match=message):
        FeatureFusion(**{"transformers": BLOCKS, **parameters}).fit(speech[:3])


def test_it_says_that_it_is_not_fitted(speech):
    with pytest.raises(NotFittedError):
        FeatureFusion().transform(speech)


def test_blocks_are_shown_side_by_side():
    html = FeatureFusion(BLOCKS)._repr_html_()
    assert "sk-parallel" in html
    assert "lpc" in html
