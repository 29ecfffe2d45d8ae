"""Networks take the names of published checkpoints, and their messages speak of them."""

import copy
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sktl._random import torch_seed
from sktl.backbones import make_backbone
from sktl.exceptions import WeightsError

VGGISH = {0: "0.0", 3: "1.0", 6: "2.0", 8: "2.2", 11: "3.0", 13: "3.2"}


def published(name, body):
    """Our tensors under the names that their authors gave them."""
    state = body.state_dict()
    if name == "yamnet":
        return body.export_state_dict(state)
    renamed = {}
    for key, value in state.items():
        if name == "vggish":
            for layer, place in VGGISH.items():
                key = key.replace(f"blocks.{place}.", f"features.{layer}.")
            for place in range(3):
                key = key.replace(f"blocks.{4 + place}.0.", f"embeddings.{2 * place}.")
        else:
            _, block, rest = key.split(".", 2)
            key = rest if rest.startswith(("bn0", "fc1")) else f"conv_block{int(block) + 1}.{rest}"
        renamed[key] = value
    return renamed


@pytest.fixture(scope="module", params=["yamnet", "vggish", "cnn6"])
def network(request):
    with torch_seed(0):
        body = make_backbone(request.param, weights=None)
    return request.param, body, published(request.param, body)


def other(name):
    with torch_seed(1):
        return make_backbone(name, weights=None)


def assert_same(body, expected):
    for key, value in expected.state_dict().items():
        assert torch.equal(body.state_dict()[key], value), key


def test_published_names_and_ours_are_loaded(network):
    name, body, state = network
    assert not any(key.startswith("blocks.") for key in state)
    for given in (state, body.state_dict(), dict(body.state_dict())):
        again = other(name)
        assert str(again.load_state_dict(given)) == "<All keys matched successfully>"
        assert_same(again, body)


def test_copies_and_pickles_load_them_as_well(network):
    name, body, state = network
    for again in (copy.deepcopy(other(name)), pickle.loads(pickle.dumps(other(name)))):
        again.load_state_dict(state)
        assert_same(again, body)


def test_strict_is_kept_to(network):
    name, _, state = network
    lacking = dict(list(state.items())[1:]) | {"more": torch.zeros(1)}
    with pytest.raises(RuntimeError, match=r"Missing key.*\n.*Unexpected key.* \"more\""):
        other(name).load_state_dict(lacking)
    assert other(name).load_state_dict(lacking, strict=False).unexpected_keys == ["more"]


def test_a_network_within_another_is_loaded_by_our_names(network):
    name, body, _ = network
    outer, again = nn.ModuleDict({"body": body}), nn.ModuleDict({"body": other(name)})
    again.load_state_dict(outer.state_dict())
    assert_same(again, outer)


def test_messages_name_the_keys_of_the_file(tmp_path):
    body = other("yamnet")
    state = published("yamnet", body)
    first, second, third = [key for key in state if key.startswith("layer") and "conv" in key][:3]
    del state[first]
    state[second] = state[second][:1].clone()
    state[third] = state[third].to(torch.int8)
    save_file(state | {"layer99.x": torch.zeros(1)}, tmp_path / "file.safetensors")
    with pytest.raises(WeightsError) as caught:
        make_backbone("yamnet", weights=tmp_path / "file.safetensors")
    message = str(caught.value)
    assert f"1 missing: {first};" in message
    assert "1 unexpected: layer99.x;" in message
    assert f"of another shape: {second} is" in message
    assert f"of another type: {third} is" in message
    assert "blocks." not in message
    mine = {key: value for key, value in body.state_dict().items() if "0" not in key.split(".")[1]}
    save_file(mine, tmp_path / "mine.safetensors")
    with pytest.raises(WeightsError, match=r"missing: blocks\.0\."):
        make_backbone("yamnet", weights=tmp_path / "mine.safetensors")
