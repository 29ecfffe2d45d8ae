"""Downloads: the whole, verified file or nothing, shown on a server of this machine."""

import hashlib
import http.client
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sktl._download import fetch_file, file_sha256, home, recorded_sha256
from sktl.exceptions import DownloadError

BODY = b"sixteen thousand" * 10_000
SHA256 = hashlib.sha256(BODY).hexdigest()
REDIRECTS = {
    "/moved": "/good",
    "/moved-to-ftp": "ftp://a.invalid/good",
    "/moved-to-http": "http://a.invalid/good",
    "/moved-to-nonsense": "https://[a.invalid/good",
}
# Pages with a header that says something else than the length.
LENGTHS = {"/no-length": None, "/odd-length": "many", "/negative-length": "-1"}


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
        length = LENGTHS.get(self.path, str(len(BODY)))
        if length is not None:
            self.send_header("Content-Length", length)
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


@pytest.mark.parametrize("page", ["good", "no-length", "odd-length", "negative-length", "moved"])
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
    "moved-to-nonsense": (None, "redirects to what is no address"),
}


@pytest.mark.parametrize("page", FAILURES)
def test_a_failed_download_leaves_nothing_and_says_what_to_do(server, tmp_path, page):
    sha256, message = FAILURES[page]
    path = tmp_path / "file.bin"
    with pytest.raises(DownloadError, match=message) as caught:
        fetch_file(f"{server}/{page}", path, sha256=sha256)
    assert f"Could not download {server}/{page}" in str(caught.value)
    note = f" (its SHA-256 is {sha256})" if sha256 else ""
    assert str(caught.value).endswith(f"save it as {path}{note}.")
    assert list(tmp_path.iterdir()) == []


def test_known_digits_of_a_hash_are_told(server, tmp_path):
    with pytest.raises(DownloadError, match=r"file\.bin \(its SHA-256 begins with 00ff\)\.$"):
        fetch_file(f"{server}/missing", tmp_path / "file.bin", sha256="00ff")


@pytest.mark.parametrize("page", FAILURES)
def test_a_failed_download_leaves_no_folder_that_was_not_there(server, tmp_path, page):
    (tmp_path / "mine").mkdir()
    path = tmp_path / "mine" / "a" / "b" / "file.bin"
    with pytest.raises(DownloadError):
        fetch_file(f"{server}/{page}", path, sha256=FAILURES[page][0])
    assert [found.name for found in tmp_path.rglob("*")] == ["mine"]


@pytest.mark.parametrize("page", ["good", "no-length"])
def test_more_bytes_than_allowed_are_refused(server, tmp_path, page):
    path = tmp_path / "new" / "file.bin"
    with pytest.raises(DownloadError, match="it gives more than 100000 bytes"):
        fetch_file(f"{server}/{page}", path, max_bytes=100_000)
    assert list(tmp_path.iterdir()) == []
    assert fetch_file(f"{server}/{page}", path, max_bytes=len(BODY)) == SHA256


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


@pytest.mark.parametrize("target", ["/good", "http://127.0.0.1/good", "http://localhost/good"])
def test_https_never_leads_to_http(server, tmp_path, monkeypatch, target):
    # The server speaks no TLS: without its handshake an HTTPS address is answered all the same.
    connect = http.client.HTTPConnection.connect
    monkeypatch.setattr(http.client.HTTPSConnection, "connect", connect)
    monkeypatch.setitem(REDIRECTS, "/moved", target)
    secure = server.replace("http:", "https:")
    if target == "/good":
        assert fetch_file(f"{secure}/moved", tmp_path / "file.bin") == SHA256
        return
    with pytest.raises(DownloadError, match=f"redirects to {target}, and only HTTPS"):
        fetch_file(f"{secure}/moved", tmp_path / "file.bin")
    assert list(tmp_path.iterdir()) == []


class Broken:
    """A connection that ends in the middle, as an interrupted TLS session does."""

    headers = http.client.HTTPMessage()

    def __init__(self):
        self.pieces = [b"first"]

    def read(self, size):
        if self.pieces:
            return self.pieces.pop()
        raise OSError("bad record")

    def __enter__(self):
        return self

    def __exit__(self, *args):
        pass


def test_a_connection_that_breaks_off_is_told_from_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("urllib.request.OpenerDirector.open", lambda *args, **options: Broken())
    with pytest.raises(DownloadError, match=r"the connection broke \(OSError: bad record\)"):
        fetch_file("https://a.invalid/f", tmp_path / "new" / "file.bin")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.invalid/f", "ftp://127.0.0.1/f", "file:///etc/hostname", "127.0.0.1/f"),
        *("", "https://[a.invalid/f", "data:,f"),
    ],
)
def test_addresses_other_than_https_are_refused(url, tmp_path):
    with pytest.raises(DownloadError, match="only HTTPS addresses are used"):
        fetch_file(url, tmp_path / "file.bin")


def test_a_host_that_only_starts_like_this_machine_is_refused(tmp_path):
    with pytest.raises(DownloadError, match="only HTTPS addresses are used"):
        fetch_file("http://localhost.example.invalid/f", tmp_path / "file.bin")


def test_a_recorded_hash_is_read_as_sha256sum_writes_it(tmp_path):
    record = tmp_path / "file.sha256"
    assert recorded_sha256(record) is None
    for text in (SHA256, f"{SHA256}  file.bin\n", f"{SHA256}\n"):
        record.write_text(text)
        assert recorded_sha256(record) == SHA256


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"a", b"\xff\xfe", SHA256[:63].encode(), b"0" * 65]
)
def test_a_damaged_record_lets_nothing_through(tmp_path, content):
    record = tmp_path / "file.sha256"
    record.write_bytes(content)
    with pytest.raises(
        DownloadError, match=r"file\.sha256 holds no SHA-256: it is damaged\. Remove"
    ):
        recorded_sha256(record)


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
