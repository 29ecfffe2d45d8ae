"""Downloads: the whole, verified file or nothing, shown on a server of this machine."""

import hashlib
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sktl._download import fetch_file, file_sha256, home
from sktl.exceptions import DownloadError

BODY = b"sixteen thousand" * 10_000
SHA256 = hashlib.sha256(BODY).hexdigest()
REDIRECTS = {
    "/moved": "/good",
    "/moved-to-ftp": "ftp://a.invalid/good",
    "/moved-to-http": "http://a.invalid/good",
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path in REDIRECTS:
            self.send_response(302)
            self.send_header("Location", REDIRECTS[self.path])
            self.end_headers()
            return
        self.send_response(200)
        if self.path != "/no-length":
            self.send_header("Content-Length", len(BODY))
        self.end_headers()
        self.wfile.write(BODY[:1000] if self.path == "/truncated" else BODY)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


@pytest.fixture
def gone():
    """Address of a server that no longer listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def test_a_good_file_arrives_whole_and_its_hash_is_returned(server, tmp_path):
    path = tmp_path / "new" / "folder" / "file.bin"
    assert fetch_file(f"{server}/good", path, sha256=SHA256) == SHA256
    assert path.read_bytes() == BODY
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]


def test_an_upper_case_hash_and_a_string_path_are_accepted(server, tmp_path):
    path = tmp_path / "file.bin"
    assert fetch_file(f"{server}/good", str(path), sha256=SHA256.upper()) == SHA256
    assert file_sha256(path) == SHA256


@pytest.mark.parametrize("page", ["good", "no-length", "moved"])
def test_without_a_hash_the_file_is_taken_as_it_comes(server, tmp_path, page):
    path = tmp_path / "file.bin"
    assert fetch_file(f"{server}/{page}", path) == SHA256
    assert path.read_bytes() == BODY


def test_proxies_are_not_asked_for_this_machine(server, tmp_path, monkeypatch, gone):
    monkeypatch.setenv("http_proxy", gone)
    assert fetch_file(f"{server}/good", tmp_path / "file.bin") == SHA256


FAILURES = {
    "missing": (None, "the server answered 404"),
    "truncated": (None, rf"expected {len(BODY)} bytes, received 1000|IncompleteRead"),
    "good": ("0" * 64, f"expected SHA-256 {'0' * 64}, received {SHA256}"),
    "moved-to-ftp": (None, r"redirects to ftp://a\.invalid/good, and only HTTPS"),
    "moved-to-http": (None, r"redirects to http://a\.invalid/good, and only HTTPS"),
}


@pytest.mark.parametrize("page", FAILURES)
def test_a_failed_download_leaves_nothing_and_says_what_to_do(server, tmp_path, page):
    sha256, message = FAILURES[page]
    path = tmp_path / "file.bin"
    with pytest.raises(DownloadError, match=message) as caught:
        fetch_file(f"{server}/{page}", path, sha256=sha256)
    assert f"Could not download {server}/{page}" in str(caught.value)
    assert f"save it as {path}" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("page", FAILURES)
def test_a_failed_download_leaves_an_existing_file_as_it_was(server, tmp_path, page):
    path = tmp_path / "file.bin"
    path.write_bytes(b"mine")
    with pytest.raises(DownloadError):
        fetch_file(f"{server}/{page}", path, sha256=FAILURES[page][0])
    assert path.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [path]


def test_a_server_that_is_gone_is_a_download_error(gone, tmp_path):
    with pytest.raises(DownloadError, match="no connection"):
        fetch_file(f"{gone}/good", tmp_path / "new" / "file.bin")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_download_leaves_nothing(server, tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("sktl._download.os.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch_file(f"{server}/good", tmp_path / "file.bin")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    ["http://example.invalid/f", "ftp://127.0.0.1/f", "file:///etc/hostname", "127.0.0.1/f", ""],
)
def test_addresses_other_than_https_are_refused(url, tmp_path):
    with pytest.raises(DownloadError, match="only HTTPS addresses are used"):
        fetch_file(url, tmp_path / "file.bin")


def test_a_host_that_only_starts_like_this_machine_is_refused(tmp_path):
    with pytest.raises(DownloadError, match="only HTTPS addresses are used"):
        fetch_file("http://localhost.example.invalid/f", tmp_path / "file.bin")


def test_home_is_sktl_home(monkeypatch, tmp_path):
    monkeypatch.setenv("SKTL_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.setenv("SKTL_HOME", "~/sounds")
    assert home() == Path.home() / "sounds"


@pytest.mark.parametrize(
    ("platform", "variable", "value", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", "/c", Path("/c/sktl")),
        ("linux", "XDG_CACHE_HOME", "", Path.home() / ".cache" / "sktl"),
        ("darwin", "XDG_CACHE_HOME", "/c", Path.home() / "Library" / "Caches" / "sktl"),
        ("win32", "LOCALAPPDATA", "/c", Path("/c/sktl")),
    ],
)
def test_without_sktl_home_it_is_the_cache_folder(monkeypatch, platform, variable, value, expected):
    monkeypatch.delenv("SKTL_HOME", raising=False)
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert home() == expected
