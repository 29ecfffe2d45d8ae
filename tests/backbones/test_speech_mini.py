"""speech-mini: shapes, front end, shipped weights, and that they help on real speech."""

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sktl.backbones._speech_mini as speech_mini
from sktl.audio import load_audio
from sktl.backbones import make_backbone
from sktl.backbones._speech_mini import SpeechMini

WEIGHTS = speech_mini.__file__.replace("_speech_mini.py", "weights/speech-mini.safetensors")


def random_clip(n_samples, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(n_samples, generator=generator, dtype=dtype)


def new_network(weights=None, dtype=torch.float32):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make_backbone("speech-mini", weights=weights, dtype=dtype).eval()


@pytest.fixture(scope="module")
def pretrained():
    return new_network("pretrained")


@pytest.mark.parametrize(
    ("n_samples", "n_patches"),
    [(1, 1), (399, 1), (8000, 1), (15600, 1), (15601, 2), (15600 + 7680, 2), (80000, 10)],
)
def test_every_sample_lies_in_a_patch(pretrained, n_samples, n_patches):
    [units] = pretrained.front_end([random_clip(n_samples)])
    assert units.shape == (n_patches, 96, 48)
    assert torch.isfinite(units).all()
    assert 15600 + (n_patches - 1) * 7680 >= n_samples


def test_sound_at_the_very_end_changes_the_units(pretrained):
    clip = torch.cat([random_clip(20000), torch.zeros(4000)])
    louder_end = clip.clone()
    louder_end[-400:] = 0.5
    [a], [b] = pretrained.front_end([clip]), pretrained.front_end([louder_end])
    assert not torch.allclose(a[-1], b[-1], atol=0.1)


def test_blocks_run_to_the_embedding(pretrained):
    units = torch.cat(pretrained.front_end([random_clip(8000), random_clip(30000)]))
    values = units
    for block in pretrained.blocks:
        values = block(values)
    assert len(pretrained.blocks) == 10
    assert values.shape == (len(units), pretrained.embedding_size) == (4, 192)
    expected = values / values.square().mean(1, keepdim=True).sqrt()
    torch.testing.assert_close(pretrained(units), expected)


def test_embedding_of_a_clip_is_the_mean_over_its_patches(pretrained):
    rows = pretrained.front_end([random_clip(8000), random_clip(30000, seed=1)])
    offsets = torch.tensor([0, 1, 4])
    found = pretrained(torch.cat(rows), offsets)
    torch.testing.assert_close(found[1], pretrained(rows[1]).mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gain", [0.01, 0.1, 10.0])
def test_gain_does_not_change_the_units(pretrained, gain):
    clip = random_clip(12000)
    [loud], [quiet] = pretrained.front_end([clip]), pretrained.front_end([gain * clip])
    torch.testing.assert_close(loud, quiet, rtol=0, atol=0.01)


def test_silence_is_quieter_than_sound(pretrained):
    silence, sound = pretrained.front_end([torch.zeros(8000), random_clip(15600)])
    assert torch.isfinite(silence).all()
    assert silence.max() < sound.mean()
    assert torch.isfinite(pretrained(silence)).all()


def test_appended_silence_within_the_patch_changes_nothing(pretrained):
    clip = random_clip(9000)
    padded = torch.cat([clip, torch.zeros(3000)])
    [a], [b] = pretrained.front_end([clip]), pretrained.front_end([padded])
    assert torch.equal(a, b)


def test_units_do_not_depend_on_neighbours(pretrained):
    clips = [random_clip(n, seed=n) for n in (500, 9000, 40000)]
    together = pretrained.front_end(clips)
    for clip, units in zip(clips, together, strict=True):
        assert torch.equal(pretrained.front_end([clip])[0], units)
        assert torch.equal(pretrained.front_end([clip])[0], units)


def test_front_end_of_a_tone_peaks_in_its_band(pretrained):
    time = torch.arange(16000) / 16000
    [units] = pretrained.front_end([torch.sin(2 * torch.pi * 1000 * time)])
    edges = np.linspace(*(1127 * np.log1p(np.array([60.0, 7600.0]) / 700)), 50)
    centre = 700 * np.expm1(edges[1:-1] / 1127)
    assert units[0, :95].mean(0).argmax() == np.abs(centre - 1000).argmin()


def test_float64_agrees_with_float32(pretrained):
    double = new_network("pretrained", torch.float64)
    clip = random_clip(20000, dtype=torch.float64)
    [wide], [narrow] = double.front_end([clip]), pretrained.front_end([clip.float()])
    assert wide.dtype == torch.float64
    torch.testing.assert_close(narrow.double(), wide, rtol=0, atol=1e-4)
    embedding = double(wide)
    assert embedding.dtype == torch.float64
    torch.testing.assert_close(pretrained(narrow).double(), embedding, rtol=1e-3, atol=1e-3)


def test_size_limits():
    network = SpeechMini()
    assert sum(p.numel() for p in network.parameters()) <= 600_000
    with open(WEIGHTS, "rb") as file:
        assert file.seek(0, 2) <= 2_500_000


def test_shipped_weights_fit_exactly_and_say_where_they_come_from(pretrained):
    state = load_file(WEIGHTS)
    assert SpeechMini().load_state_dict(state)
    for name, value in pretrained.state_dict().items():
        assert torch.equal(value, state[name].to(value.dtype))
        assert torch.isfinite(value).all()
    with safe_open(WEIGHTS, "pt") as file:
        assert "espeak-ng" in file.metadata()["data"]


def test_state_dict_round_trip(pretrained, tmp_path):
    save_file(pretrained.state_dict(), tmp_path / "copy.safetensors")
    copy = new_network(tmp_path / "copy.safetensors")
    [units] = pretrained.front_end([random_clip(9000)])
    assert torch.equal(copy(units), pretrained(units))


def test_shipped_weights_beat_random_ones_on_real_speech(pretrained, fsdd_dir):
    names = ["george", "jackson", "theo", "lucas"]
    paths = [
        fsdd_dir / f"{digit}_{name}_{take}.wav"
        for name in names
        for digit in range(10)
        for take in range(5)
    ]
    digit = np.array([int(path.name[0]) for path in paths])
    train = np.array([path.stem.split("_")[1] == "george" for path in paths])
    clips = [torch.from_numpy(load_audio(path, 16000)) for path in paths]
    units = pretrained.front_end(clips)

    def score(network):
        with torch.no_grad():
            rows = np.array([network(unit).mean(0).numpy() for unit in units])
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
        return model.fit(rows[train], digit[train]).score(rows[~train], digit[~train])

    assert score(pretrained) > score(new_network(None)) + 0.25
