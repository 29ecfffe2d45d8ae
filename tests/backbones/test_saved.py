"""Networks written to a file and made again from it."""

import json
import os

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from sktl.backbones import (
    available_backbones,
    fingerprint,
    input_kind,
    make_backbone,
    save_backbone,
)
from sktl.exceptions import WeightsError

SHAPES = {"cnn": (40, 30), "crnn": (40, 30), "gru": (40, 30), "mlp": (20,)}
SMALL = [name for name in available_backbones() if not name.startswith(("vggish", "cnn1"))]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "body.safetensors"


@pytest.mark.parametrize("name", SMALL)
def test_a_network_is_made_again_with_its_weights(name, path):
    body = make_backbone(name, weights=None, row_shape=SHAPES.get(name))
    body.fixed_statistics = True
    save_backbone(body, path)
    assert input_kind(path) == input_kind(str(path)) == body.input_spec.kind
    for given in (path, str(path)):
        again = make_backbone(given, row_shape=SHAPES.get(name))
        assert fingerprint(again) == fingerprint(body)
        assert again.fixed_statistics
        assert all(parameter.requires_grad for parameter in again.blocks.parameters())
    drawn = make_backbone(path, weights=None)
    assert fingerprint(drawn) != fingerprint(body)
    assert not drawn.fixed_statistics


def test_precision_is_kept_in_the_file_and_chosen_when_it_is_read(path):
    body = make_backbone("mlp", row_shape=(3,), dtype=torch.float64)
    save_backbone(body, path)
    double = make_backbone(path, dtype=torch.float64)
    assert torch.equal(double.blocks[0][1].weight, body.blocks[0][1].weight)
    assert make_backbone(path).blocks[0][1].weight.dtype == torch.float32


def test_the_description_is_json_in_the_header(path):
    save_backbone(make_backbone("mlp", row_shape=(4, 5)), path)
    with safe_open(path, "pt") as file:
        found = json.loads(file.metadata()["sktl.backbone"])
    assert found == {"name": "mlp", "row_shape": [4, 5], "fixed_statistics": False}


def test_a_copy_can_be_saved_too(path):
    body = make_backbone(make_backbone("mlp", row_shape=(3,)))
    save_backbone(body, path)
    assert fingerprint(make_backbone(path)) == fingerprint(body)


def test_rows_of_another_shape_are_refused(path):
    save_backbone(make_backbone("mlp", row_shape=(20,)), path)
    with pytest.raises(ValueError, match=r"built to rows of shape \(20,\), but X has rows of"):
        make_backbone(path, row_shape=(21,))


def test_a_module_of_the_users_own_cannot_be_described(path):
    body = make_backbone(nn.Linear(3, 2), row_shape=(3,))
    with pytest.raises(ValueError, match=r"module of your own.*ModuleHandle\(factory, file\)"):
        save_backbone(body, path)
    assert not path.exists()


@pytest.mark.parametrize("body", [nn.Linear(3, 2), "mlp", None], ids=str)
def test_what_is_no_backbone_is_refused(body, path):
    with pytest.raises(ValueError, match=r"give a backbone, such as estimator\.backbone_"):
        save_backbone(body, path)


def test_files_are_not_replaced_and_nothing_is_left_behind(path, tmp_path, monkeypatch):
    body = make_backbone("mlp", row_shape=(3,))
    path.write_bytes(b"mine")
    with pytest.raises(ValueError, match="exists; give another path"):
        save_backbone(body, path)
    assert path.read_bytes() == b"mine"
    with pytest.raises(ValueError, match=r"has to end in '\.safetensors'"):
        save_backbone(body, tmp_path / "body.pth")
    with pytest.raises(ValueError, match="is no folder; make it first"):
        save_backbone(body, tmp_path / "nowhere" / "body.safetensors")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_backbone(body, tmp_path / "other.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["body.safetensors"]


def test_files_that_are_no_saved_network(path, tmp_path):
    with pytest.raises(WeightsError, match=r"No file at .*body\.safetensors"):
        make_backbone(path)
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match="does not say of which network"):
        make_backbone(path)
    for description in ("[1]", "{", '{"name": "mlp"}'):
        save_file({"weight": torch.zeros(2)}, path, {"sktl.backbone": description})
        with pytest.raises(WeightsError, match="cannot be read as a network"):
            input_kind(path)
    path.write_bytes(b"\x80\x04}.")
    with pytest.raises(WeightsError, match="cannot be read as a network"):
        make_backbone(path)


def test_a_network_that_is_not_known_here(path):
    description = {"name": "later", "row_shape": None, "fixed_statistics": False}
    save_file({"weight": torch.zeros(2)}, path, {"sktl.backbone": json.dumps(description)})
    with pytest.raises(ValueError, match="backbone='later' is unknown"):
        make_backbone(path)
