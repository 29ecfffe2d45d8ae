"""Activations of single rows in this process, those used last."""

import os
from collections import OrderedDict
from threading import Lock

import numpy as np

__all__ = ["ProcessStore", "clear_memory", "most_bytes"]

VARIABLE = "SKTL_MEMORY_GIB"
USUAL_GIB = 2.0
# What Python needs besides the numbers: key, array and entry.
_BYTES_OF_ENTRY = 512


class _Rows:
    """Arrays by key; the least recently used ones go when there are too many bytes."""

    def __init__(self) -> None:
        self.n_bytes = 0
        self._values: OrderedDict[tuple[str, str], np.ndarray] = OrderedDict()
        self._lock = Lock()

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._values

    def get(self, key: tuple[str, str]) -> np.ndarray | None:
        """The array, which is now the last one used."""
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def put(self, key: tuple[str, str], value: np.ndarray, most: float) -> None:
        """Keep `value`, and no more than `most` bytes of all."""
        size = _size(value)
        if size > most:
            return
        with self._lock:
            previous = self._values.pop(key, None)
            self.n_bytes += size - (0 if previous is None else _size(previous))
            self._values[key] = value
            while self.n_bytes > most:
                _, oldest = self._values.popitem(last=False)
                self.n_bytes -= _size(oldest)

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._values.clear()
            self.n_bytes = 0


_rows = _Rows()


class ProcessStore:
    """One array per key, found by every store of the same context in this process.

    All stores together hold at most as many bytes as `most_bytes` says.

    Parameters
    ----------
    context : str
        What the arrays depend on besides the row: weights, depth, dtype.
    """

    def __init__(self, context: str) -> None:
        self._context = context
        self._most = most_bytes()

    def has_rows(self) -> bool:
        """Whether it is worth asking for a row: it costs next to nothing."""
        return True

    def has(self, key: str) -> bool:
        """Whether a row is there now."""
        return (self._context, key) in _rows

    def get(self, key: str) -> np.ndarray | None:
        """Return what is kept under `key`, which must not be changed, or None."""
        return _rows.get((self._context, key))

    def put(self, key: str, value: np.ndarray) -> None:
        """Keep a copy of `value`, as long as there is room."""
        _rows.put((self._context, key), np.array(value, order="C"), self._most)


def most_bytes() -> float:
    """Bytes that all rows may have together.

    Raises
    ------
    ValueError
        If the environment variable that says so is not a number, 0 and above.
    """
    given = os.environ.get(VARIABLE, "")
    try:
        gib = float(given) if given.strip() else USUAL_GIB
    except ValueError:
        gib = -1.0
    if not gib >= 0.0:
        raise ValueError(
            f"The environment variable {VARIABLE} is {given!r}; give the gibibytes that rows kept "
            f"in memory may take, such as 8 (without it, {USUAL_GIB:g})."
        )
    return gib * 2**30


def clear_memory() -> None:
    """Forget all rows that ``memory=":memory:"`` keeps in this process.

    Examples
    --------
    >>> from sktl.datasets import load_voices
    >>> from sktl.embedding import PretrainedEmbedding, clear_memory
    >>> clips = load_voices().data[:2]
    >>> rows = PretrainedEmbedding(memory=":memory:").fit_transform(clips)
    >>> clear_memory()
    """
    _rows.clear()


def _size(value: np.ndarray) -> int:
    return value.nbytes + _BYTES_OF_ENTRY
