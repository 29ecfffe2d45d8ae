"""Activations of single rows on disk, shared by folds, candidates and processes."""

import hashlib
import io
import os
import time
import uuid
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["RowStore", "open_store"]

_DIGEST_BYTES = hashlib.sha256().digest_size
# A row is written in milliseconds; what is older was left by a writer that was killed.
_SECONDS_OF_LEFTOVERS = 86400.0


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
        self.folder = Path(folder) / "sktl-rows" / digest
        self._parts = self.folder / "parts"
        self._is_tidy = False

    def path(self, row: np.ndarray) -> Path:
        """File of one row, named by the row's contents."""
        hashed = hashlib.sha256(f"{row.dtype.str}{row.shape}".encode())
        hashed.update(np.ascontiguousarray(row).data)
        name = hashed.hexdigest()
        return self.folder / name[:2] / f"{name[2:]}.npy"

    def get(self, row: np.ndarray) -> np.ndarray | None:
        """Return the stored array of `row`; None without one or where it is damaged."""
        path = self.path(row)
        try:
            contents = memoryview(path.read_bytes())
        except FileNotFoundError:
            return None
        array, digest = contents[:-_DIGEST_BYTES], contents[-_DIGEST_BYTES:]
        if digest != _digest(path, array):
            return None
        return np.lib.format.read_array(io.BytesIO(array), allow_pickle=False)

    def put(self, row: np.ndarray, value: np.ndarray) -> None:
        """Store `value` for `row`: a reader sees all of it or nothing."""
        path, part = self.path(row), self._parts / f"{uuid.uuid4().hex}.part"
        self._tidy()
        file = io.BytesIO()
        np.save(file, value, allow_pickle=False)
        file.write(_digest(path, file.getbuffer()))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._parts.mkdir(exist_ok=True)
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


def open_store(memory: Any, context: str) -> RowStore | None:
    """Store under a folder or a `joblib.Memory`; None when nothing is to be kept."""
    location = getattr(memory, "location", memory)
    if location is None:
        return None
    if not isinstance(location, str | os.PathLike):
        raise ValueError(
            f"memory={memory!r} is neither a folder nor a joblib.Memory; give a path or None."
        )
    return RowStore(location, context)
