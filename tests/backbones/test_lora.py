"""Adapters in every network of transformers: what they compute, what learns, and what stays."""

import copy
import pickle
import sys

import numpy as np
import pytest
import torch
from torch import nn

from sktl import FineTunedClassifier
from sktl._random import torch_seed
from sktl.backbones import Ragged, fingerprint, make_backbone, save_backbone
from sktl.backbones._lora import (
    add_lora,
    check_lora,
    freeze_adapted,
    has_transformer_layers,
    merge_lora,
    n_before_adapters,
)
from sktl.classifiers._build import Plan, build_module
from sktl.classifiers._heads import make_head
from sktl.classifiers._module import TransferModule

NAMES = [
    *(f"{kind}{suffix}" for kind in ("wav2vec2", "hubert", "wavlm") for suffix in ("", "-stable")),
    *("whisper", "ast", "clap", "clap-fused"),
]
every = pytest.mark.parametrize("saved", NAMES, indirect=True)
one_of_each = pytest.mark.parametrize(
    "saved", ["wav2vec2", "wavlm", "whisper", "ast", "clap"], indirect=True
)


@pytest.fixture(scope="module", autouse=True)
def peft(transformers):
    return pytest.importorskip("peft", reason="needs the extra [hf]")


@pytest.fixture
def units():
    clip = 0.1 * torch.randn(2400)
    return lambda body: body.front_end([clip.to(next(body.parameters()).dtype)])[0]


def adapted(body):
    """Names and tensors of the adapters."""
    return {name: p for name, p in body.named_parameters() if ".lora_" in name}


def trained(body, rank=2, **options):
    """A network whose adapters say something."""
    add_lora(body, rank, **options)
    for name, parameter in adapted(body).items():
        if ".lora_B." in name:
            nn.init.normal_(parameter, std=0.3)
    return body.eval()


@torch.no_grad()
def embedding(body, values):
    return body.eval()(values)


@every
def test_at_first_the_network_is_what_it_was(saved, units):
    body = make_backbone(saved.name)
    values = units(body)
    expected = embedding(body, values)
    add_lora(body, 4)
    assert torch.equal(embedding(body, values), expected)
    assert body.lora_rank == 4
    assert not hasattr(body.blocks, "peft_config")


@every
def test_every_adapter_learns_and_nothing_else(saved, units):
    body = trained(make_backbone(saved.name)).train()
    body(units(body)).square().sum().backward()
    for name, parameter in body.named_parameters():
        if ".lora_" in name:
            assert parameter.grad.abs().sum() > 0, name
        else:
            assert parameter.grad is None, name
            assert not parameter.requires_grad, name


@every
def test_every_adapter_changes_the_output(saved, units):
    body = make_backbone(saved.name)
    values = units(body)
    expected = embedding(body, values)
    add_lora(body, 2)
    second = [p for name, p in adapted(body).items() if ".lora_B." in name]
    for parameter in second:
        nn.init.normal_(parameter)
        assert not torch.allclose(embedding(body, values), expected, atol=1e-5)
        nn.init.zeros_(parameter)


@every
def test_layers_are_those_of_the_papers(saved):
    body = make_backbone(saved.name)
    add_lora(body, 2)
    found = {name.partition(".lora_")[0].rpartition(".")[2] for name in adapted(body)}
    wavlm = body.blocks[1].__class__.__name__ == "WavLMLayer"
    expected = {"intermediate_dense", "output_dense"} if wavlm else {"q_proj", "v_proj"}
    assert found in (expected, {"query", "value"})
    per_block = [sum(1 for _ in adapted(block)) for block in body.blocks]
    assert per_block == [0] + [4] * (len(body.blocks) - 1)
    assert n_before_adapters(body) == 1


def test_an_adapted_layer_is_the_formula_of_hu_et_al(saved_networks):
    body = trained(make_backbone(saved_networks["wav2vec2"].name), rank=3)
    layer = body.blocks[1].layer.attention.q_proj
    states = torch.randn(2, 5, 24)
    a, b = layer.lora_A["lora"].weight, layer.lora_B["lora"].weight
    assert (a.shape, b.shape) == ((3, 24), (24, 3))
    base = layer.get_base_layer()
    expected = states.detach().numpy() @ (base.weight + b @ a).detach().numpy().T
    expected = expected + base.bias.detach().numpy()
    np.testing.assert_allclose(layer(states).detach().numpy(), expected, atol=1e-5)


@every
def test_merged_weights_compute_the_same(saved, units):
    body = make_backbone(saved.name)
    names, shapes = list(body.state_dict()), fingerprint(body)
    values = units(body)
    expected = embedding(trained(body), values)
    merged = merge_lora(body)
    assert merged is body
    torch.testing.assert_close(embedding(body, values), expected, rtol=1e-6, atol=1e-6)
    assert list(body.state_dict()) == names
    assert all(p.requires_grad for p in body.parameters())
    assert body.lora_rank is None
    assert fingerprint(body) != shapes
    assert merge_lora(body) is body


@one_of_each
def test_in_double_precision_too(saved, units):
    body = make_backbone(saved.name, dtype=torch.float64)
    values = units(body)
    expected = embedding(trained(body), values)
    assert {p.dtype for p in adapted(body).values()} == {torch.float64}
    torch.testing.assert_close(embedding(merge_lora(body), values), expected)


@one_of_each
def test_brain_floats_are_near(saved, units):
    body = trained(make_backbone(saved.name))
    values = units(body)
    expected = embedding(body, values)
    with torch.autocast("cpu", torch.bfloat16):
        body(values).float().square().sum().backward()
    with torch.autocast("cpu", torch.bfloat16):
        found = embedding(body, values)
    assert (found - expected).norm() < 0.1 * expected.norm()
    assert all(p.grad.isfinite().all() for p in adapted(body).values())


@every
def test_copies_pickles_and_state_dicts_hold_the_adapters(saved, units):
    body = trained(make_backbone(saved.name))
    values = units(body)
    expected = embedding(body, values)
    for again in (copy.deepcopy(body), pickle.loads(pickle.dumps(body))):
        assert torch.equal(embedding(again, values), expected)
        assert fingerprint(again) == fingerprint(body)
        assert again.lora_rank == 2
        embedding(merge_lora(again), values)
    other = make_backbone(saved.name, weights=None)
    add_lora(other, 2)
    other.load_state_dict(body.state_dict())
    assert torch.equal(embedding(other, values), expected)


@every
@torch.no_grad()
def test_blocks_after_the_frozen_ones_give_the_whole(saved, units):
    body = trained(make_backbone(saved.name))
    values = units(body)
    whole = body(values)
    for depth in range(len(body.blocks) + 1):
        assert torch.equal(body(body.run_blocks(values, stop=depth), start=depth), whole)


@pytest.mark.parametrize("saved", ["wav2vec2-stable", "hubert", "wavlm"], indirect=True)
@torch.no_grad()
def test_clips_side_by_side_pass_as_each_alone(saved):
    body = trained(make_backbone(saved.name))
    units = body.front_end([0.1 * torch.randn(n) for n in (900, 2400, 1700)])
    together = body.pool(body.run_ragged(Ragged.concat(units)).one_by_one()[0])
    torch.testing.assert_close(together, body(units[0]), rtol=1e-5, atol=1e-5)


def test_adapters_are_drawn_from_the_callers_seed(saved_networks):
    made = []
    for seed in (0, 0, 1):
        body = make_backbone(saved_networks["ast"].name)
        with torch_seed(seed):
            add_lora(body, 2)
        made.append(fingerprint(body))
    assert made[0] == made[1] != made[2]


@one_of_each
def test_frozen_blocks_get_no_adapters_and_keep_their_fingerprint(saved):
    body, plain = make_backbone(saved.name), make_backbone(saved.name)
    add_lora(body, 2, n_frozen=2)
    assert n_before_adapters(body) == 2
    assert not adapted(body.blocks[:2])
    assert adapted(body.blocks[2:])
    assert fingerprint(body.blocks[:2]) == fingerprint(plain.blocks[:2])


@one_of_each
def test_freezing_and_releasing_leaves_the_own_weights_frozen(saved):
    body = make_backbone(saved.name)
    add_lora(body, 2)
    head = make_head("linear", body.embedding_size, 2)
    module = TransferModule(body, head, None, True)
    for n_frozen in (0, 2, len(body.blocks), 1, 0):
        module.freeze(n_frozen)
        for i, block in enumerate(body.blocks):
            for name, parameter in block.named_parameters():
                assert parameter.requires_grad == (".lora_" in name and i >= n_frozen), name


def test_a_network_without_adapters_is_left_as_it_is(saved_networks):
    body = make_backbone(saved_networks["ast"].name)
    freeze_adapted(body)
    assert all(p.requires_grad for p in body.parameters())
    assert n_before_adapters(body) == 0


@one_of_each
def test_a_saved_network_has_the_adapters_in_its_weights(saved, units, tmp_path, monkeypatch):
    body = trained(make_backbone(saved.name))
    before = fingerprint(body)
    values = units(body)
    save_backbone(body, tmp_path / "mine.safetensors")
    assert fingerprint(body) == before
    monkeypatch.setitem(sys.modules, "peft", None)
    again = make_backbone(tmp_path / "mine.safetensors")
    torch.testing.assert_close(
        embedding(again, values), embedding(body, values), rtol=1e-6, atol=1e-6
    )


def test_a_plan_builds_the_network_again(saved_networks, units):
    body = make_backbone(saved_networks["wavlm"].name)
    plan = Plan(body.made_from[0], None, None, True, torch.float32, True, True, (0, 1))
    plan = plan.__class__(**{**vars(plan), "lora": 2, "lora_from": 2})
    module = build_module(plan, body)
    assert (body.lora_rank, n_before_adapters(body)) == (2, 2)
    again = build_module(plan, plan.body())
    again.load_state_dict(module.state_dict())
    values = units(body)
    assert torch.equal(embedding(again.body, values), embedding(body, values))


@pytest.mark.parametrize("name", ["yamnet", "mlp", "speech-mini"])
def test_networks_without_transformer_layers_are_refused(name):
    body = make_backbone(name, weights=None, row_shape=(6,) if name == "mlp" else None)
    assert not has_transformer_layers(body)
    message = f"lora=4 but '{name}' has no transformer layers that adapters could be put into; give"
    with pytest.raises(ValueError, match=message):
        check_lora(body, 4, 0, repr(name))
    with pytest.raises(ValueError, match="lora=4 but this backbone has no transformer layers"):
        add_lora(body, 4)


@pytest.mark.parametrize(
    ("rank", "n_frozen", "message"),
    [
        (2, 4, "lora=2 but the first 4 of the 4 blocks of 'hf:x' are frozen, which leaves no"),
        (25, 0, r"lora=25 but layers of 'hf:x' are 24 wide; give a rank of 1\.\.24, usually 4"),
        (0, 0, r"lora=0 but layers of 'hf:x' are 24 wide; give a rank of 1\.\.24"),
    ],
)
def test_ranks_and_cuts_that_make_no_sense_are_refused(saved_networks, rank, n_frozen, message):
    body = make_backbone(saved_networks["wavlm"].name)
    before = fingerprint(body)
    with pytest.raises(ValueError, match=message):
        check_lora(body, rank, n_frozen, "'hf:x'")
    assert fingerprint(body) == before


def test_without_peft_the_extra_is_named(saved_networks, monkeypatch):
    body = make_backbone(saved_networks["wavlm"].name)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match=r"lora=4 needs 'peft'.*pip install 'sktl\[hf\]'"):
        check_lora(body, 4, 0, "'hf:x'")


def test_a_fitted_classifier_is_a_start_without_adapters(saved_networks, units):
    body = trained(make_backbone(saved_networks["hubert"].name))
    values = units(body)
    fitted = FineTunedClassifier()
    fitted.backbone_ = body
    again = make_backbone(fitted)
    assert (again.lora_rank, body.lora_rank) == (None, 2)
    assert all(p.requires_grad for p in again.parameters())
    torch.testing.assert_close(
        embedding(again, values), embedding(body, values), rtol=1e-6, atol=1e-6
    )
