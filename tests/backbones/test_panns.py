"""PANNs against plain functions on a state dict with the published names."""

import librosa
import numpy as np
import pytest
import torch
from torch.nn import functional

from sktl import FineTunedClassifier, PretrainedEmbedding
from sktl.backbones import PANN, make_backbone

KERNELS = {"Cnn6": [5], "Cnn10": [3, 3], "Cnn14": [3, 3]}
CHANNELS = {
    "Cnn6": [64, 128, 256, 512],
    "Cnn10": [64, 128, 256, 512],
    "Cnn14": [64, 128, 256, 512, 1024, 2048],
}


def published_state(size):
    """Random values under the names of the published checkpoint."""
    draw = torch.Generator().manual_seed(0)
    state = {}

    def norm(name, width):
        state[f"{name}.weight"] = 0.5 + torch.rand(width, generator=draw)
        state[f"{name}.bias"] = 0.1 * torch.randn(width, generator=draw)
        state[f"{name}.running_mean"] = 0.1 * torch.randn(width, generator=draw)
        state[f"{name}.running_var"] = 0.5 + torch.rand(width, generator=draw)
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    state["spectrogram_extractor.stft.conv_real.weight"] = torch.zeros(513, 1, 1024)
    state["logmel_extractor.melW"] = torch.zeros(513, 64)
    norm("bn0", 64)
    n_in = 1
    for block, n_out in enumerate(CHANNELS[size], 1):
        for layer, kernel in enumerate(KERNELS[size], 1):
            weight = torch.randn(n_out, n_in, kernel, kernel, generator=draw)
            state[f"conv_block{block}.conv{layer}.weight"] = weight / (kernel * n_in**0.5)
            norm(f"conv_block{block}.bn{layer}", n_out)
            n_in = n_out
    width = n_in
    state["fc1.weight"] = torch.randn(width, width, generator=draw) / width**0.5
    state["fc1.bias"] = 0.1 * torch.randn(width, generator=draw)
    state["fc_audioset.weight"] = torch.zeros(527, width)
    state["fc_audioset.bias"] = torch.zeros(527)
    return state


def published_log_mel(clip):
    power = librosa.feature.melspectrogram(
        **{"y": clip, "sr": 32000, "n_fft": 1024, "hop_length": 320, "pad_mode": "reflect"},
        **{"n_mels": 64, "fmin": 50, "fmax": 14000},
    )
    return librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=None).T


def published_embedding(state, size, log_mel):
    def norm(name, images):
        parts = (state[f"{name}.{part}"] for part in ("running_mean", "running_var"))
        return functional.batch_norm(
            images, *parts, state[f"{name}.weight"], state[f"{name}.bias"], training=False
        )

    images = log_mel[None, None].transpose(1, 3)
    images = norm("bn0", images).transpose(1, 3)
    for block in range(1, len(CHANNELS[size]) + 1):
        for layer, kernel in enumerate(KERNELS[size], 1):
            weight = state[f"conv_block{block}.conv{layer}.weight"]
            images = functional.conv2d(images, weight, padding=kernel // 2)
            images = norm(f"conv_block{block}.bn{layer}", images).relu()
        if block < 6:
            images = functional.avg_pool2d(images, 2)
    frames = images.mean(3)
    pooled = frames.max(2)[0] + frames.mean(2)
    return functional.linear(pooled, state["fc1.weight"], state["fc1.bias"]).relu()


@pytest.fixture(scope="module")
def clip():
    rng = np.random.default_rng(0)
    time = np.arange(40_000) / 32000
    tones = 0.3 * np.sin(2 * np.pi * 440 * time) * (time > 0.3)
    return (tones + 0.01 * rng.standard_normal(len(time))).astype(np.float32)


def test_log_mel_is_librosas(clip):
    [units] = PANN("Cnn6").front_end([torch.from_numpy(clip).double()])
    expected = published_log_mel(clip.astype(np.float64))
    np.testing.assert_allclose(units[0].numpy(), expected, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("size", CHANNELS)
def test_published_files_load_and_give_the_published_embedding(size, clip, tmp_path):
    state = published_state(size)
    sampler = {"indexes": np.arange(5), "pointer": np.float64(3.0), "queue": [1, 2]}
    checkpoint = {"iteration": 600_000, "model": state, "sampler": sampler}
    torch.save(checkpoint, tmp_path / f"{size}.pth")
    body = make_backbone(size.lower(), weights=tmp_path / f"{size}.pth").eval()
    log_mel = torch.from_numpy(published_log_mel(clip))
    expected = published_embedding(state, size, log_mel)
    assert expected.std() > 0
    torch.testing.assert_close(body(log_mel[None]), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("size", "millions"), [("Cnn6", 4.84), ("Cnn10", 5.22), ("Cnn14", 80.75)])
def test_networks_have_as_many_parameters_as_the_paper_says(size, millions):
    with torch.device("meta"):
        body = PANN(size)
    classifier = (body.embedding_size + 1) * 527
    count = sum(parameter.numel() for parameter in body.parameters()) + classifier
    assert round(count / 1e6, 2) == millions


def test_unknown_size_is_refused():
    with pytest.raises(ValueError, match="size='Cnn12' is unknown; give one of Cnn6, Cnn10, Cnn14"):
        PANN("Cnn12")


@pytest.mark.parametrize("n_samples", [1, 500, 9919, 9920, 9921])
def test_short_clips_are_padded_to_what_the_blocks_need(n_samples):
    body = PANN("Cnn6").eval()
    [units] = body.front_end([torch.ones(n_samples)])
    assert units.shape == (1, 32, 64)
    assert body(units).isfinite().all()


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    lengths = (12_000, 20_000, 9_000, 20_000, 31_000)
    return [0.1 * rng.standard_normal(n).astype(np.float32) for n in lengths]


def test_an_embedding_does_not_depend_on_clips_of_other_lengths(clips):
    embedding = PretrainedEmbedding("cnn6", weights=None, random_state=0).fit(clips)
    together = embedding.transform(clips)
    assert together.shape == (5, 512)
    alone = np.concatenate([embedding.transform([clip]) for clip in clips])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(
        embedding.transform(np.stack([clips[1], clips[3]])), alone[[1, 3]]
    )


def test_embeddings_of_unequal_clips_are_kept_on_disk(clips, tmp_path):
    options = {"weights": None, "random_state": 0, "memory": tmp_path}
    first = PretrainedEmbedding("cnn6", **options).fit_transform(clips[:3])
    again = PretrainedEmbedding("cnn6", **options).fit(clips).transform(clips)
    np.testing.assert_array_equal(again[:3], first)


@pytest.mark.parametrize("frozen_layers", [0, 2, "all"])
def test_clips_of_unequal_lengths_train(clips, frozen_layers):
    labels = ["a", "b", "a", "b", "a"]
    classifier = FineTunedClassifier(
        "cnn6", weights=None, frozen_layers=frozen_layers, max_epochs=2, random_state=0
    ).fit(clips, labels)
    probabilities = classifier.predict_proba(clips)
    assert probabilities.shape == (5, 2)
    np.testing.assert_array_equal(classifier.predict_proba(clips[2:3]), probabilities[2:3])
