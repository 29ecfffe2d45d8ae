"""Frames and their times: the pooled rows are their statistics, a sound is where it was put."""

import pickle

import numpy as np
import pytest
import soundfile
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn

from sktl import PretrainedEmbedding
from sktl._random import torch_seed
from sktl.backbones import Backbone, InputSpec, UnitSpan
from sktl.datasets import load_voices
from sktl.embedding import Frames

OPTIONS = {"pooling": None, "output": "frames"}


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    return [0.1 * rng.standard_normal(n).astype(np.float32) for n in (9_000, 40_000, 24_000)]


def frames_of(X, backbone="speech-mini", **parameters):
    parameters = {**OPTIONS, "weights": None, "random_state": 0, **parameters}
    return PretrainedEmbedding(backbone, **parameters).fit_transform(X)


@pytest.mark.parametrize("backbone", ["speech-mini", "cnn6", "ge2e"])
@pytest.mark.parametrize("layer", [0, 3, "last"])
@pytest.mark.parametrize("local", [False, True])
def test_pooled_rows_are_the_statistics_of_the_frames(clips, backbone, layer, local):
    options = {"weights": None, "random_state": 0, "layers": layer, "local": local}
    rows = PretrainedEmbedding(backbone, **options, pooling="mean_std").fit_transform(clips)
    for row, frames in zip(rows, frames_of(clips, backbone, **options), strict=True):
        values = frames.values.astype(float)
        expected = np.concatenate([values.mean(0), values.std(0)])
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-5)
        assert (np.diff(frames.times) >= 0).all()
        assert frames.values.dtype == np.float32
        assert frames.times.dtype == np.float64


@pytest.mark.parametrize(
    ("backbone", "layer", "seconds", "step"),
    [
        ("yamnet", 3, 3.1, 0.08),
        ("yamnet", 9, 3.1, 0.16),
        ("vggish", 3, 3.1, 0.16),
        ("speech-mini", 3, 3.1, 0.04),
        ("crepe-tiny", 0, 0.4, 0.01),
        ("cnn6", 1, 3.1, 0.04),
        ("ge2e", 0, 3.5, 0.05),
    ],
)
@pytest.mark.parametrize("place", [0.3, 0.61])
def test_a_click_changes_the_frames_of_its_time(backbone, layer, seconds, step, place):
    sr = 32000 if backbone == "cnn6" else 16000
    place = place * seconds
    rng = np.random.default_rng(0)
    noise = 0.01 * rng.standard_normal(round(seconds * sr)).astype(np.float32)
    click = noise.copy()
    begin = round((place - 0.01) * sr)
    click[begin : begin + round(0.02 * sr)] += rng.standard_normal(round(0.02 * sr))
    # Levels may be relative: the loudest sound is the same in both.
    loud = 20 * rng.standard_normal(sr // 50)
    for clip in (noise, click):
        clip[: sr // 50] += loud
    both = frames_of([noise, click], backbone, layers=layer)
    changed = np.abs(both[1].values - both[0].values).sum(1)
    changed[both[0].times < 0.1 * seconds] = 0
    found = np.average(both[0].times, weights=changed**4)
    assert abs(found - place) < step


def test_times_of_patches_of_yamnet(clips):
    frames = frames_of(clips, "yamnet")
    assert [len(row.times) for row in frames] == [1, 4, 2]
    np.testing.assert_allclose(frames[1].times, 0.4875 + 0.48 * np.arange(4))
    middle = frames_of(clips, "yamnet", layers=11)
    # Six frames of 0.16 s in each patch, every second patch begins where a patch ends.
    np.testing.assert_allclose(middle[0].times, 0.0875 + 0.16 * np.arange(6), atol=1e-6)
    twice = np.sort(np.concatenate([0.0875 + 0.48 * k + 0.16 * np.arange(6) for k in range(2)]))
    np.testing.assert_allclose(middle[2].times, twice, atol=1e-6)


def test_times_of_other_networks(clips):
    vggish = frames_of(clips[1:2], "vggish", layers=[0, 6])[0]
    np.testing.assert_allclose(vggish.times, 0.0075 + 0.02 * (np.arange(96) + 0.5), atol=1e-6)
    crepe = frames_of([np.zeros(1600)], "crepe-tiny")[0]
    np.testing.assert_allclose(crepe.times, 0.01 * np.arange(11), atol=1e-6)
    windows = frames_of([np.zeros(48_000)], "ge2e")[0]
    np.testing.assert_allclose(windows.times, 0.795 + 0.77 * np.arange(3), atol=1e-6)
    steps = frames_of([np.zeros(9_000)], "ge2e", layers=0)[0]
    np.testing.assert_allclose(steps.times, 0.01 * np.arange(160), atol=1e-6)
    mini = frames_of([np.zeros(9_000)], layers=8)[0]
    np.testing.assert_allclose(mini.times, 0.0275 + 0.04 * np.arange(24), atol=1e-6)


def test_frames_are_shown_in_a_line(clips):
    embedding = PretrainedEmbedding(layers=8, pooling=None, output="frames")
    assert repr(embedding.fit_transform(clips[:1])[0]).endswith(" frames of 256 values>")


def test_a_module_of_ones_own_takes_the_clip_whole():
    with torch_seed(0):
        module = nn.Sequential(nn.Unflatten(1, (1, 400)), nn.Conv1d(1, 3, 100, 100))
    module.input_spec = InputSpec("waveform", sr=8000)
    X = np.random.default_rng(0).uniform(-1, 1, size=(4, 400)).astype(np.float32)
    frames = PretrainedEmbedding(module, layers=1, **OPTIONS).fit_transform(X)
    np.testing.assert_allclose(frames[2].times, 0.0125 * (np.arange(4) + 0.5), atol=1e-6)
    with torch.no_grad():
        expected = module(torch.from_numpy(X))[2].T
    np.testing.assert_allclose(frames[2].values, expected, atol=1e-6)


class Envelope(Backbone):
    """Units of 0.1 s, or of whatever length is asked for."""

    embedding_size = 2

    def __init__(self, span=None, **spec):
        super().__init__()
        self.input_spec = InputSpec("waveform", sr=1000, **spec)
        self.span = span
        self.blocks = nn.ModuleList([nn.Identity()])

    def front_end(self, clips):
        return [clip[: len(clip) // 100 * 100].reshape(-1, 50, 2).mean(1) for clip in clips]

    def unit_span(self, shape):
        return self.span or super().unit_span(shape)


def test_a_network_of_ones_own_says_where_its_units_lie():
    X = [np.zeros(300), np.zeros(500)]
    known = PretrainedEmbedding(Envelope(min_samples=100), **OPTIONS).fit_transform(X)
    np.testing.assert_allclose(known[0].times, [0.05, 0.15, 0.25])
    said = Envelope(UnitSpan(0.2, 0.05, -0.1))
    told = PretrainedEmbedding(said, **OPTIONS).fit_transform(X)
    np.testing.assert_allclose(told[1].times, 0.05 * np.arange(5), atol=1e-6)
    unknown = PretrainedEmbedding(Envelope(), **OPTIONS)
    with pytest.raises(ValueError, match="those of envelope are not known: its units have no"):
        unknown.fit(X)
    rows = unknown.set_params(output="rows").fit_transform(X)
    assert [row.shape for row in rows] == [(3, 2), (5, 2)]


def test_frames_of_layers_stand_side_by_side_those_of_the_coarser_repeated(clips):
    fine, coarse = (frames_of(clips[:1], layers=layer)[0].values for layer in (0, 3))
    both = frames_of(clips[:1], layers=[0, 3])[0]
    assert (len(fine), len(coarse), len(both.times)) == (48, 24, 48)
    raw = np.hstack([fine, np.repeat(coarse, 2, axis=0)]).astype(float)
    np.testing.assert_allclose(both.values, StandardScaler().fit_transform(raw), atol=1e-3)


def test_fused_frames_are_standardised_over_all_frames_and_weighted_alike():
    clips, digits, _ = load_voices(return_X_y=True)
    clips, digits = clips[:200:7], digits[:200:7]
    options = {"weights": "pretrained", "layers": [5, 8]}
    each = [frames_of(clips, layers=k, weights="pretrained") for k in (5, 8)]
    stacked = [np.concatenate([row.values for row in rows]).astype(float) for rows in each]
    layers = [StandardScaler().fit_transform(frames) for frames in stacked]
    mean = frames_of(clips, fusion="mean", **options)
    got = np.concatenate([row.values for row in mean])
    np.testing.assert_allclose(got, np.mean(layers, axis=0), atol=1e-3)
    embedding = PretrainedEmbedding(layers=[5, 8], fusion="weighted", **OPTIONS).fit(clips, digits)
    got = np.concatenate([row.values for row in embedding.transform(clips)])
    np.testing.assert_allclose(got, np.tensordot(embedding.layer_weights_, layers, 1), atol=1e-3)


def test_one_array_of_clips_of_one_length_as_features_give(clips):
    X = np.stack([clip[:9000] for clip in clips])
    embedding = PretrainedEmbedding(layers=8, pooling=None).fit(X)
    rows = embedding.transform(X)
    assert rows.shape == (3, 24, 256)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(embedding.transform(list(X)), rows)
    ragged = PretrainedEmbedding(layers=8, pooling=None).fit_transform(clips)
    assert ragged.dtype == object
    assert [row.shape for row in ragged] == [(24, 256), (5 * 24, 256), (3 * 24, 256)]
    with_times = PretrainedEmbedding(layers=8, **OPTIONS).fit_transform(X)
    assert with_times.shape == (3,)
    assert isinstance(with_times[0], Frames)
    for frames, row in zip(with_times, rows, strict=True):
        np.testing.assert_array_equal(frames.values, row)
    copy = pickle.loads(pickle.dumps(with_times))
    np.testing.assert_array_equal(copy[2].times, with_times[2].times)


def test_frames_have_no_columns(clips):
    embedding = PretrainedEmbedding(pooling=None)
    assert not hasattr(embedding, "set_output")
    assert not hasattr(embedding.fit(clips), "get_feature_names_out")
    assert hasattr(PretrainedEmbedding(), "set_output")


def test_frames_are_kept_on_disk_and_do_not_depend_on_the_other_rows(clips, tmp_path):
    for backbone in ("speech-mini", "cnn6"):
        options = {"layers": [1, 3], "fusion": "concat", "memory": tmp_path}
        first = frames_of(clips, backbone, **options)
        again = frames_of(clips, backbone, **options)
        plain = frames_of(clips, backbone, layers=[1, 3])
        for one, two, three in zip(first, again, plain, strict=True):
            for other in (two, three):
                np.testing.assert_array_equal(one.times, other.times)
                np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.parametrize("n_clips", [1, 2])
def test_an_unreadable_file_is_one_frame_of_nan_or_as_many_as_the_others(clips, tmp_path, n_clips):
    paths = [tmp_path / f"{number}.wav" for number in range(n_clips + 1)]
    for clip, path in zip(clips, paths, strict=False):
        soundfile.write(path, clip, 16000, subtype="FLOAT")
    paths[-1].write_bytes(b"RIFF no more")
    embedding = PretrainedEmbedding(layers=[4, 8], on_error="nan", **OPTIONS)
    with pytest.warns(UserWarning, match=r"1 of [23] audio files"):
        frames = embedding.fit_transform(paths)
    assert frames[-1].values.shape == (24 if n_clips == 1 else 1, 512)
    assert np.isnan(frames[-1].values).all()
    assert np.isnan(frames[-1].times).all()
    assert np.isfinite(frames[0].values).all()


def test_arrays_that_are_no_clips_have_frames_but_no_times():
    X = np.random.default_rng(0).standard_normal((3, 12, 30)).astype(np.float32)
    embedding = PretrainedEmbedding("gru", weights=None, layers=1, pooling=None, random_state=0)
    rows = embedding.fit_transform(X)
    with torch.no_grad():
        expected = embedding.backbone_.run_blocks(torch.from_numpy(X))
    np.testing.assert_allclose(rows, expected, atol=1e-6)
    with pytest.raises(ValueError, match="those of gru are not known: it takes spectrogram, not"):
        embedding.set_params(output="frames").fit(X)


def test_frames_and_pooling_exclude_each_other(clips):
    with pytest.raises(ValueError, match=r"output='frames' gives .* pooling='mean' makes one row"):
        PretrainedEmbedding(output="frames").fit(clips)
