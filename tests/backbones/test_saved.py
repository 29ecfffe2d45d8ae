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
from sktl.backbones._saved import read_input_statistics, write_backbone
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


def test_a_file_is_replaced_at_once_or_not_at_all(path, tmp_path, monkeypatch):
    body = make_backbone("mlp", row_shape=(3,))
    path.write_bytes(b"old")
    save_backbone(body, path)
    assert fingerprint(make_backbone(path)) == fingerprint(body)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_backbone(make_backbone("mlp", row_shape=(4,)), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_where_no_file_can_be_none_is_left_behind(tmp_path):
    body = make_backbone("mlp", row_shape=(3,))
    with pytest.raises(ValueError, match=r"has to end in '\.safetensors'"):
        save_backbone(body, tmp_path / "body.pth")
    with pytest.raises(ValueError, match="is no folder; make it first"):
        save_backbone(body, tmp_path / "nowhere" / "body.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(ValueError, match="is a folder; give the path of a file"):
        save_backbone(body, tmp_path / "folder.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["folder.safetensors"]


def test_files_that_are_no_saved_network(path, tmp_path):
    with pytest.raises(WeightsError, match=r"No file at .*body\.safetensors"):
        make_backbone(path)
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match="does not say of which network"):
        make_backbone(path)
    for description in ("[1]", "{", '{"name": "mlp"}', "[" * 100_000):
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


def described(path, name="mlp", row_shape=None, fixed_statistics=False):
    """A file that says this of its network, and holds two zeros."""
    description = dict(name=name, row_shape=row_shape, fixed_statistics=fixed_statistics)
    save_file({"weight": torch.zeros(2)}, path, {"sktl.backbone": json.dumps(description)})
    return path


@pytest.mark.parametrize(
    "said",
    [
        *({"name": name} for name in (3, [], None)),
        *({"row_shape": shape} for shape in ("abc", 5, [1.5], [-1], [0], [True], [[1]], {"a": 1})),
        {"row_shape": [10**30]},
        {"row_shape": [10**6] * 3},
        {"fixed_statistics": "no"},
        {"name": "cnn", "row_shape": [3]},
    ],
    ids=str,
)
@pytest.mark.parametrize("weights", ["pretrained", None])
def test_descriptions_without_sense_are_refused(path, said, weights):
    with pytest.raises(WeightsError, match="cannot be read as a network"):
        make_backbone(described(path, **said), weights=weights)


@pytest.mark.parametrize("weights", ["pretrained", None])
def test_a_network_larger_than_its_file_is_not_even_made(path, weights):
    described(path, row_shape=[10**9])
    with pytest.raises(
        WeightsError, match=r"another network than 'mlp'.*\(4 missing or of another"
    ):
        make_backbone(path, weights=weights)


@pytest.mark.parametrize("prefix", ["hear:", "hf:", "hf:./", "file:", "torch:"])
def test_a_file_cannot_name_code_or_other_files(path, tmp_path, monkeypatch, prefix):
    module = tmp_path / "sktl_evil_module.py"
    module.write_text(f"import os\nos.mkdir({str(tmp_path / 'exploded')!r})\n")
    monkeypatch.syspath_prepend(tmp_path)
    for use in (make_backbone, input_kind):
        with pytest.raises(WeightsError, match="may not lead to code or to other files"):
            use(described(path, name=f"{prefix}sktl_evil_module"))
    assert not (tmp_path / "exploded").exists()


def test_a_file_that_names_itself_is_refused(path):
    for use in (make_backbone, input_kind):
        with pytest.raises(WeightsError, match="may not lead to code or to other files"):
            use(described(path, name=str(path)))


@pytest.mark.parametrize("left", [["mean"], ["mean", "scale", "more"], ["scale"]])
def test_odd_statistics_of_rows_are_refused(path, left):
    written = {"mean": torch.zeros(3), "scale": torch.ones(3), "more": torch.ones(3)}
    write_backbone(make_backbone("mlp", row_shape=(3,)), path, {k: written[k] for k in left})
    with pytest.raises(
        WeightsError, match="holds statistics of rows as save_backbone never writes"
    ):
        read_input_statistics(path)


@pytest.mark.parametrize("values", [torch.zeros(4), torch.zeros(3, dtype=torch.int64)])
def test_statistics_of_another_shape_or_type_are_refused(path, values):
    statistics = {"mean": torch.zeros(3), "scale": values}
    write_backbone(make_backbone("mlp", row_shape=(3,)), path, statistics)
    with pytest.raises(
        WeightsError, match="holds statistics of rows as save_backbone never writes"
    ):
        read_input_statistics(path)


def test_places_without_such_a_file_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "net.pth").touch()
    (tmp_path / "folder.safetensors").mkdir()
    told = {
        tmp_path / "folder": "is a folder; give a file that save_backbone wrote",
        "folder": r"'folder' is a folder; give a file that .* of transformers 'hf:folder'",
        "folder.safetensors": "is a folder",
        tmp_path / "net.pth": "is no file of save_backbone.* weights=<this file>",
        "net.pth": "'net.pth' is a file, but none that save_backbone wrote.* weights=<the file>",
        "gone.pth": "'gone.pth' is no file that is there, nor one that save_backbone wrote",
        "gone.safetensors": "No file at gone.safetensors; give",
        "~/gone.safetensors": r"No file at ~/gone.safetensors \('~' is not expanded\)",
    }
    for backbone, message in told.items():
        for use in (make_backbone, input_kind):
            with pytest.raises((WeightsError, ValueError), match=message):
                use(backbone)


def test_random_weights_are_asked_of_the_architecture_alone(path):
    body = make_backbone("mlp", row_shape=(20,))
    save_backbone(body, path)
    drawn = make_backbone(path, weights=None)
    assert [p.shape for p in drawn.parameters()] == [p.shape for p in body.parameters()]
    assert fingerprint(drawn) != fingerprint(body)
