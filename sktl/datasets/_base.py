"""What the data sets share: where they lie and what they say of themselves."""

import os
from collections.abc import Sequence
from pathlib import Path

from .._download import home

__all__ = ["data_folder", "description", "first_few"]

SHIPPED = Path(__file__).parent / "data"
DIGIT_NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_N_NAMED = 5


def data_folder(data_home: str | os.PathLike[str] | None) -> Path:
    """Folder of the downloaded data sets: `data_home`, else ``data`` in sktl's home."""
    return home() / "data" if data_home is None else Path(data_home).expanduser()


def description(name: str) -> str:
    """Text about a data set, shipped with the package."""
    return (SHIPPED / name / "DESCR.rst").read_text(encoding="utf-8")


def first_few(names: Sequence[str]) -> str:
    """Names for an error message, the first of many."""
    more = len(names) - _N_NAMED
    return ", ".join(names[:_N_NAMED]) + (f" and {more} more" if more > 0 else "")
