"""What is read of a folder or the hub, and what is refused."""

import json
import os
import pickle
import shutil
import sys

import pytest
import torch

from sktl.backbones import input_kind, make_backbone
from sktl.exceptions import WeightsError


@pytest.fixture
def folder(saved_networks, tmp_path):
    """A copy of a folder, free to be changed."""
    return shutil.copytree(saved_networks["wav2vec2"].folder, tmp_path / "copy")


def change(path, **changes):
    settings = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(settings))


def test_code_of_the_author_is_never_run(folder):
    (folder / "theirs.py").write_text("raise SystemExit('ran')")
    auto_map = {"AutoConfig": "theirs.Config", "AutoModel": "theirs.Model"}
    change(folder / "config.json", model_type="theirs", auto_map=auto_map)
    with pytest.raises(ValueError, match=r"made by code of its author .auto_map.*never run"):
        make_backbone(f"hf:{folder}")


def test_code_beside_a_network_that_transformers_has_is_left_alone(folder):
    (folder / "theirs.py").write_text("raise SystemExit('ran')")
    auto_map = {"AutoConfig": "theirs.Config", "AutoModel": "theirs.Model"}
    for file in ("config.json", "preprocessor_config.json"):
        change(folder / file, auto_map=auto_map, attn_implementation="somebody/kernels")
    body = make_backbone(f"hf:{folder}")
    assert body.blocks[1].layer.attention.config._attn_implementation == "sdpa"
    assert "theirs" not in body.made_from[0]
    assert "kernels" not in body.made_from[0]


def test_networks_of_other_kinds_are_refused(folder):
    change(folder / "config.json", model_type="bert")
    with pytest.raises(
        ValueError, match="has model_type 'bert'; what works is clap, wav2vec2, hub"
    ):
        make_backbone(f"hf:{folder}")


def test_another_preparation_of_clips_is_refused(folder):
    path = folder / "preprocessor_config.json"
    change(path, feature_extractor_type="SeamlessM4TFeatureExtractor")
    with pytest.raises(ValueError, match="clips by 'SeamlessM4TFeatureExtractor'; what works for"):
        make_backbone(f"hf:{folder}")


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_could_run_code_is_refused(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    bomb = Bomb(tmp_path / "exploded")
    torch.save({"bomb": bomb}, folder / "pytorch_model.bin")
    told = r"^pytorch_model\.bin of backbone='hf:.*' holds \w+\.mkdir, not tensors alone.*refused"
    with pytest.raises(WeightsError, match=told) as caught:
        make_backbone(f"hf:{folder}")
    assert "weights_only" not in str(caught.value)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"bomb": bomb}, protocol=4))
    with pytest.raises(
        WeightsError, match=r"is no file of tensors .* may hold code, none of which"
    ):
        make_backbone(f"hf:{folder}")
    (tmp_path / "bomb.pt").write_bytes(pickle.dumps(bomb))
    with pytest.raises(WeightsError, match=r"refused|cannot be read"):
        make_backbone(f"hf:{folder}", weights=tmp_path / "bomb.pt")
    assert not bomb.path.exists()


def test_a_pickle_of_tensors_is_read(saved_networks, folder):
    saved = saved_networks["wav2vec2"]
    (folder / "model.safetensors").unlink()
    torch.save(saved.model.state_dict(), folder / "pytorch_model.bin")
    body, expected = make_backbone(f"hf:{folder}"), make_backbone(saved.name)
    for key, value in expected.state_dict().items():
        assert torch.equal(body.state_dict()[key], value)


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_a_file_that_is_absent_or_damaged_is_named(folder, file):
    (folder / file).write_bytes(b"not that")
    with pytest.raises(WeightsError, match=rf"no {file} that can be read .*Put config\.json, pre"):
        make_backbone(f"hf:{folder}")
    (folder / file).unlink()
    with pytest.raises(WeightsError, match=rf"no {file} that can be read"):
        make_backbone(f"hf:{folder}")


def test_weights_of_another_network_are_refused(saved_networks, folder, tmp_path, capfd):
    change(folder / "config.json", num_hidden_layers=4)
    with pytest.raises(WeightsError, match=r"of another network .16 missing: encoder.layers.3"):
        make_backbone(f"hf:{folder}")
    change(folder / "config.json", num_hidden_layers=3, hidden_size=32)
    with pytest.raises(WeightsError, match=r"of another network .52 of another shape: encoder"):
        make_backbone(f"hf:{folder}")
    body = make_backbone(saved_networks["hubert"].name)
    torch.save(body.state_dict(), tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="those of another network"):
        make_backbone(saved_networks["wav2vec2-stable"].name, weights=tmp_path / "other.pt")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["hf:./nowhere", "hf:/no/where", "hf:no/such/folder", "hf:"])
def test_a_folder_that_is_not_there(transformers, name):
    assert input_kind(name) == "waveform"
    with pytest.raises(WeightsError, match=r"there is no folder .*; give 'hf:<folder>'"):
        make_backbone(name)


def test_a_file_is_no_folder(transformers, tmp_path):
    (tmp_path / "config.json").touch()
    with pytest.raises(WeightsError, match=r"config\.json' is a file; give 'hf:<folder>'"):
        make_backbone(f"hf:{tmp_path / 'config.json'}")


def test_a_configuration_has_no_weights(saved_networks):
    name = make_backbone(saved_networks["ast"].name).made_from[0]
    with pytest.raises(ValueError, match="is a configuration, which has no weights"):
        make_backbone(name)
    with pytest.raises(ValueError, match="is no network of this package"):
        make_backbone('hf:{"config": {}}', weights=None)


@pytest.fixture
def hub(transformers, tmp_path, monkeypatch):
    """The cache of the hub, empty, without a connection."""
    constants = pytest.importorskip("huggingface_hub").constants
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_without_a_connection_the_error_says_which_files_go_where(hub):
    with pytest.raises(WeightsError) as caught:
        make_backbone("hf:facebook/wav2vec2-base")
    message = str(caught.value)
    assert "backbone='hf:facebook/wav2vec2-base': no config.json that can be read" in message
    assert "Put config.json, preprocessor_config.json and model.safetensors of the" in message


def test_the_cache_of_the_hub_is_used_without_a_connection(saved_networks, hub):
    saved = saved_networks["wav2vec2"]
    commit, place = 40 * "a", hub / "models--somebody--small"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(commit)
    shutil.copytree(saved.folder, place / "snapshots" / commit)
    body, expected = make_backbone("hf:somebody/small"), make_backbone(saved.name)
    assert body.made_from == expected.made_from
    for key, value in expected.state_dict().items():
        assert torch.equal(body.state_dict()[key], value)


def test_without_transformers_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r"pip install 'sktl\[hf\]'"):
        make_backbone("hf:facebook/wav2vec2-base")


def test_a_folder_in_the_home_of_the_user(saved_networks, monkeypatch):
    folder = saved_networks["ast"].folder
    monkeypatch.setenv("HOME", str(folder.parent))
    assert make_backbone(f"hf:~/{folder.name}").embedding_size == 24


def test_nothing_is_printed_and_transformers_keeps_its_settings(
    saved_networks, capfd, transformers
):
    logging = transformers.utils.logging
    before = logging.is_progress_bar_enabled(), logging.get_verbosity()
    make_backbone(saved_networks["wav2vec2"].name)
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
    assert (logging.is_progress_bar_enabled(), logging.get_verbosity()) == before
