"""Activations of single rows on disk, shared by folds, candidates and processes."""

import hashlib
import os
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["RowStore", "open_store"]


class RowStore:
    """One array per key in a folder; a row is written whole or not at all.

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

    def path(self, row: np.ndarray) -> Path:
        """File of one row, named by the row's contents."""
        hashed = hashlib.sha256(f"{row.dtype.str}{row.shape}".encode())
        hashed.update(np.ascontiguousarray(row).data)
        name = hashed.hexdigest()
        return self.folder / name[:2] / f"{name[2:]}.npy"

    def get(self, row: np.ndarray) -> np.ndarray | None:
        """Return the stored array of `row`; None without one or where it is damaged."""
        try:
            with open(self.path(row), "rb") as file:
                return np.lib.format.read_array(file, allow_pickle=False)
        except (FileNotFoundError, ValueError):
            return None

    def put(self, row: np.ndarray, value: np.ndarray) -> None:
        """Store `value` for `row`: a reader sees all of it or nothing."""
        path = self.path(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.save(file, value, allow_pickle=False)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


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
