"""The evaluation kit of the HEAR benchmark finds what it calls."""

import copy
import importlib
import inspect
import pickle

import numpy as np
import pytest
import torch

from sktl import PretrainedEmbedding
from sktl._random import torch_seed
from sktl.backbones import make_backbone, save_backbone
from sktl.datasets import load_voices
from sktl.embedding import hear


@pytest.fixture(scope="module")
def model():
    return hear.load_model()


@pytest.fixture(scope="module")
def audio():
    noise = torch.randn(3, 20_000, generator=torch.Generator().manual_seed(0))
    return 0.1 * noise


def test_the_names_are_those_of_the_interface():
    assert list(inspect.signature(hear.load_model).parameters) == ["model_file_path", "options"]
    for function in (hear.get_scene_embeddings, hear.get_timestamp_embeddings):
        assert list(inspect.signature(function).parameters) == ["audio", "model"]


def test_scene_embeddings_are_those_of_the_transformer(model, audio):
    scenes = hear.get_scene_embeddings(audio, model)
    assert scenes.shape == (3, model.scene_embedding_size)
    assert scenes.dtype == torch.float32
    np.testing.assert_array_equal(scenes, PretrainedEmbedding().fit_transform(list(audio.numpy())))


def test_timestamps_are_fifty_milliseconds_apart_and_centred(model, audio):
    embeddings, timestamps = hear.get_timestamp_embeddings(audio, model)
    assert embeddings.shape == (3, 26, model.timestamp_embedding_size)
    np.testing.assert_allclose(timestamps, np.tile(np.arange(0.0, 1251.0, 50.0), (3, 1)))
    centre = 10 * 800
    window = audio[:, centre - 7680 : centre + 7680]
    expected = hear.get_scene_embeddings(window, model)
    torch.testing.assert_close(embeddings[:, 10], expected, rtol=1e-4, atol=1e-5)


def test_a_click_moves_the_embeddings_near_it_alone(model):
    silence = torch.zeros(1, 48_000)
    click = silence.clone()
    click[0, 24_000] = 1.0
    before, times = hear.get_timestamp_embeddings(silence, model)
    after, _ = hear.get_timestamp_embeddings(click, model)
    moved = times[0, (before != after).any(2)[0]]
    assert 1000.0 <= moved.min() <= moved.max() <= 2000.0
    assert 1500.0 in moved


def test_other_backbones_and_saved_ones(tmp_path, audio):
    with torch_seed(0):
        body = make_backbone("yamnet", weights=None)
    save_backbone(body, tmp_path / "mine.safetensors")
    model = hear.load_model(str(tmp_path / "mine.safetensors"))
    assert (model.sample_rate, model.scene_embedding_size) == (16000, 1024)
    assert hear.get_scene_embeddings(audio[:1], model).shape == (1, 1024)
    with pytest.raises(ValueError, match="backbone='mlp'"):
        hear.load_model("mlp")


@pytest.mark.parametrize("audio", [torch.zeros(5), torch.zeros(2, 5, dtype=torch.int16), [[0.0]]])
def test_other_input_is_refused(model, audio):
    with pytest.raises(ValueError, match=r"give a float tensor of shape \(n_clips, n_samples\)"):
        hear.get_scene_embeddings(audio, model)


def as_the_kit_does(audio, path=None, **options):
    """As `Embedding` of heareval/embeddings/task_embeddings.py loads, moves and asks a model."""
    module = importlib.import_module("sktl.embedding.hear")
    model = module.load_model(**options) if path is None else module.load_model(path, **options)
    assert isinstance(model, torch.nn.Module)
    model.to("cpu")
    with torch.no_grad():
        scenes = module.get_scene_embeddings(audio, model).detach().cpu().numpy()
        embeddings, timestamps = module.get_timestamp_embeddings(audio, model)
    assert scenes.shape == (len(audio), model.scene_embedding_size)
    assert embeddings.shape == (*timestamps.shape, model.timestamp_embedding_size)
    assert model.sample_rate == 16000
    return scenes


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, 192),
        ({"layers": 4}, 256),
        ({"layers": 4, "pooling": "mean_std"}, 512),
        ({"layers": [7, 8], "fusion": "mean"}, 256),
        ({"layers": [4, 8], "local": True}, None),
    ],
)
def test_the_kit_takes_the_model_with_its_options(audio, options, size):
    scenes = as_the_kit_does(audio, **options)
    np.testing.assert_array_equal(as_the_kit_does(audio, "speech-mini", **options), scenes)
    if size is not None:
        assert scenes.shape[1] == size


def test_layers_are_standardised_on_voices(audio):
    voices = hear.load_model(layers=[7, 8]).embedding.transform(load_voices().data[::20])
    np.testing.assert_allclose(voices.mean(0), 0.0, atol=1e-4)
    np.testing.assert_allclose(voices.std(0).max(), 1.0, atol=1e-3)


def test_an_embedding_is_copied_and_keeps_what_it_learned(audio):
    clips, labels = list(audio.numpy()), [0, 1, 0]
    embedding = PretrainedEmbedding(layers=[7, 8], fusion="weighted")
    with pytest.raises(
        ValueError, match=r"fusion='weighted' of layers=\[7, 8\] is learned from lab"
    ):
        hear.load_model(embedding)
    embedding.fit(clips, labels)
    model = hear.load_model(embedding)
    np.testing.assert_array_equal(model(audio), embedding.transform(clips))
    assert model.embedding is not embedding
    assert embedding.device == "auto"
    unfitted = hear.load_model(PretrainedEmbedding(layers=4))
    np.testing.assert_array_equal(unfitted(audio), as_the_kit_does(audio, layers=4))
    with pytest.raises(ValueError, match="Options layers beside a PretrainedEmbedding"):
        hear.load_model(embedding, layers=4)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"output": "frames", "pooling": None}, "output='frames' keeps frames.*give output='rows'"),
        ({"pooling": None}, "pooling=None keeps frames.*give pooling='mean'"),
        ({"layers": "all", "fusion": "weighted"}, "fusion='weighted' of layers='all' is learned"),
        ({"pooling": "median"}, "The 'pooling' parameter"),
    ],
)
def test_options_that_make_no_rows_are_refused(options, told):
    with pytest.raises(ValueError, match=told):
        hear.load_model(**options)


def test_it_is_computed_where_the_module_is(model, audio, monkeypatch):
    moved, devices = copy.deepcopy(model), []

    def transform(embedding, clips):
        devices.append(embedding.device)
        return np.zeros((len(clips), 1), np.float32)

    monkeypatch.setattr(PretrainedEmbedding, "transform", transform)
    moved(audio)
    moved.to("meta")(audio)
    assert devices == [model.place.device, torch.device("meta")]


@pytest.mark.gpu
def test_it_moves_to_a_gpu_and_back(audio):
    model = hear.load_model(device="cpu", precision="32")
    here = model(audio)
    there = model.to("cuda")(audio.to("cuda"))
    assert there.is_cuda
    assert next(model.embedding.backbone_.parameters()).is_cuda
    torch.testing.assert_close(there.cpu(), here, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(model.to("cpu")(audio), here)


def test_the_model_is_pickled_and_has_no_mode_of_training(model, audio):
    again = pickle.loads(pickle.dumps(model)).train()
    torch.testing.assert_close(again(audio), model(audio), rtol=0, atol=0)
    assert not again.embedding.backbone_.training
    assert not again.state_dict()
