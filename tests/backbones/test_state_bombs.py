"""A real pickle bomb is refused wherever weights are taken from, and does not go off."""

import hashlib
import os
import pickle

import pytest
import torch
from torch import nn

from sktl import FineTunedClassifier, PretrainedEmbedding
from sktl.backbones import ModuleHandle, _weights, input_kind, make_backbone
from sktl.backbones._weights import WeightsFile, WeightsSource, locate
from sktl.exceptions import WeightsError


class Bomb:
    """Makes a folder when it is unpickled without care."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture(params=["torch", "torch before 1.6", "pickle"])
def bomb(request, tmp_path):
    """Write the bomb to a path; at the end see that it did not go off."""
    mark = tmp_path / "exploded"

    def write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"weight": Bomb(mark)}
        if request.param == "pickle":
            path.write_bytes(pickle.dumps(content, protocol=2))
        else:
            torch.save(content, path, _use_new_zipfile_serialization=request.param == "torch")
        return path

    yield write
    assert not mark.exists()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SKTL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_bomb_is_a_real_one(tmp_path):
    pickle.loads(pickle.dumps({"weight": Bomb(tmp_path / "first")}, protocol=2))
    torch.save({"weight": Bomb(tmp_path / "second")}, tmp_path / "bomb.pth")
    torch.load(tmp_path / "bomb.pth", weights_only=False)
    assert {path.name for path in tmp_path.iterdir()} == {"first", "second", "bomb.pth"}


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.safetensors"])
@pytest.mark.parametrize("backbone", ["yamnet", nn.Linear(3, 2)], ids=["by name", "a module"])
def test_as_weights(bomb, tmp_path, name, backbone):
    path = bomb(tmp_path / name)
    for weights in (path, str(path)):
        with pytest.raises(WeightsError, match=r"refused|cannot be read as weights"):
            make_backbone(backbone, weights=weights, row_shape=(3,))


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_plain_pickle_is_told_to_be_no_file_of_tensors(tmp_path, protocol):
    content = pickle.dumps({"weight": Bomb(tmp_path / "exploded")}, protocol=protocol)
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(
        WeightsError, match=r"w\.pth .*not tensors alone|no file of tensors"
    ) as told:
        make_backbone("yamnet", weights=tmp_path / "w.pth")
    assert "code" in str(told.value)
    assert "weights_only" not in str(told.value)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("estimator", [PretrainedEmbedding, FineTunedClassifier])
def test_as_weights_of_an_estimator(bomb, tmp_path, estimator):
    model = estimator("yamnet", weights=bomb(tmp_path / "w.pth"))
    with pytest.raises(WeightsError, match="refused"):
        model.fit([torch.zeros(16000).numpy()] * 2, [0, 1])


def test_as_weights_of_a_handle(bomb, tmp_path):
    handle = ModuleHandle(nn.Identity, bomb(tmp_path / "w.pth"))
    for use in (handle.load, handle.fingerprint, lambda: make_backbone(handle, row_shape=(3,))):
        with pytest.raises(WeightsError, match="refused"):
            use()


@pytest.mark.parametrize("name", ["yamnet.pth", "yamnet.safetensors"])
def test_in_the_cache_folder(bomb, home, name):
    path = bomb(home / "weights" / name)
    with pytest.raises(WeightsError, match=r"refused|instead of"):
        make_backbone("yamnet")
    assert [found.name for found in path.parent.iterdir()] == [name]


def test_in_the_cache_folder_with_a_record_of_its_hash(bomb, home):
    path = bomb(home / "weights" / "yamnet.pth")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name("yamnet.pth.sha256").write_text(f"{digest}  yamnet.pth\n")
    with pytest.raises(WeightsError, match="refused"):
        make_backbone("yamnet")


@pytest.mark.parametrize("known", [True, False])
def test_in_another_package(bomb, tmp_path, monkeypatch, known):
    monkeypatch.syspath_prepend(tmp_path)
    path = bomb(tmp_path / "sktl_bomb_package" / "net.pth")
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if known else "0" * 64
    source = WeightsSource((WeightsFile("net.pth", sha256=digest),), package="sktl_bomb_package")
    with pytest.raises(WeightsError, match="refused" if known else "instead of"):
        _weights.read_state(locate(source))


def test_from_the_net(bomb, home, tmp_path, monkeypatch):
    content = bomb(tmp_path / "w.pth").read_bytes()

    def deliver(url, path, **options):
        path.write_bytes(content)

    monkeypatch.setattr(_weights._download, "fetch_file", deliver)
    with pytest.raises(WeightsError, match="cannot be read as weights; it was not kept"):
        make_backbone("yamnet")
    assert not home.exists()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_as_a_backbone(bomb, tmp_path, name):
    path = bomb(tmp_path / name)
    for use in (make_backbone, input_kind):
        with pytest.raises(WeightsError, match=r"cannot be read|is no file of save_backbone"):
            use(path)
        with pytest.raises((WeightsError, ValueError), match=r"cannot be read|that save_backbone"):
            use(str(path))
    with pytest.raises(WeightsError, match=r"cannot be read|is no file of save_backbone"):
        FineTunedClassifier(path).fit(torch.zeros(2, 3).numpy(), [0, 1])
