"""GE2E against Resemblyzer itself, whose weights it loads."""

import importlib
import sys
import types
import warnings

import numpy as np
import pytest
import torch

from sktl import PretrainedEmbedding
from sktl._random import torch_seed
from sktl.audio import load_audio
from sktl.backbones import GE2E, make_backbone
from sktl.exceptions import WeightsError


@pytest.fixture(scope="module")
def resemblyzer():
    """The package, with the voice detector that it does not need here left out."""
    pytest.importorskip("librosa")
    if importlib.util.find_spec("resemblyzer") is None:
        pytest.skip("Resemblyzer is not installed: pip install --no-deps Resemblyzer")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(action="ignore"):
        morphology = types.ModuleType("scipy.ndimage.morphology")
        morphology.binary_dilation = None
        patch.setitem(sys.modules, "webrtcvad", types.ModuleType("webrtcvad"))
        patch.setitem(sys.modules, "scipy.ndimage.morphology", morphology)
        yield importlib.import_module("resemblyzer")
        for name in [name for name in sys.modules if name.partition(".")[0] == "resemblyzer"]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def encoder(resemblyzer):
    with torch_seed(0):
        return resemblyzer.VoiceEncoder("cpu", verbose=False)


@pytest.fixture(scope="module")
def body(encoder):
    return make_backbone("ge2e").eval()


@pytest.fixture(scope="module")
def clips(fsdd_dir):
    """Spoken digits one after another: 0.3 to 6 seconds at 16 kHz."""
    files = sorted(fsdd_dir.glob("*_0.wav"))
    digits = [load_audio(path, 16000) for path in files]
    lengths = (1, 2, 3, 5, 8, 12)
    return [np.concatenate(digits[4 * i : 4 * i + n]) for i, n in enumerate(lengths)]


def ours(body, clip):
    with torch.no_grad():
        [units] = body.front_end([torch.from_numpy(clip)])
        mean = body(units, torch.tensor([0, len(units)]))[0]
    return (mean / mean.norm()).numpy()


def level(clip):
    return 20 * np.log10(np.sqrt(np.mean(np.square(clip, dtype=np.float64))))


def test_embeddings_are_resemblyzers(encoder, body, clips):
    for clip in clips:
        loud = clip * np.float32(10 ** (max(0, -29 - level(clip)) / 20))
        expected = encoder.embed_utterance(loud)
        np.testing.assert_allclose(ours(body, loud), expected, atol=1e-5)


@pytest.mark.parametrize("decibels", [-70, -31, -29, -10])
def test_quiet_clips_are_raised_as_resemblyzer_prepares_them(
    resemblyzer, encoder, body, clips, decibels
):
    clip = clips[3] * np.float32(10 ** ((decibels - level(clips[3])) / 20))
    prepared = resemblyzer.normalize_volume(clip, -30, increase_only=True)
    expected = encoder.embed_utterance(prepared)
    np.testing.assert_allclose(ours(body, clip), expected, atol=1e-5)
    np.testing.assert_allclose(ours(body, prepared), expected, atol=1e-5)


def test_windows_embed_as_resemblyzers_partials(resemblyzer, encoder, body, clips):
    clip = resemblyzer.normalize_volume(clips[-1], -30, increase_only=True)
    _, expected, _ = encoder.embed_utterance(clip, return_partials=True)
    assert len(expected) > 3
    with torch.no_grad():
        embedding = body(body.front_end([torch.from_numpy(clip)])[0])
    np.testing.assert_allclose(embedding.numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(embedding.norm(dim=1).numpy(), 1, atol=1e-6)


def test_there_are_as_many_windows_as_resemblyzer_cuts(encoder):
    network = GE2E()
    around = [25600 + 77 * 160 * i + 160 * j + k for i in (0, 1, 4) for j in (0, 36, 37) for k in
              (-1, 0, 1)]  # fmt: skip
    for n_samples in [1, 159, 160, 161, 19199, 19200, 48000, *around]:
        slices, _ = encoder.compute_partial_slices(n_samples, 1.3, 0.75)
        [units] = network.front_end([torch.ones(n_samples)])
        assert units.shape == (len(slices), 160, 40), n_samples


def test_weights_are_read_without_importing_the_package(monkeypatch):
    if importlib.util.find_spec("resemblyzer") is None:
        pytest.skip("Resemblyzer is not installed: pip install --no-deps Resemblyzer")
    for name in [name for name in sys.modules if name.partition(".")[0] == "resemblyzer"]:
        monkeypatch.delitem(sys.modules, name)
    body = make_backbone("ge2e")
    assert body.blocks[2].lstm.weight_ih_l0.std() > 0.1
    assert "resemblyzer" not in sys.modules


def test_without_the_package_the_error_says_what_is_enough(monkeypatch):
    monkeypatch.setattr("sktl.backbones._weights.find_spec", lambda package: None)
    expected = r"Where webrtcvad .*needs a compiler\) does not install, pip install --no-deps resem"
    with pytest.raises(WeightsError, match=expected):
        make_backbone("ge2e")


def test_published_keys_fit_and_those_of_the_loss_are_dropped(tmp_path):
    lstm, linear = torch.nn.LSTM(40, 256, 3, batch_first=True), torch.nn.Linear(256, 256)
    state = {
        "similarity_weight": torch.ones(1),
        "similarity_bias": torch.ones(1),
        **{f"lstm.{key}": value for key, value in lstm.state_dict().items()},
        **{f"linear.{key}": value for key, value in linear.state_dict().items()},
    }
    checkpoint = {"step": 3, "model_state": state, "optimizer_state": {"state": {}}}
    torch.save(checkpoint, tmp_path / "ge2e.pt")
    body = make_backbone("ge2e", weights=tmp_path / "ge2e.pt").eval()
    units = torch.rand(3, 160, 40)
    with torch.no_grad():
        raw = torch.relu(linear(lstm(units)[1][0][-1]))
        expected = raw / raw.norm(dim=1, keepdim=True)
        torch.testing.assert_close(body(units), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n_samples", [1, 400, 40_000])
def test_silence_is_embedded(n_samples):
    body = GE2E().eval()
    [units] = body.front_end([torch.zeros(n_samples)])
    assert torch.equal(units, torch.zeros_like(units))
    assert body(units).isfinite().all()


def test_clips_of_other_lengths_do_not_matter():
    rng = np.random.default_rng(0)
    clips = [0.1 * rng.standard_normal(n).astype(np.float32) for n in (9_000, 40_000, 20_000)]
    embedding = PretrainedEmbedding("ge2e", weights=None, random_state=0).fit(clips)
    together = embedding.transform(clips)
    assert together.shape == (3, 256)
    alone = np.concatenate([embedding.transform([clip]) for clip in clips])
    np.testing.assert_array_equal(together, alone)
