"""Rows of any block: statistics over the frames of all patches, by the formula."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn

from sktl import PretrainedEmbedding
from sktl._random import torch_seed
from sktl.backbones import InputSpec, available_backbones, make_backbone
from sktl.embedding._layers import prefix_of

SHAPES = {"cnn": (40, 30), "crnn": (40, 30), "gru": (40, 30), "mlp": (20,)}
SMALL = [name for name in available_backbones() if not name.startswith(("vggish", "cnn1"))]
SMALL.remove("crepe")


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    return [0.1 * rng.standard_normal(n).astype(np.float32) for n in (9_000, 40_000, 24_000)]


@torch.no_grad()
def frames_by_hand(body, clip, layer):
    """(n_frames, channels, frequencies) of a block of a network on log-mel patches."""
    [units] = body.front_end([torch.from_numpy(clip)])
    images = body.run_blocks(units, stop=layer + 1)
    images = images if images.ndim == 4 else images.unsqueeze(3)
    return images.permute(0, 2, 1, 3).flatten(0, 1).double().numpy()


def statistics_by_hand(frames, pooling):
    found = {"mean": frames.mean(0), "max": frames.max(0), "std": frames.std(0)}
    names = {"mean_max": ("mean", "max"), "mean_std": ("mean", "std")}.get(pooling, (pooling,))
    return np.concatenate([found[name] for name in names])


@pytest.mark.parametrize("pooling", ["mean", "max", "mean_max", "mean_std"])
@pytest.mark.parametrize("layer", [0, 2, 5])
@pytest.mark.parametrize("local", [False, True])
def test_rows_are_statistics_of_the_frames_of_a_block(clips, layer, pooling, local):
    embedding = PretrainedEmbedding(layers=layer, pooling=pooling, local=local).fit(clips)
    rows = embedding.transform(clips)
    for row, clip in zip(rows, clips, strict=True):
        frames = frames_by_hand(embedding.backbone_, clip, layer)
        frames = frames.reshape(len(frames), -1) if local else frames.mean(2)
        np.testing.assert_allclose(row, statistics_by_hand(frames, pooling), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["max", "mean_max", "mean_std"])
def test_the_embedding_itself_is_pooled_over_patches(clips, pooling):
    embedding = PretrainedEmbedding(pooling=pooling).fit(clips)
    body = embedding.backbone_
    for row, clip in zip(embedding.transform(clips), clips, strict=True):
        with torch.no_grad():
            patches = body(body.front_end([torch.from_numpy(clip)])[0]).double().numpy()
        np.testing.assert_allclose(row, statistics_by_hand(patches, pooling), atol=1e-5)


def test_several_blocks_stand_side_by_side_each_column_standardised(clips):
    both = PretrainedEmbedding(layers=[7, 1], pooling="mean_max").fit_transform(clips)
    each = [
        PretrainedEmbedding(layers=layer, pooling="mean_max").fit_transform(clips)
        for layer in (7, 1)
    ]
    expected = StandardScaler().fit_transform(np.hstack(each).astype(float))
    np.testing.assert_allclose(both, expected, atol=1e-6)
    array = PretrainedEmbedding(layers=np.array([7, 1]), pooling="mean_max").fit_transform(clips)
    np.testing.assert_array_equal(both, array)


def test_one_block_is_taken_as_it_is(clips):
    last = PretrainedEmbedding(layers=-1).fit(clips[:1]).transform(clips)
    for layers in (9, [9], np.array([9])):
        embedding = PretrainedEmbedding(layers=layers, fusion="weighted")
        np.testing.assert_array_equal(embedding.fit_transform(clips), last)
        assert not hasattr(embedding, "layer_weights_")


@pytest.mark.parametrize("name", SMALL)
def test_all_blocks_of_every_network_have_named_columns(clips, name):
    X = clips[:2]
    if name in SHAPES:
        X = np.random.default_rng(0).standard_normal((3, *SHAPES[name])).astype(np.float32)
    embedding = PretrainedEmbedding(name, weights=None, layers="all", random_state=0).fit(X)
    rows, names = embedding.transform(X), embedding.get_feature_names_out()
    assert rows.shape == (len(X), len(names))
    assert len(set(names)) == len(names)
    assert np.isfinite(rows).all()
    n_blocks = len(embedding.backbone_.blocks)
    assert names[0] == f"{name}_b00_0000"
    assert names[-1].startswith(f"{name}_b{n_blocks - 1:02d}_")


def test_names_of_statistics_and_data_frames(clips):
    embedding = PretrainedEmbedding(layers=[3, 4], pooling="mean_std").set_output(
        transform="pandas"
    )
    frame = embedding.fit_transform(clips)
    assert list(frame.columns[[0, 256, 512, 1023]]) == [
        *("speech-mini_b03_mean_0000", "speech-mini_b03_std_0000"),
        *("speech-mini_b04_mean_0000", "speech-mini_b04_std_0255"),
    ]


def test_a_range_of_layers_is_a_list_of_them(clips):
    some, listed = (
        PretrainedEmbedding(layers=layers, pooling="mean").fit_transform(clips)
        for layers in (range(2, 4), [2, 3])
    )
    np.testing.assert_array_equal(some, listed)


def test_a_row_does_not_depend_on_the_others_and_is_kept_on_disk(clips, tmp_path):
    options = {"layers": [2, 8], "pooling": "mean_std", "local": True}
    rows = PretrainedEmbedding(**options).fit_transform(clips)
    kept = PretrainedEmbedding(**options, memory=tmp_path).fit(clips)
    PretrainedEmbedding(**options, memory=tmp_path).fit(clips[1:])
    np.testing.assert_array_equal(kept.transform(clips[1:2]), rows[1:2])
    np.testing.assert_array_equal(kept.transform(clips), rows)
    other = PretrainedEmbedding(**{**options, "pooling": "mean"}, memory=tmp_path)
    np.testing.assert_array_equal(
        other.fit_transform(clips),
        PretrainedEmbedding(**{**options, "pooling": "mean"}).fit_transform(clips),
    )


def test_clips_of_any_length_of_a_network_that_takes_them_whole(clips):
    options = {"weights": None, "layers": [1, 3], "pooling": "mean_max", "random_state": 0}
    embedding = PretrainedEmbedding("cnn6", **options).fit(clips)
    rows = embedding.transform(clips)
    assert rows.shape == (3, 2 * (128 + 512))
    np.testing.assert_array_equal(embedding.transform(clips[::-1]), rows[::-1])


def test_rows_of_unreadable_files_are_nan(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF no more")
    embedding = PretrainedEmbedding(layers=1, pooling="mean_max", on_error="nan")
    with pytest.warns(UserWarning, match="1 of 1 audio files"):
        assert np.isnan(embedding.fit_transform([tmp_path / "a.wav"])).all()


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (10, r"layers=10, but speech-mini has 10 blocks; give -10 to 9"),
        ([0, -11], r"speech-mini has 10 blocks"),
        ([], r"layers=\[\] is not understood"),
        ("first", r"layers='first' is not understood; give 'last', 'all'"),
        ([1.5], "is not understood"),
        (True, "layers=True is not understood"),
        ([1, -9], "names a block of speech-mini twice"),
    ],
)
def test_layers_that_are_not_there(clips, layers, message):
    with pytest.raises(ValueError, match=message):
        PretrainedEmbedding(layers=layers).fit(clips)


def test_layers_of_a_module_that_takes_clips_of_one_length():
    with torch_seed(0):
        module = nn.Sequential(nn.Unflatten(1, (1, 400)), nn.Conv1d(1, 3, 200), nn.ReLU())
    module.input_spec = InputSpec("waveform", sr=8000)
    clips = np.random.default_rng(0).uniform(-1, 1, size=(4, 400)).astype(np.float32)
    rows = PretrainedEmbedding(module, layers=2, pooling="max").fit_transform(clips)
    with torch.no_grad():
        expected = module(torch.from_numpy(clips)).amax(2)
    np.testing.assert_allclose(rows, expected, atol=1e-6)


def test_a_module_that_was_not_cut_has_no_layers():
    class Sum(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with torch_seed(0):
        module = Sum()
    with pytest.raises(ValueError, match="layers=0, but the layers of sum are not known: "):
        PretrainedEmbedding(module, layers=0).fit(np.ones((2, 3)))


def test_frames_of_activations_of_any_shape():
    with torch_seed(0):
        body = make_backbone("mlp", row_shape=(3,))
    values = torch.arange(24.0)
    assert body.frames(values.reshape(2, 12)).shape == (2, 1, 12)
    assert torch.equal(body.frames(values.reshape(2, 3, 4))[1, 2], values.reshape(2, 3, 4)[1, :, 2])
    images = values.reshape(1, 2, 3, 4)
    assert torch.equal(body.frames(images)[0, 1], images[0, :, 1].mean(1))
    assert torch.equal(body.frames(images, local=True)[0, 1], images[0, :, 1].flatten())


@pytest.mark.parametrize(
    ("backbone", "prefix"),
    [
        ("yamnet", "yamnet"),
        ("hf:facebook/wav2vec2-base", "wav2vec2-base"),
        ("hf:/data/networks/mine", "mine"),
        ("torchvision:vgg16?cmap=viridis", "vgg16"),
        ("hear:package.module", "package.module"),
        (torch.nn.ReLU(), "relu"),
    ],
)
def test_columns_begin_with_the_name_of_the_network_alone(backbone, prefix):
    assert prefix_of(backbone) == prefix
