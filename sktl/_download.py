"""Where sktl keeps its files, and the one way to download one."""

import hashlib
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO

from .exceptions import DownloadError

__all__ = ["fetch_file", "file_sha256", "home"]

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_PIECE = 1 << 16
_TIMEOUT_S = 30
_PROGRESS_BYTES = 1_000_000


def home() -> Path:
    """Folder of sktl's data and weights: ``$SKTL_HOME``, else the platform's cache folder."""
    chosen = os.environ.get("SKTL_HOME")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        cache = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        cache = Path.home() / "Library" / "Caches"
    else:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "sktl"


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch_file(
    url: str, path: str | os.PathLike[str], *, sha256: str | None = None, progress: bool = True
) -> str:
    """Download `url` to `path`: the whole, verified file or nothing.

    The bytes go to a temporary file beside `path` that takes its place only once it is complete
    and has the right hash. Whatever goes wrong, a file that was at `path` before stays as it was.

    Parameters
    ----------
    url : str
        HTTPS address, as are those it redirects to. Plain HTTP is for this machine only.
    path : str or path-like
        Where to put the file. Missing folders are made.
    sha256 : str, default=None
        Hexadecimal hash the file must have, or its first digits.
    progress : bool, default=True
        Show a progress bar for large files, on a terminal only.

    Returns
    -------
    str
        The file's SHA-256 in hexadecimal.

    Raises
    ------
    DownloadError
        When the address may not be used, does not answer, or gives another file.
    """
    path = Path(path)
    try:
        if not _is_safe(url):
            raise _Refused("only HTTPS addresses are used")
        with _opener(url).open(url, timeout=_TIMEOUT_S) as response:
            path.parent.mkdir(parents=True, exist_ok=True)
            return _store(response, path, sha256, progress)
    except (_Refused, urllib.error.URLError, HTTPException, ConnectionError, TimeoutError) as error:
        raise DownloadError(
            f"Could not download {url}: {_reason(error)}. Try again later, or get the file "
            f"another way and save it as {path}."
        ) from error


class _Refused(Exception):
    """What came, or the place it would come from, is not acceptable."""


def _reason(error: Exception) -> str:
    """Say what went wrong with a connection."""
    if isinstance(error, _Refused):
        return str(error)
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return f"the server answered {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return f"no connection ({error.reason})"
    return f"the connection broke ({type(error).__name__}: {error})"


def _store(response: HTTPResponse, path: Path, sha256: str | None, progress: bool) -> str:
    """Write the response beside `path`, verify it, then move it into place."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with open(part, "xb") as file:
            seen, size = _copy(response, file, path.name, progress)
        length = response.headers.get("Content-Length")
        if length is not None and size != int(length):
            raise _Refused(f"expected {int(length)} bytes, received {size}")
        if sha256 is not None and not seen.startswith(sha256.lower()):
            raise _Refused(f"expected SHA-256 {sha256.lower()}, received {seen} ({size} bytes)")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return seen


def _copy(response: HTTPResponse, file: BinaryIO, name: str, progress: bool) -> tuple[str, int]:
    """Copy the response to `file`; return its hash and its size."""
    from tqdm import tqdm

    digest, size = hashlib.sha256(), 0
    total = int(response.headers.get("Content-Length") or 0)
    # None leaves the choice to tqdm: silent unless on a terminal.
    silent = None if progress and total >= _PROGRESS_BYTES else True
    with tqdm(
        desc=name, total=total, unit="B", unit_scale=True, leave=False, disable=silent
    ) as bar:
        while piece := response.read(_PIECE):
            digest.update(piece)
            size += file.write(piece)
            bar.update(len(piece))
    return digest.hexdigest(), size


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Return an opener that refuses unsafe redirects; this machine is reached without a proxy."""
    handlers: list[urllib.request.BaseHandler] = [_SafeRedirects()]
    if urllib.parse.urlsplit(url).hostname in _LOOPBACK:
        handlers.append(urllib.request.ProxyHandler({}))
    opener = urllib.request.build_opener(*handlers)
    opener.addheaders = [("User-Agent", "sktl")]
    return opener


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        if not _is_safe(newurl):
            fp.close()
            raise _Refused(f"it redirects to {newurl}, and only HTTPS addresses are used")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_safe(url: str) -> bool:
    """HTTPS, or HTTP on this machine."""
    parts = urllib.parse.urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
