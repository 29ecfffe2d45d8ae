"""What holds the clips: refused with advice when it is neither an array nor a sequence."""

import os
from collections.abc import Iterable, Mapping
from numbers import Number
from typing import Any

import numpy as np

from ._clips import is_clips, is_path, is_sequence

__all__ = ["check_container", "files_in"]

FORMS = "give an array (n_clips, n_samples), or a list of 1-D arrays or of paths"


def files_in(folder: str) -> str:
    """Code that lists the files in a folder."""
    return f"sorted(Path({folder}).rglob('*.wav'))"


def check_container(X: Any) -> None:
    """Refuse what can be no form of clips; the clips themselves are not looked at."""
    if isinstance(X, str | bytes | os.PathLike):
        path = os.fsdecode(X)
        if os.path.isdir(path):
            raise ValueError(
                f"X={path!r} is a folder; give a list of the files in it, e.g. "
                f"{files_in(repr(path))}."
            )
        raise ValueError(f"X={path!r} is a single path; give a list of paths, [{path!r}].")
    if is_sequence(X):
        _check_sequence(X)
    elif not (hasattr(X, "shape") or hasattr(X, "__array__")):
        kind = "None" if X is None else f"of type {type(X).__name__}"
        raise ValueError(f"X is {kind}; {FORMS}{_as_list(X)}.")
    elif hasattr(X, "columns") and _holds_paths(np.asarray(X[:1])):
        raise ValueError(
            "X is a data frame that holds text; for file paths give one column of it, "
            "e.g. X['path']."
        )
    elif isinstance(X, np.ndarray) and X.ndim > 1 and _holds_paths(X[:1]):
        raise ValueError(
            f"X has shape {X.shape} and holds text; for file paths give a list, X.ravel().tolist()."
        )


def _as_list(X: Any) -> str:
    """How to make a list of a container that is none."""
    if isinstance(X, Mapping):
        return ", e.g. list(X.values())"
    if isinstance(X, set | frozenset):
        return ", e.g. sorted(X)"
    return ", e.g. list(X)" if isinstance(X, Iterable) else ""


def _holds_paths(values: np.ndarray) -> bool:
    return values.dtype.kind in "OSUT" and any(map(_is_text_path, values.ravel()))


def _is_text_path(value: Any) -> bool:
    return is_path(value) or isinstance(value, bytes)


def _check_sequence(X: Any) -> None:
    """Refuse a sequence whose elements are neither clips, numbers nor equal rows of numbers."""
    if len(X) == 0:
        raise ValueError("X is empty; give at least one clip.")
    first = next(iter(X))
    if is_clips(X) or (isinstance(first, Number) and not any(map(_is_text_path, X))):
        return
    if isinstance(first, bytes):
        raise ValueError(f"X[0]={bytes(first)!r} is bytes; give paths as str, os.fsdecode(X[0]).")
    if not isinstance(first, list | tuple):
        raise ValueError(f"X[0] is of type {type(first).__name__}; {FORMS}.")
    if any(map(_is_text_path, first)):
        raise ValueError(f"X[0] is a {type(first).__name__} of paths; give one list of paths.")
    for index, row in enumerate(X):
        if not hasattr(row, "__len__"):
            raise ValueError(f"X[{index}] is of type {type(row).__name__}; {FORMS}.")
        if len(row) != len(first):
            raise ValueError(
                f"X[{index}] has length {len(row)} but X[0] has length {len(first)}, and nested "
                "lists of numbers are rows of equal length; for clips of any length give arrays, "
                "[np.asarray(clip) for clip in X]."
            )
