"""Files that were read before: where their rows are stored, they need not be read again."""

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import chain
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from ..audio import Clips
from ._cache import row_key

__all__ = ["FileRow", "chunks_of_files"]

# Some hundred bytes each.
MOST_FILES = 2**17
# Clocks of file systems tick every two seconds at worst; younger files may still change unseen.
SECONDS_OF_CHANGE = 2.0


class FileRow(NamedTuple):
    """A file's row, the key by which it is stored, and its samples if they were read."""

    path: Any
    key: str
    n_samples: int
    clip: np.ndarray | None = None


_known: OrderedDict[tuple[Any, ...], tuple[str, int]] = OrderedDict()
_lock = Lock()


def chunks_of_files(
    clips: Clips, is_stored: Callable[[str], bool], size: int, max_samples: int
) -> Iterator[list[FileRow | None]]:
    """Rows of files in chunks; what is stored is not read if it was before, in this process.

    A file is the same as long as its name, size, times and place on the disk are.

    Parameters
    ----------
    clips : Clips
        From files.
    is_stored : callable
        Tells of a key whether reading can be spared.
    size, max_samples : int
        Of a chunk, at most.

    Yields
    ------
    list of FileRow or None
        None for a file that cannot be read.
    """
    files = [_identity(path, clips) for path in clips.rows]
    seen = {i: found for i, file in enumerate(files) if (found := _recall(file)) is not None}
    known = {
        i: FileRow(clips.rows[i], key, n_samples)
        for i, (key, n_samples) in seen.items()
        if is_stored(key)
    }
    unread = [i for i in range(len(clips)) if i not in known]
    read = chain.from_iterable(clips.take(unread).chunks(size, max_samples) if unread else ())
    chunk: list[FileRow | None] = []
    n_samples = 0
    for i, path in enumerate(clips.rows):
        row = known[i] if i in known else _row(path, next(read), files[i])
        n_new = 0 if row is None else row.n_samples
        if chunk and (len(chunk) >= size or n_samples + n_new > max_samples):
            yield chunk
            chunk, n_samples = [], 0
        chunk.append(row)
        n_samples += n_new
    next(read, None)  # what cannot be read is told at the end
    yield chunk


def _row(path: Any, clip: np.ndarray | None, file: tuple[Any, ...] | None) -> FileRow | None:
    if clip is None:
        return None
    key = row_key(clip)
    if file is not None:
        with _lock:
            _known[file] = key, len(clip)
            while len(_known) > MOST_FILES:
                _known.popitem(last=False)
    return FileRow(path, key, len(clip), clip)


def _identity(path: Any, clips: Clips) -> tuple[Any, ...] | None:
    """What changes when the file does; None of a file that is too young to tell."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    if time.time() - max(status.st_mtime, status.st_ctime) < SECONDS_OF_CHANGE:
        return None
    times = status.st_mtime_ns, status.st_ctime_ns
    place = os.path.abspath(path), status.st_dev, status.st_ino, status.st_size
    return *place, *times, clips.sr, clips.dtype.str


def _recall(file: tuple[Any, ...] | None) -> tuple[str, int] | None:
    if file is None:
        return None
    with _lock:
        found = _known.get(file)
        if found is not None:
            _known.move_to_end(file)
        return found
