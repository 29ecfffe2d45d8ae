"""Handles of modules: free to clone, small to pickle."""

import copy
import pickle
from functools import partial

import pytest
import torch
from safetensors.torch import save_file
from sklearn.base import BaseEstimator, clone
from torch import nn
from torch.nn.utils import weight_norm

from sktl.backbones import ModuleHandle, fingerprint, make_backbone
from sktl.exceptions import WeightsError


def large():
    return nn.Linear(1000, 1000)


def normed():
    with pytest.warns(FutureWarning, match="weight_norm"):
        return nn.Sequential(weight_norm(nn.Linear(6, 4)), nn.ReLU())


def ones():
    return {"weight": torch.ones(2, 3), "bias": torch.ones(2)}


def three_to_two():
    return nn.Linear(3, 2)


class Holder(BaseEstimator):
    def __init__(self, backbone=None):
        self.backbone = backbone


def test_cloning_an_estimator_shares_the_handle():
    handle = ModuleHandle(large)
    assert clone(Holder(handle)).backbone is handle
    assert copy.deepcopy(handle) is handle
    assert copy.copy(handle) is handle


def test_nothing_is_made_before_load():
    def never():
        raise AssertionError

    handle = ModuleHandle(never)
    with pytest.raises(AssertionError):
        handle.load()


def test_a_pickle_holds_no_tensors(tmp_path):
    save_file(large().state_dict(), tmp_path / "w.safetensors")
    handle = ModuleHandle(large, tmp_path / "w.safetensors")
    handle.fingerprint()
    data = pickle.dumps(handle)
    assert len(data) < 500
    twin = pickle.loads(data)
    assert twin == handle
    assert hash(twin) == hash(handle)
    assert twin.fingerprint() == handle.fingerprint() == fingerprint(handle.load())


def test_every_load_is_a_module_of_its_own(tmp_path):
    save_file(ones(), tmp_path / "w.safetensors")
    handle = ModuleHandle(three_to_two, tmp_path / "w.safetensors")
    first, second = handle.load(), handle.load()
    nn.init.zeros_(first.weight)
    assert torch.equal(second.weight, torch.ones(2, 3))
    assert torch.equal(handle.load().weight, torch.ones(2, 3))


def test_a_rewritten_file_is_read_again(tmp_path):
    path = tmp_path / "w.pth"
    handle = ModuleHandle(three_to_two, path)
    torch.save(ones(), path)
    assert handle.load().weight.sum() == 6
    torch.save({name: 2 * value for name, value in ones().items()}, path)
    assert handle.load().weight.sum() == 12


def test_weights_from_a_function():
    assert torch.equal(ModuleHandle(three_to_two, ones).load().bias, torch.ones(2))


def test_weights_of_another_network_are_named(tmp_path):
    save_file({"other": torch.ones(1)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"2 missing: weight, bias; 1 unexpected: other"):
        ModuleHandle(three_to_two, tmp_path / "w.safetensors").load()


def test_equal_when_factory_and_weights_are():
    assert ModuleHandle(large) == ModuleHandle(large)
    assert ModuleHandle(large) != ModuleHandle(normed)
    assert ModuleHandle(three_to_two, ones) != ModuleHandle(three_to_two)
    assert ModuleHandle(partial(nn.Linear, 3, 2)) == ModuleHandle(partial(nn.Linear, 3, 2))
    assert ModuleHandle(partial(nn.Linear, 3, 2)) != ModuleHandle(partial(nn.Linear, 3, 4))
    assert len({ModuleHandle(large), ModuleHandle(large)}) == 1


def test_it_cannot_be_changed():
    handle = ModuleHandle(large)
    with pytest.raises(AttributeError, match="cannot be changed"):
        handle.factory = normed
    with pytest.raises(AttributeError, match="cannot be changed"):
        del handle.weights


def test_modules_that_cannot_be_copied_work():
    body = make_backbone(ModuleHandle(normed), row_shape=(6,))
    assert body.embedding_size == 4
    assert len(body.blocks) == 2


def test_fingerprint_draws_nothing_from_the_global_generator():
    before = torch.get_rng_state()
    ModuleHandle(large).fingerprint()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("factory", [nn.Linear(3, 2), 3, None, "yamnet"])
def test_a_factory_that_is_none(factory):
    with pytest.raises(ValueError, match="give a function without arguments that makes the module"):
        ModuleHandle(factory)


def test_a_factory_that_returns_something_else():
    with pytest.raises(ValueError, match=r"returned dict; it must return an nn\.Module"):
        ModuleHandle(dict).load()


@pytest.mark.parametrize("weights", [3, "weights.h5", "pretrained"])
def test_weights_that_make_no_sense(weights):
    with pytest.raises(ValueError, match="weights="):
        ModuleHandle(large, weights)


def test_repr_names_factory_and_weights():
    assert repr(ModuleHandle(large)) == "ModuleHandle(large, weights=None)"
    assert repr(ModuleHandle(three_to_two, ones)) == "ModuleHandle(three_to_two, weights=ones)"
