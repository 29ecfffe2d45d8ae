"""Several layers as one row: statistics and weights learned in fit, by the formula."""

import numpy as np
import pytest
import soundfile
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sktl import PretrainedEmbedding
from sktl.datasets import load_voices
from sktl.embedding import layer_weights
from sktl.embedding._fusion import learn_fusion

LAYERS = [4, 6, 8]
VARIANTS = [
    PretrainedEmbedding(layers=[4, 8], fusion=fusion) for fusion in ("concat", "mean", "weighted")
]


@parametrize_with_checks(VARIANTS)
def test_fused_layers_keep_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def voices():
    clips, digits, _ = load_voices(return_X_y=True)
    return clips[:350:7], digits[:350:7]


@pytest.fixture(scope="module")
def standardised(voices):
    """Of each layer, rows standardised by the even ones."""
    rows = [PretrainedEmbedding(layers=layer).fit_transform(voices[0]) for layer in LAYERS]
    return [StandardScaler().fit(r[::2].astype(float)).transform(r.astype(float)) for r in rows]


def test_concat_and_mean_are_those_of_standardised_layers(voices, standardised):
    clips, _ = voices
    for fusion, expected in (
        ("concat", np.hstack(standardised)),
        ("mean", np.mean(standardised, axis=0)),
    ):
        embedding = PretrainedEmbedding(layers=LAYERS, fusion=fusion).fit(clips[::2])
        np.testing.assert_allclose(embedding.transform(clips), expected, atol=1e-4)


def test_weighted_is_the_sum_by_weights_that_sum_to_one(voices, standardised):
    clips, digits = voices
    embedding = PretrainedEmbedding(layers=LAYERS, fusion="weighted").fit(clips[::2], digits[::2])
    weights = embedding.layer_weights_
    assert weights.shape == (3,)
    assert weights.sum() == pytest.approx(1)
    assert (weights > 0).all()
    expected = layer_weights([z[::2] for z in standardised], digits[::2])
    np.testing.assert_allclose(weights, expected, atol=1e-5)
    np.testing.assert_allclose(
        embedding.transform(clips), np.tensordot(weights, standardised, 1), atol=1e-4
    )
    again = clone(embedding).fit(clips[::2], np.array(list("abcdefghij"))[digits[::2]])
    np.testing.assert_array_equal(again.layer_weights_, weights)


def penalised_loss(weights, layers, y):
    """Smallest loss of a logistic head on the weighted sum, by scikit-learn."""
    fused = np.tensordot(weights, layers, 1)
    head = LogisticRegression(C=1.0, tol=1e-8, max_iter=5000).fit(fused, y)
    penalty = 0.5 * np.square(head.coef_).sum() / len(y)
    return log_loss(y, head.predict_proba(fused)) + penalty


def test_no_weights_nearby_let_a_linear_head_fit_better():
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    signal = 0.5 * rng.normal(size=(3, 8))[y]
    layers = [share * signal + rng.normal(size=(120, 8)) for share in (0.5, 1.0, 0.8, 0.0)]
    found = layer_weights(layers, y)
    best = penalised_loss(found, layers, y)
    for direction in rng.normal(size=(20, 4)):
        other = found * np.exp(0.1 * direction)
        assert penalised_loss(other / other.sum(), layers, y) > best - 1e-6
    assert found.argmin() == 3


def test_a_layer_that_tells_classes_apart_gets_the_weight():
    rng = np.random.default_rng(0)
    y = np.arange(200) % 4
    layers = [rng.normal(size=(200, 5)) for _ in range(3)]
    layers[2] += 3 * rng.normal(size=(4, 5))[y]
    assert layer_weights(layers, y)[2] > 0.95


@pytest.mark.parametrize(
    ("shape", "y", "message"),
    [
        ((4, 3), [0, 1, 0], r"shape \(2, 4, 3\) and y has shape \(3,\)"),
        ((4,), [0, 1, 0, 1], r"give layers of shape \(n_rows, n_columns\)"),
        ((4, 3), [1, 1, 1, 1], "y holds 1 class;"),
        ((0, 3), [], "y holds no class"),
    ],
)
def test_weights_of_layers_that_teach_nothing_are_refused(shape, y, message):
    with pytest.raises(ValueError, match=message):
        layer_weights([np.zeros(shape), np.zeros(shape)], y)


@pytest.mark.parametrize("fusion", ["concat", "mean", "weighted"])
@pytest.mark.parametrize("pooling", ["mean_std", None])
def test_fit_transform_runs_the_network_once_and_equals_fit_then_transform(voices, fusion, pooling):
    clips, digits = voices[0][:12], voices[1][:12]
    embedding = PretrainedEmbedding(layers=LAYERS, fusion=fusion, pooling=pooling)
    rows = clone(embedding).fit(clips, digits).transform(clips)
    seen = []

    class Counted(PretrainedEmbedding):
        def _embed(self, rows):
            seen.append(len(rows))
            return super()._embed(rows)

    once = Counted(**embedding.get_params()).fit_transform(clips, digits)
    assert seen == [12]
    for one, other in zip(once, rows, strict=True):
        np.testing.assert_array_equal(one, other)


def test_statistics_do_not_depend_on_how_many_rows_are_computed_at_once(voices):
    clips = voices[0][:30]
    embedding = PretrainedEmbedding(layers=LAYERS).fit(clips * 4)
    rows = PretrainedEmbedding(layers=LAYERS).fit_transform(clips)
    np.testing.assert_allclose(embedding.transform(clips), rows, atol=1e-5)
    np.testing.assert_array_equal(embedding.transform(clips[7:8]), embedding.transform(clips)[7:8])


def test_rows_with_nan_are_left_out_and_constant_columns_stay_finite():
    rng = np.random.default_rng(0)
    rows = (1000 + rng.normal(size=(40, 6))).astype(np.float32)
    rows[:, 2] = 0.1
    rows[:, 3] = 0
    rows[[3, 17]] = np.nan
    learned = learn_fusion("concat", [2, 4], (row[None] for row in rows))
    fused = learned(rows)
    assert np.isnan(fused).all(1).nonzero()[0].tolist() == [3, 17]
    fused = np.delete(fused, [3, 17], axis=0)
    varying = [0, 1, 4, 5]
    np.testing.assert_allclose(fused[:, varying].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(fused[:, varying].std(0), 1, atol=1e-6)
    assert (fused[:, 2:4] == 0).all()
    assert learned.scale[2] == learned.scale[3] == 1


def test_unreadable_files_teach_nothing(voices, tmp_path):
    clips, digits = voices[0][:8], voices[1][:8]
    for number, clip in enumerate(clips):
        soundfile.write(tmp_path / f"{number}.wav", clip, 16000, subtype="FLOAT")
    paths = [tmp_path / f"{number}.wav" for number in range(8)]
    paths.insert(2, tmp_path / "bad.wav")
    paths[2].write_bytes(b"RIFF no more")
    expected = PretrainedEmbedding(layers=LAYERS, fusion="weighted").fit_transform(clips, digits)
    embedding = PretrainedEmbedding(layers=LAYERS, fusion="weighted", on_error="nan")
    with pytest.warns(UserWarning, match="1 of 9 audio files cannot be read") as caught:
        rows = embedding.fit_transform(paths, np.insert(digits, 2, 77))
    assert len(caught) == 1
    assert np.isnan(rows[2]).all()
    np.testing.assert_array_equal(np.delete(rows, 2, axis=0), expected)
    embedding.set_params(fusion="mean")
    with (
        pytest.warns(UserWarning, match="1 of 1"),
        pytest.raises(ValueError, match="None of the rows of X could be read"),
    ):
        embedding.fit(paths[2:3])


def test_labels_of_target_rows_are_not_read(voices):
    clips, digits = voices[0][:20], voices[1][:20]
    domain = np.where(np.arange(20) % 3, 1, -1)
    embedding = PretrainedEmbedding(layers=LAYERS, fusion="weighted")
    told = clone(embedding).fit_transform(clips, digits, sample_domain=domain)
    for mask in (-1, np.nan):
        masked = np.where(domain < 0, mask, digits.astype(float))
        untold = clone(embedding).fit_transform(clips, masked, sample_domain=domain)
        np.testing.assert_array_equal(untold, told)
    as_class = clone(embedding).fit_transform(clips, np.where(domain < 0, -1, digits))
    assert not np.array_equal(as_class, told)


def test_domains_reach_it_in_a_pipeline(voices):
    clips, digits = voices[0][:20], voices[1][:20]
    domain = np.where(np.arange(20) % 3, 1, -1)
    expected = PretrainedEmbedding(layers=LAYERS, fusion="weighted").fit(
        clips, digits, sample_domain=domain
    )
    pipe = make_pipeline(clone(expected), StandardScaler())
    prefixed = clone(pipe).fit(clips, digits, pretrainedembedding__sample_domain=domain)
    with config_context(enable_metadata_routing=True):
        routed = clone(pipe).fit(clips, digits, sample_domain=domain)
    for fitted in (prefixed[0], routed[0]):
        np.testing.assert_array_equal(fitted.layer_weights_, expected.layer_weights_)


def test_names_say_network_and_fusion(voices):
    clips, digits = voices
    embedding = PretrainedEmbedding(layers=LAYERS, fusion="mean").fit(clips[:3])
    names = embedding.get_feature_names_out()
    assert (len(names), names[41]) == (256, "speech-mini_fused_0041")
    embedding.set_params(fusion="weighted", pooling="mean_std").fit(clips[:20], digits[:20])
    names = embedding.get_feature_names_out()
    assert (len(names), names[0], names[-1]) == (
        512,
        "speech-mini_fused_mean_0000",
        "speech-mini_fused_std_0255",
    )
    assert hasattr(embedding, "layer_weights_")
    frame = embedding.set_params(fusion="mean").set_output(transform="pandas").fit_transform(clips)
    assert list(frame.columns) == list(names)
    assert not hasattr(embedding, "layer_weights_")


def test_a_search_over_layers_and_fusions(voices):
    clips, digits = voices
    pipe = make_pipeline(PretrainedEmbedding(layers=[5, 8]), LogisticRegression())
    grid = {
        "pretrainedembedding__fusion": ["concat", "mean", "weighted"],
        "pretrainedembedding__layers": [[5, 8], 8],
    }
    search = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(clips[:20], digits[:20] % 2)
    assert search.best_score_ > 0.3


@pytest.mark.parametrize(
    ("parameters", "y", "message"),
    [
        (
            {"layers": [0, 1, 4, 5], "fusion": "mean"},
            None,
            r"fusion='mean' adds layers of one width, but the blocks of speech-mini have different "
            r"ones \(0: 16, 1: 32, 4: 256, 5: 256\); give layers=\[4, 5\], or fusion='concat'",
        ),
        ({"layers": [0, 1], "fusion": "weighted"}, [0, 1, 0], "; use fusion='concat'"),
        ({"layers": [4, 5], "fusion": "weighted"}, None, "requires y to be passed"),
        ({"layers": [4, 5], "fusion": "weighted"}, [1, 1, 1], "y holds 1 class"),
        ({"layers": [4, 5], "fusion": "weighted"}, [0, 1], "inconsistent numbers of samples"),
        ({"layers": [4, 5], "fusion": "weighted"}, [0.1, 1.2, 7.3], "Unknown label type"),
        ({"layers": [4, 5], "fusion": "sum"}, None, "The 'fusion' parameter of"),
    ],
)
def test_what_cannot_be_fused_is_refused_before_any_work(voices, parameters, y, message):
    class Idle(PretrainedEmbedding):
        def _embed(self, rows):
            raise AssertionError

    with pytest.raises(ValueError, match=message):
        Idle(**parameters).fit(voices[0][:3], y)


def test_labels_are_required_only_where_weights_are_learned():
    def required(**parameters):
        return PretrainedEmbedding(**parameters).__sklearn_tags__().target_tags.required

    assert required(layers=[1, 2], fusion="weighted")
    assert required(layers="all", fusion="weighted")
    assert not required(layers="last", fusion="weighted")
    assert not required(layers=[3], fusion="weighted")
    assert not required(layers=[1, 2], fusion="mean")
    assert not required()
