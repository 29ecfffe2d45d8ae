"""The evaluation kit of the HEAR benchmark finds what it calls."""

import inspect

import numpy as np
import pytest
import torch

from sktl import PretrainedEmbedding
from sktl._random import torch_seed
from sktl.backbones import make_backbone, save_backbone
from sktl.embedding import hear


@pytest.fixture(scope="module")
def model():
    return hear.load_model()


@pytest.fixture(scope="module")
def audio():
    noise = torch.randn(3, 20_000, generator=torch.Generator().manual_seed(0))
    return 0.1 * noise


def test_the_names_are_those_of_the_interface():
    assert list(inspect.signature(hear.load_model).parameters) == ["model_file_path"]
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
