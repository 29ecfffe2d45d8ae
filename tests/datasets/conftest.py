"""A server of this machine, and archives for it."""

import io
import tarfile
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


class Web(NamedTuple):
    folder: Path
    url: str


@pytest.fixture
def web(tmp_path):
    """Folder whose files a server of this machine gives, and its address."""
    folder = tmp_path / "web"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield Web(folder, f"http://127.0.0.1:{httpd.server_port}")
        httpd.shutdown()
        thread.join()


def tar_gz(members):
    """Bytes of a .tar.gz; a body is bytes, the text a symbolic link points to, or a type."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, body in members:
            member = tarfile.TarInfo(name)
            if isinstance(body, bytes):
                member.size = len(body)
                tar.addfile(member, io.BytesIO(body))
                continue
            kind, target = body if isinstance(body, tuple) else (tarfile.SYMTYPE, body)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    return buffer.getvalue()


def zipped(members):
    """Bytes of a .zip; a body is bytes, or bytes and a Unix mode."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, body in members:
            member = zipfile.ZipInfo(name)
            if isinstance(body, tuple):
                body, mode = body
                member.external_attr = mode << 16
            file.writestr(member, body)
    return buffer.getvalue()


@pytest.fixture
def make_archive():
    """Bytes of an archive of (name, body) pairs, ``.zip`` or ``.tar.gz`` by the suffix given."""

    def make(members, suffix):
        members = members.items() if isinstance(members, dict) else members
        return zipped(members) if suffix == ".zip" else tar_gz(members)

    return make


@pytest.fixture
def write_tree():
    """Make a folder of files with the given bytes."""

    def write(folder, files):
        for name, body in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        return Path(folder)

    return write
