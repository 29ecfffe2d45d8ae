"""Where sktl keeps its files, and the one way to download one."""

import hashlib
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, BinaryIO

from .exceptions import DownloadError

__all__ = ["fetch_file", "file_sha256", "hash_note", "home", "new_folder", "recorded_sha256"]

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_PIECE = 1 << 16
_TIMEOUT_S = 30
_PROGRESS_BYTES = 1_000_000
_MAX_BYTES = 10_000_000_000
SHA256_DIGITS = 64


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


def recorded_sha256(record: Path) -> str | None:
    """SHA-256 in a file that ``sha256sum`` would write; None without such a file.

    Raises
    ------
    DownloadError
        When something else is in it.
    """
    try:
        text = record.read_bytes()
    except FileNotFoundError:
        return None
    found = re.match(rb"[0-9a-f]{64}(?=\s|$)", text)
    if found is None:
        raise DownloadError(
            f"{record} holds no SHA-256: it is damaged. Remove it, and compare the file it stood "
            "for with a copy you trust."
        )
    return found[0].decode()


@contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """Make a folder; if the block raises, remove it and those made above it that are empty."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for path in missing:
            try:
                path.rmdir()
            except OSError:
                break
        raise


def fetch_file(
    url: str,
    path: str | os.PathLike[str],
    *,
    sha256: str | None = None,
    progress: bool = True,
    max_bytes: int = _MAX_BYTES,
) -> str:
    """Download `url` to `path`: the whole, verified file or nothing.

    The bytes go to a temporary file beside `path` that takes its place only once it is complete
    and has the right hash. Whatever goes wrong, a file that was at `path` before stays as it was,
    and no folder is left that was not there.

    Parameters
    ----------
    url : str
        HTTPS address, as are those it redirects to. Plain HTTP is for this machine only, and
        not after HTTPS.
    path : str or path-like
        Where to put the file. Missing folders are made.
    sha256 : str, default=None
        Hexadecimal hash the file must have, or its first digits.
    progress : bool, default=True
        Show a progress bar for large files, on a terminal only.
    max_bytes : int, default=10_000_000_000
        Largest file that is taken.

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
        with _open(url) as response, new_folder(path.parent):
            return _store(response, path, sha256, progress, max_bytes)
    except (_Refused, urllib.error.URLError, HTTPException, ConnectionError, TimeoutError) as error:
        raise DownloadError(
            f"Could not download {url}: {_reason(error)}. Try again later, or get the file "
            f"another way and save it as {path}{hash_note(sha256)}."
        ) from error


def hash_note(sha256: str | None) -> str:
    """What is known of a file's hash, in brackets; "" for nothing."""
    if sha256 is None:
        return ""
    verb = "is" if len(sha256) == SHA256_DIGITS else "begins with"
    return f" (its SHA-256 {verb} {sha256})"


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


def _store(
    response: HTTPResponse, path: Path, sha256: str | None, progress: bool, max_bytes: int
) -> str:
    """Write the response beside `path`, verify it, then move it into place."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    length = response.headers.get("Content-Length") or ""
    expected = int(length) if length.isdecimal() else None
    try:
        with open(part, "xb") as file:
            seen, size = _copy(response, file, path.name, expected if progress else 0, max_bytes)
        if expected is not None and size != expected:
            raise _Refused(f"expected {expected} bytes, received {size}")
        if sha256 is not None and not seen.startswith(sha256.lower()):
            raise _Refused(f"expected SHA-256 {sha256.lower()}, received {seen} ({size} bytes)")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return seen


def _copy(
    response: HTTPResponse, file: BinaryIO, name: str, total: int | None, max_bytes: int
) -> tuple[str, int]:
    """Copy the response to `file`; return its hash and its size."""
    from tqdm import tqdm

    digest, size = hashlib.sha256(), 0
    # None leaves the choice to tqdm: silent unless on a terminal.
    silent = None if (total or 0) >= _PROGRESS_BYTES else True
    with tqdm(
        desc=name, total=total, unit="B", unit_scale=True, leave=False, disable=silent
    ) as bar:
        for piece in _pieces(response):
            digest.update(piece)
            size += file.write(piece)
            if size > max_bytes:
                raise _Refused(f"it gives more than {max_bytes} bytes")
            bar.update(len(piece))
    return digest.hexdigest(), size


def _pieces(response: HTTPResponse) -> Iterator[bytes]:
    """What comes, piece by piece; an error of reading is the connection's, not the disk's."""
    while True:
        try:
            piece = response.read(_PIECE)
        except OSError as error:
            raise _Refused(f"the connection broke ({type(error).__name__}: {error})") from error
        if not piece:
            return
        yield piece


def _open(url: str) -> Any:
    if not _is_safe(url):
        raise _Refused("only HTTPS addresses are used")
    return _opener(url).open(url, timeout=_TIMEOUT_S)


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Return an opener that refuses unsafe redirects; this machine is reached without a proxy."""
    handlers: list[urllib.request.BaseHandler] = [_SafeRedirects()]
    if urllib.parse.urlsplit(url).hostname in _LOOPBACK:
        handlers.append(urllib.request.ProxyHandler({}))
    opener = urllib.request.build_opener(*handlers)
    opener.addheaders = [("User-Agent", "sktl")]
    return opener


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def http_error_302(self, req, fp, code, msg, headers):  # type: ignore[no-untyped-def]
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except ValueError as error:
            fp.close()
            raise _Refused(f"it redirects to what is no address ({error})") from error

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        if not _is_safe(newurl, after_https=req.type == "https"):
            fp.close()
            raise _Refused(f"it redirects to {newurl}, and only HTTPS addresses are used")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_safe(url: str, after_https: bool = False) -> bool:
    """HTTPS, or HTTP on this machine, where no page of the net may send anyone."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return False
    local = parts.scheme == "http" and parts.hostname in _LOOPBACK
    return parts.scheme == "https" or (local and not after_https)
