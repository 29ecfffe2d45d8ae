"""Archives: downloaded and unpacked beside their place, moved there once whole and good."""

import gzip
import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from .._download import fetch_file
from ..exceptions import DownloadError

__all__ = ["fetch_archive", "unpack"]

# zipfile raises the last for encrypted members and unknown compressions.
_UNREADABLE = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError),
    *(EOFError, RuntimeError),
)
_MAX_BYTES = 10_000_000_000


class _Member(NamedTuple):
    name: str
    is_folder: bool
    is_file: bool
    size: int
    open: Callable[[], IO[bytes]]


class _Refused(Exception):
    """A member that has no place in an archive of data."""


def fetch_archive(
    url: str,
    target: Path,
    *,
    by_hand: str,
    check: Callable[[Path], object],
    sha256: str | None = None,
    record: bool = False,
    place: Callable[[str], str | None] = str,
    max_bytes: int = _MAX_BYTES,
) -> None:
    """Make the folder `target` of the files of an archive, all of them or none.

    Parameters
    ----------
    url : str
        Address of a .zip or .tar.gz file.
    target : Path
        Folder to make. Temporary files lie beside it. A folder with files that is there already
        is never changed.
    by_hand : str
        What to do without a download, the end of a sentence.
    check : callable
        Called with the unpacked folder; raises DownloadError if the data set is not whole.
    sha256 : str, default=None
        Hash of the archive.
    record : bool, default=False
        Without `sha256`, keep the hash seen first in a file beside `target` and expect it later.
    place : callable, default=str
        Path in `target` for that of a file in the archive; None to leave the file out.
    max_bytes : int, default=10_000_000_000
        Most bytes that the files may have together.

    Raises
    ------
    DownloadError
        When the archive cannot be had, read or trusted, or `check` raises it.
    """
    name = PurePosixPath(url).name
    recorded = target.parent / f"{name}.sha256"
    expected = sha256 or (_recorded_hash(recorded) if record else None)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=target.parent) as scratch:
        archive, content = Path(scratch) / name, Path(scratch) / "content"
        try:
            seen = fetch_file(url, archive, sha256=expected)
        except DownloadError as error:
            reason = str(error).partition(". Try again later")[0]
            changed = "" if sha256 or not expected else f", remove {recorded} if it was replaced"
            raise DownloadError(f"{reason}. Try again later{changed}, or {by_hand}.") from error
        content.mkdir()
        unpack(archive, content, url, place, max_bytes)
        archive.unlink()
        check(content)
        try:
            os.rename(content, target)
        except OSError:
            # Another process was faster, or the user has a folder of that name.
            if not target.is_dir():
                raise
            check(target)
    if record and expected is None:
        _record_hash(recorded, seen, url)


def unpack(
    archive: Path,
    folder: Path,
    source: str,
    place: Callable[[str], str | None] = str,
    max_bytes: int = _MAX_BYTES,
) -> None:
    """Copy the files that `place` gives a path out of a .zip or .tar.gz file into a new folder.

    Paths that lead out of the folder are refused wherever they stand; links, devices and names
    given twice are refused where they have a place. `source` names the archive in errors.
    """
    members = _zip_members if archive.suffix == ".zip" else _tar_members
    left = max_bytes
    try:
        for member in members(archive):
            path = place(_inner_path(member.name))
            if path is None or member.is_folder:
                continue
            if not member.is_file:
                raise _Refused(f"{member.name!r}, a link or device")
            left -= member.size
            if left < 0:
                raise _Refused(f"more than {max_bytes} bytes")
            _copy(member, folder / _inner_path(path))
    except _Refused as error:
        raise DownloadError(
            f"What came from {source} holds {error}, which the published archive does not; it was "
            "not kept. Try again later."
        ) from error
    except _UNREADABLE as error:
        raise DownloadError(
            f"What came from {source} is not an archive that can be read ({error}). Try again "
            "later."
        ) from error


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            # Upper half of the attributes: the mode, 0 if the archive was made without one.
            kind = stat.S_IFMT(info.external_attr >> 16)
            is_file = kind in (0, stat.S_IFREG)
            content = partial(file.open, info)
            yield _Member(info.filename, info.is_dir(), is_file, info.file_size, content)


def _tar_members(archive: Path) -> Iterator[_Member]:
    with tarfile.open(archive, "r:gz") as file:
        for info in file:
            content = partial(_extract, file, info)
            yield _Member(info.name, info.isdir(), info.isreg(), info.size, content)


def _extract(file: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = file.extractfile(info)
    assert content is not None
    return content


def _inner_path(name: str) -> str:
    """Path below the archive's root, the same on every platform."""
    path = name.replace("\\", "/")
    parts = PurePosixPath(path).parts
    if path.startswith("/") or ".." in parts or ":" in path or "\0" in path:
        raise _Refused(f"{name!r}, a path that leads out of it")
    return "/".join(parts)


def _copy(member: _Member, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "xb") as file, member.open() as content:
            shutil.copyfileobj(content, file)
    except (FileExistsError, NotADirectoryError) as error:
        raise _Refused(f"{member.name!r} twice") from error


def _recorded_hash(path: Path) -> str | None:
    return path.read_text("utf-8").split(maxsplit=1)[0] if path.is_file() else None


def _record_hash(path: Path, sha256: str, url: str) -> None:
    """Keep the hash of what came first."""
    path.write_text(f"{sha256}  {path.stem}\n", "utf-8")
    warnings.warn(
        f"The hash of {url} is not published. Its SHA-256, {sha256}, is kept in {path} and "
        "expected of later downloads; compare it with that of a copy you trust.",
        UserWarning,
        stacklevel=4,
    )
