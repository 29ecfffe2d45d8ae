"""What the data sets share: where they lie and what they say of themselves."""

import os
from pathlib import Path

from .._download import home

__all__ = ["data_folder", "description"]

SHIPPED = Path(__file__).parent / "data"
DIGIT_NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def data_folder(data_home: str | os.PathLike[str] | None) -> Path:
    """Folder of the downloaded data sets: `data_home`, else ``data`` in sktl's home."""
    return home() / "data" if data_home is None else Path(data_home).expanduser()


def description(name: str) -> str:
    """Text about a data set, shipped with the package."""
    return (SHIPPED / name / "DESCR.rst").read_text(encoding="utf-8")
