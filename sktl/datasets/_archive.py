"""Archives: downloaded and unpacked beside their place, moved there once whole and good."""

import gzip
import lzma
import os
import shutil
import stat
import struct
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from .._download import fetch_file, hash_note, new_folder, recorded_sha256
from ..exceptions import DownloadError

__all__ = ["fetch_archive", "unpack"]

# zipfile raises RuntimeError for encrypted members and unknown compressions, tarfile ValueError
# for headers that make no sense.
_UNREADABLE = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError),
    *(EOFError, RuntimeError, ValueError, struct.error),
)
_MAX_BYTES = 10_000_000_000
_MAX_MEMBERS = 1_000_000
# Files are copied piece by piece; only headers are read whole.
_LARGEST_READ = 2**21


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
        Most bytes that the archive and, unpacked, its files may have; files without a place and
        headers may have as many again.

    Raises
    ------
    DownloadError
        When the archive cannot be had, read or trusted, or `check` raises it.
    """
    name = PurePosixPath(url).name
    recorded = target.parent / f"{name}.sha256"
    expected = sha256 or (recorded_sha256(recorded) if record else None)
    with (
        new_folder(target.parent),
        tempfile.TemporaryDirectory(prefix=".download-", dir=target.parent) as scratch,
    ):
        archive, content = Path(scratch) / name, Path(scratch) / "content"
        try:
            seen = fetch_file(url, archive, sha256=expected, max_bytes=max_bytes)
        except DownloadError as error:
            reason = str(error).partition(". Try again later")[0]
            changed = "" if sha256 or not expected else f", remove {recorded} if it was replaced"
            raise DownloadError(
                f"{reason}. Try again later{changed}, or get it another way{hash_note(expected)} "
                f"and {by_hand}."
            ) from error
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
    is_zip = archive.suffix == ".zip"
    left = max_bytes
    try:
        members = _zip_members(archive) if is_zip else _tar_members(archive, max_bytes)
        for count, member in enumerate(members, start=1):
            if count > _MAX_MEMBERS:
                raise _Refused(f"more than {_MAX_MEMBERS} files")
            path = place(_inner_path(member.name))
            if path is None or member.is_folder:
                continue
            if not member.is_file:
                raise _Refused(f"{member.name!r}, a link or device")
            left -= member.size
            if left < 0:
                raise _too_large(max_bytes)
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
    except OSError as error:  # a full disk, a name that is too long
        raise DownloadError(
            f"What came from {source} could not be unpacked into {folder} ({error})."
        ) from error


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            # Upper half of the attributes: the mode, 0 if the archive was made without one.
            kind = stat.S_IFMT(info.external_attr >> 16)
            is_file = kind in (0, stat.S_IFREG)
            content = partial(file.open, info)
            yield _Member(info.filename, info.is_dir(), is_file, info.file_size, content)


def _tar_members(archive: Path, max_bytes: int) -> Iterator[_Member]:
    with gzip.open(archive) as unpacked:
        guarded: Any = _Guarded(unpacked, max_bytes, 2 * max_bytes + _LARGEST_READ)
        with tarfile.open(fileobj=guarded, mode="r:") as file:
            for info in file:
                if info.size < 0:
                    raise _Refused(f"{info.name!r} of negative size")
                content = partial(_extract, file, info)
                yield _Member(info.name, info.isdir(), info.isreg(), info.size, content)


class _Guarded:
    """What is unpacked: no more bytes than allowed, none of them twice, few at once.

    Else a header that announces gigabytes would be read into memory, files without a place would
    be unpacked without end, and a negative size would lead back to where it stands.
    """

    def __init__(self, unpacked: gzip.GzipFile, max_bytes: int, end: int) -> None:
        self._unpacked = unpacked
        self._max_bytes = max_bytes
        self._end = end
        self.tell = unpacked.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _LARGEST_READ:
            raise _Refused(f"a header of {size} bytes")
        content = self._unpacked.read(size)
        self._check(self.tell())
        return content

    def seek(self, position: int) -> int:
        # tarfile reads the last byte of a file anew, to see that it is there.
        if position < self.tell() - tarfile.BLOCKSIZE:
            raise _Refused("a file of negative size")
        self._check(position)
        return self._unpacked.seek(position)

    def _check(self, position: int) -> None:
        if position > self._end:
            raise _too_large(self._max_bytes)


def _too_large(max_bytes: int) -> _Refused:
    return _Refused(f"more than {max_bytes} bytes")


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


def _record_hash(path: Path, sha256: str, url: str) -> None:
    """Keep the hash of what came first."""
    path.write_text(f"{sha256}  {path.stem}\n", "utf-8")
    warnings.warn(
        f"The hash of {url} is not published. Its SHA-256, {sha256}, is kept in {path} and "
        "expected of later downloads; compare it with that of a copy you trust.",
        UserWarning,
        stacklevel=4,
    )
