"""Networks of transformers keep the contract of backbones."""

import copy
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sktl._random import torch_seed
from sktl.backbones import fingerprint, input_kind, make_backbone, save_backbone

NAMES = ["wav2vec2", "hubert-stable", "wavlm", "whisper", "ast", "clap-fused"]
every = pytest.mark.parametrize("saved", NAMES, indirect=True)


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    lengths = (900, 2400, 1700, 2400, 20, 1300)
    return [(0.1 * rng.standard_normal(n)).astype(np.float32) for n in lengths]


@pytest.fixture
def units(clips):
    """Units of one clip, of a body."""
    return lambda body, dtype=torch.float32: body.front_end([torch.from_numpy(clips[1]).to(dtype)])[
        0
    ]


def same(body, other, unit):
    with torch.no_grad():
        return torch.equal(body.eval()(unit), other.eval()(unit))


@every
@torch.no_grad()
def test_blocks_after_the_frozen_ones_give_the_whole(saved, units):
    body = make_backbone(saved.name).eval()
    values = units(body)
    whole = body(values)
    assert whole.shape == (1, body.embedding_size)
    for depth in range(len(body.blocks) + 1):
        lower = body.run_blocks(values, stop=depth)
        assert torch.equal(body(lower, start=depth), whole)


@every
def test_every_parameter_belongs_to_one_block_and_learns(saved, units):
    body = make_backbone(saved.name)
    assert {name.split(".")[0] for name in body.state_dict()} == {"blocks"}
    own = [id(p) for block in body.blocks for p in block.parameters()]
    assert len(set(own)) == len(own) == len(list(body.parameters()))
    body(units(body)).square().sum().backward()
    without = {name for name, p in body.named_parameters() if p.grad is None}
    assert without == set()


@every
def test_both_precisions_agree(saved, units):
    single, double = make_backbone(saved.name), make_backbone(saved.name, dtype=torch.float64)
    with torch.no_grad():
        expected = double.eval()(units(double, torch.float64))
        found = single.eval()(units(single))
    assert (found.dtype, expected.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-4)


@every
def test_brain_floats_are_near(saved, units):
    body = make_backbone(saved.name)
    values = units(body)
    with torch.autocast("cpu", torch.bfloat16):
        body(values).float().square().sum().backward()
        with torch.no_grad():
            found = body.eval()(values)
    with torch.no_grad():
        expected = body(values)
    assert (found - expected).norm() < 0.1 * expected.norm()
    assert all(p.grad.isfinite().all() for p in body.parameters())


@every
def test_state_dicts_copies_and_pickles_hold_the_network(saved, units, tmp_path):
    body = make_backbone(saved.name)
    other = make_backbone(saved.name, weights=None)
    values = units(body)
    assert not same(body, other, values)
    other.load_state_dict(body.state_dict())
    assert same(body, other, values)
    for again in (copy.deepcopy(body), pickle.loads(pickle.dumps(body))):
        assert same(body, again, values)
        assert fingerprint(again) == fingerprint(body)


@every
def test_a_saved_network_is_made_again_without_its_folder(saved, units, tmp_path):
    body = make_backbone(saved.name)
    save_backbone(body, tmp_path / "mine.safetensors")
    assert str(saved.folder) not in body.made_from[0]
    path = tmp_path / "mine.safetensors"
    assert input_kind(path) == "waveform"
    again = make_backbone(path)
    assert (again.fixed_statistics, again.input_spec) == (True, body.input_spec)
    assert same(body, again, units(body))
    assert fingerprint(again) == fingerprint(body)
    fresh = make_backbone(path, weights=None)
    assert not same(body, fresh, units(body))


@every
def test_random_weights_are_drawn_from_the_callers_seed(saved):
    made = []
    for seed in (0, 0, 1):
        with torch_seed(seed):
            made.append(make_backbone(saved.name, weights=None))
    assert not made[0].fixed_statistics
    prints = [fingerprint(body) for body in made]
    assert prints[0] == prints[1] != prints[2]


def test_loading_draws_nothing(saved_networks):
    before = torch.get_rng_state()
    make_backbone(saved_networks["wavlm"].name)
    assert torch.equal(torch.get_rng_state(), before)


@every
def test_files_of_weights_have_our_names_or_those_of_transformers(saved, units, tmp_path):
    body = make_backbone(saved.name)
    save_file(body.state_dict(), tmp_path / "ours.safetensors")
    torch.save(saved.model.state_dict(), tmp_path / "theirs.pt")
    for file in ("ours.safetensors", "theirs.pt", saved.folder / "model.safetensors"):
        again = make_backbone(saved.name, weights=tmp_path / file)
        assert same(body, again, units(body)), file
        assert again.fixed_statistics


@pytest.mark.parametrize(
    ("name", "larger"),
    [
        ("wav2vec2", "Wav2Vec2ForPreTraining"),
        ("wav2vec2", "Wav2Vec2ForSequenceClassification"),
        ("hubert", "HubertForCTC"),
        ("wavlm", "WavLMForXVector"),
        ("whisper", "WhisperForConditionalGeneration"),
        ("whisper", "WhisperForAudioClassification"),
        ("ast", "ASTForAudioClassification"),
        ("clap", "ClapAudioModelWithProjection"),
    ],
)
def test_networks_with_heads_are_read_without_them(
    transformers, saved_networks, units, tmp_path, caplog, name, larger
):
    saved = saved_networks[name]
    whole = getattr(transformers, larger)(saved.model.config)
    whole.save_pretrained(tmp_path)
    saved.extractor.save_pretrained(tmp_path)
    body = make_backbone(f"hf:{tmp_path}")
    assert not caplog.records
    known = whole.state_dict()
    names = ("q_proj.weight", "query.weight")
    table = next(p for key, p in body.state_dict().items() if key.endswith(names))
    assert any(value.shape == table.shape and torch.equal(value, table) for value in known.values())


def test_a_whole_clap_is_read_without_its_text_tower(transformers, saved_networks, tmp_path):
    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 50}
    saved = saved_networks["clap"]
    audio = {k: v for k, v in saved.model.config.to_dict().items() if k != "model_type"}
    config = transformers.ClapConfig(text_config=text, audio_config=audio)
    whole = transformers.ClapModel(config)
    whole.save_pretrained(tmp_path)
    saved.extractor.save_pretrained(tmp_path)
    body = make_backbone(f"hf:{tmp_path}")
    key = "audio_encoder.layers.0.blocks.0.intermediate.dense.weight"
    expected = whole.audio_model.state_dict()[key]
    assert torch.equal(body.blocks[1].layer.intermediate.dense.weight, expected)


def test_normed_weights_under_their_old_names_are_read(saved_networks, units, tmp_path):
    saved = saved_networks["wav2vec2"]
    body = make_backbone(saved.name)
    names = {"original0": "weight_g", "original1": "weight_v"}
    state = {}
    for key, value in saved.model.state_dict().items():
        for new, old in names.items():
            key = key.replace(f"parametrizations.weight.{new}", old)
        state[f"wav2vec2.{key}"] = value
    torch.save(state, tmp_path / "old.bin.pt")
    assert same(body, make_backbone(saved.name, weights=tmp_path / "old.bin.pt"), units(body))
