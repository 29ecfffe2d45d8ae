"""Activations of single rows, shared by folds and candidates, on disk by processes too."""

import hashlib
import io
import os
import time
import uuid
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ._in_process import ProcessStore

__all__ = ["RowStore", "Store", "open_store", "row_key"]

IN_PROCESS = ":memory:"

_DIGEST_BYTES = hashlib.sha256().digest_size
# A row is written in milliseconds; what is older was left by a writer that was killed.
_SECONDS_OF_LEFTOVERS = 86400.0


class Store(Protocol):
    """Arrays by the keys of rows, all of one context."""

    def has_rows(self) -> bool:
        """Whether a row may be found."""

    def has(self, key: str) -> bool:
        """Whether a row seems to be there."""

    def get(self, key: str) -> np.ndarray | None:
        """Array of a row, which must not be changed, or None."""

    def put(self, key: str, value: np.ndarray) -> None:
        """Keep the array of a row."""


def row_key(row: np.ndarray) -> str:
    """Name of a row by its contents, its shape and dtype among them."""
    hashed = hashlib.sha256(f"{row.dtype.str}{row.shape}".encode())
    hashed.update(np.ascontiguousarray(row).data)
    return hashed.hexdigest()


class RowStore:
    """One array per key in a folder; a row is written whole or not at all.

    A file is the array in NumPy's format, which `numpy.load` reads, then the SHA-256 of that
    and of the file's name. Whatever befalls a file, from a power cut to a disk that fails,
    shows there, so nothing is waited for when it is written: its row is computed again.

    Parameters
    ----------
    folder : path-like
        Where the arrays lie; made when the first row is written.
    context : str
        What the arrays depend on besides the row: weights, depth, dtype. The version of
        this package is added to it.
    """

    def __init__(self, folder: str | os.PathLike[str], context: str) -> None:
        digest = hashlib.sha256(f"{version('sktl')} {context}".encode()).hexdigest()[:32]
        self._given = folder
        self.folder = Path(folder) / "sktl-rows" / digest
        self._parts = self.folder / "parts"
        self._is_tidy = False

    def has_rows(self) -> bool:
        """Whether any row was ever stored."""
        return self.folder.is_dir()

    def has(self, key: str) -> bool:
        """Whether there is a file, damaged or not."""
        return os.path.exists(self.path(key))

    def path(self, key: str) -> Path:
        """File of one row."""
        return self.folder / key[:2] / f"{key[2:]}.npy"

    def get(self, key: str) -> np.ndarray | None:
        """Return the array stored under `key`; None without one or where it is damaged."""
        path = self.path(key)
        try:
            contents = memoryview(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        array, digest = contents[:-_DIGEST_BYTES], contents[-_DIGEST_BYTES:]
        if digest != _digest(path, array):
            return None
        return np.lib.format.read_array(io.BytesIO(array), allow_pickle=False)

    def put(self, key: str, value: np.ndarray) -> None:
        """Store `value` under `key`: a reader sees all of it or nothing."""
        path, part = self.path(key), self._parts / f"{uuid.uuid4().hex}.part"
        self._tidy()
        file = io.BytesIO()
        np.save(file, value, allow_pickle=False)
        file.write(_digest(path, file.getbuffer()))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._parts.mkdir(exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"memory={os.fspath(self._given)!r} is no folder that can be made or written to "
                f"({error}); give another path, ':memory:' or None."
            ) from error
        try:
            part.write_bytes(file.getbuffer())
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def _tidy(self) -> None:
        """Remove what writers left behind that were killed, once."""
        if self._is_tidy:
            return
        self._is_tidy = True
        for part in self._parts.glob("*.part"):
            try:
                if time.time() - part.stat().st_mtime > _SECONDS_OF_LEFTOVERS:
                    part.unlink()
            except FileNotFoundError:  # another process was first
                continue


def _digest(path: Path, contents: memoryview) -> bytes:
    hashed = hashlib.sha256(path.name.encode())
    hashed.update(contents)
    return hashed.digest()


def open_store(memory: Any, context: str) -> Store | None:
    """Store in this process, under a folder or a `joblib.Memory`; None when nothing is kept."""
    location = getattr(memory, "location", memory)
    if location is None:
        return None
    if isinstance(location, str) and location == IN_PROCESS:
        return ProcessStore(context)
    if not isinstance(location, str | os.PathLike):
        raise ValueError(
            f"memory={memory!r} is neither a folder nor a joblib.Memory; give a path, ':memory:' "
            "or None."
        )
    return RowStore(location, context)
