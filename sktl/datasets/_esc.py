"""ESC-50 and its subset ESC-10: environmental sounds in five folds."""

import csv
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.utils import Bunch

from ..exceptions import DownloadError
from ._archive import fetch_archive
from ._base import data_folder, description, first_few

__all__ = ["fetch_esc50", "load_esc10"]

_URL = "https://github.com/karoldvl/ESC-50/archive/master.zip"
_ROOT = "ESC-50-master"
_MAX_BYTES = 2_000_000_000
_COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
# Folders of the release of ESC-10, by ESC-50's names of the classes.
_ESC10 = {
    "dog": "001 - Dog bark",
    "rain": "002 - Rain",
    "sea_waves": "003 - Sea waves",
    "crying_baby": "004 - Baby cry",
    "clock_tick": "005 - Clock tick",
    "sneezing": "006 - Person sneeze",
    "helicopter": "007 - Helicopter",
    "chainsaw": "008 - Chainsaw",
    "rooster": "009 - Rooster",
    "crackling_fire": "010 - Fire crackling",
}
_ESC10_FILE = re.compile(r"([1-5])-(\d+)-([A-Z])\.(?:ogg|wav)")


class _Clip(NamedTuple):
    fold: int
    recording: str
    take: str
    category: str
    number: int
    esc10: bool
    path: str


def fetch_esc50(
    *,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
) -> Bunch | tuple:
    """Fetch ESC-50: fifty classes of environmental sound.

    2,000 clips of five seconds (44.1 kHz, mono), 40 of each class, in five folds. They are looked
    for in ``data_home/esc50``, either there or in its sub-folder ``ESC-50-master``, and downloaded
    (600 MB) where there are none.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of data sets. By default ``$SKTL_HOME/data``, or ``sktl/data`` in the platform's
        cache folder where SKTL_HOME is not set.
    download_if_missing : bool, default=True
        Download the data set when it is not there; if False, raise FileNotFoundError.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with attributes

        data, paths : list of n_clips str
            WAV files, sorted by fold and recording.
        target : ndarray of int of shape (n_clips,)
            Published number of the class, index in `target_names`.
        target_names : list of str
            Class labels, e.g. "dog".
        groups : ndarray of int of shape (n_clips,)
            Published fold, 1 to 5. Cross-validation must keep to it: clips of one recording share
            a fold.
        recording : ndarray of str of shape (n_clips,)
            Freesound's number of the recording that the clip was cut from.
        take : ndarray of str of shape (n_clips,)
            Letter of the clip among those of its recording.
        esc10 : ndarray of bool of shape (n_clips,)
            True for the clips of ESC-10.
        DESCR : str
            Description of the data set.
    (data, target) : tuple if `return_X_y` is True
        The two attributes of these names.

    Raises
    ------
    FileNotFoundError
        When the data set is not there and `download_if_missing` is False.
    DownloadError
        When it cannot be downloaded, or files are missing; names them.

    Warns
    -----
    UserWarning
        After a download: the archive's hash is not published. It is kept in a file and expected of
        later downloads.

    See Also
    --------
    load_esc10 : The ten classes that are easiest to tell apart.

    References
    ----------
    K. J. Piczak (2015), "ESC: Dataset for Environmental Sound Classification", Proceedings of the
    23rd ACM International Conference on Multimedia, 1015-1018,
    https://doi.org/10.1145/2733373.2806390. CC BY-NC 3.0.

    Examples
    --------
    >>> from sklearn.model_selection import PredefinedSplit, cross_val_score
    >>> from sktl.datasets import fetch_esc50
    >>> sounds = fetch_esc50()  # doctest: +SKIP
    >>> len(sounds.data), len(sounds.target_names)  # doctest: +SKIP
    (2000, 50)
    >>> cross_val_score(model, sounds.data, sounds.target,
    ...                 cv=PredefinedSplit(sounds.groups))  # doctest: +SKIP
    """
    folder = data_folder(data_home) / "esc50"
    found = _find_esc50(folder)
    if found is None:
        if not download_if_missing:
            raise FileNotFoundError(
                f"No ESC-50 in {folder}. Call fetch_esc50 with download_if_missing=True, or give "
                "the folder that holds esc50 as data_home."
            )
        found = folder / _ROOT
        fetch_archive(
            _URL,
            found,
            by_hand=f"unpack the archive into {folder}",
            check=_read_esc50,
            record=True,
            place=_place,
            max_bytes=_MAX_BYTES,
        )
    clips = _read_esc50(found)
    numbers = {clip.number: clip.category for clip in clips}
    target_names = [numbers[number] for number in sorted(numbers)]
    bunch = _bunch(clips, target_names, "esc50")
    bunch.esc10 = np.array([clip.esc10 for clip in clips])
    return (bunch.data, bunch.target) if return_X_y else bunch


def load_esc10(
    *, data_home: str | os.PathLike[str] | None = None, return_X_y: bool = False
) -> Bunch | tuple:
    """Load ESC-10: ten classes of environmental sound.

    400 clips of about five seconds (44.1 kHz), 40 of each class, in five folds. They are looked
    for in ``data_home/esc10`` (the release of 2015, OGG files in one folder per class) and then
    among the clips of ESC-50, of which they are a part. Nothing is downloaded.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of data sets. By default ``$SKTL_HOME/data``, or ``sktl/data`` in the platform's
        cache folder where SKTL_HOME is not set.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with attributes

        data, paths : list of n_clips str
            OGG or WAV files, sorted by fold and recording.
        target : ndarray of int of shape (n_clips,)
            Index of the class in `target_names`.
        target_names : list of 10 str
            ESC-50's labels of the classes, in the order of the release of ESC-10.
        groups : ndarray of int of shape (n_clips,)
            Published fold, 1 to 5. Cross-validation must keep to it: clips of one recording share
            a fold.
        recording : ndarray of str of shape (n_clips,)
            Freesound's number of the recording that the clip was cut from.
        take : ndarray of str of shape (n_clips,)
            Letter of the clip among those of its recording.
        DESCR : str
            Description of the data set.
    (data, target) : tuple if `return_X_y` is True
        The two attributes of these names.

    Raises
    ------
    FileNotFoundError
        When neither data set is there, or a class of ESC-10 has no files.
    DownloadError
        When files of ESC-50 are missing; names them.

    See Also
    --------
    fetch_esc50 : All fifty classes.

    References
    ----------
    K. J. Piczak (2015), "ESC: Dataset for Environmental Sound Classification", Proceedings of the
    23rd ACM International Conference on Multimedia, 1015-1018,
    https://doi.org/10.1145/2733373.2806390. CC BY 3.0.

    Examples
    --------
    >>> from sklearn.model_selection import PredefinedSplit, cross_val_score
    >>> from sktl.datasets import load_esc10
    >>> sounds = load_esc10()  # doctest: +SKIP
    >>> len(sounds.data), sounds.target_names[:3]  # doctest: +SKIP
    (400, ['dog', 'rain', 'sea_waves'])
    >>> cross_val_score(model, sounds.data, sounds.target,
    ...                 cv=PredefinedSplit(sounds.groups))  # doctest: +SKIP
    """
    home = data_folder(data_home)
    folder, esc50 = home / "esc10", _find_esc50(home / "esc50")
    if any((folder / name).is_dir() for name in _ESC10.values()):
        clips = _read_esc10(folder)
    elif esc50 is not None:
        clips = [clip for clip in _read_esc50(esc50) if clip.esc10]
    else:
        raise FileNotFoundError(
            f"No ESC-10 in {folder} and no ESC-50 in {home / 'esc50'}. Call fetch_esc50, of which "
            "ESC-10 is a part, or give the folder that holds esc10 as data_home."
        )
    bunch = _bunch(clips, list(_ESC10), "esc10")
    return (bunch.data, bunch.target) if return_X_y else bunch


def _bunch(clips: list[_Clip], target_names: list[str], name: str) -> Bunch:
    paths = [clip.path for clip in clips]
    return Bunch(
        data=paths,
        paths=paths,
        target=np.array([target_names.index(clip.category) for clip in clips], dtype=int),
        target_names=target_names,
        groups=np.array([clip.fold for clip in clips], dtype=int),
        recording=np.array([clip.recording for clip in clips], dtype=str),
        take=np.array([clip.take for clip in clips], dtype=str),
        DESCR=description(name),
    )


def _place(path: str) -> str | None:
    """Path without the archive's outermost folder; sounds, tables and texts at the top only."""
    _, _, rest = path.partition("/")
    return rest if re.fullmatch(r"(audio|meta)/[^/]+|LICENSE|README\.md", rest) else None


def _find_esc50(folder: Path) -> Path | None:
    """Folder of ``meta`` and ``audio``: `folder` or its ``ESC-50-master``."""
    for candidate in (folder, folder / _ROOT):
        if (candidate / "meta").is_dir() or (candidate / "audio").is_dir():
            return candidate
    return None


def _read_esc50(folder: Path) -> list[_Clip]:
    """Clips of the table; raise DownloadError unless all are there."""
    table, audio = folder / "meta" / "esc50.csv", folder / "audio"
    advice = "Move that folder away to download the data set again, or put what lacks there."
    if not table.is_file():
        raise DownloadError(f"ESC-50 in {folder} lacks meta/esc50.csv. {advice}")
    with open(table, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        lacking = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
        rows = [] if lacking else list(reader)
    if not rows:
        what = f"the columns {first_few(lacking)}" if lacking else "rows"
        raise DownloadError(f"The table {table} lacks {what}. {advice}")
    there = set(os.listdir(audio)) if audio.is_dir() else set()
    missing = [row["filename"] for row in rows if row["filename"] not in there]
    if missing:
        raise DownloadError(
            f"{len(missing)} of the {len(rows)} files of ESC-50 in {audio} are missing: "
            f"{first_few(missing)}. {advice}"
        )
    return sorted(
        _Clip(
            fold=int(row["fold"]),
            recording=row["src_file"],
            take=row["take"],
            category=row["category"],
            number=int(row["target"]),
            esc10=row["esc10"].lower() == "true",
            path=str(audio / row["filename"]),
        )
        for row in rows
    )


def _read_esc10(folder: Path) -> list[_Clip]:
    """Clips of the folders of ESC-10, of which all must be there."""
    clips, empty = [], []
    for number, (category, name) in enumerate(_ESC10.items()):
        files = sorted((folder / name).iterdir()) if (folder / name).is_dir() else []
        names = [(file, found) for file in files if (found := _ESC10_FILE.fullmatch(file.name))]
        if not names:
            empty.append(name)
        clips += [
            _Clip(int(found[1]), found[2], found[3], category, number, True, str(file))
            for file, found in names
        ]
    if empty:
        raise FileNotFoundError(
            f"ESC-10 in {folder} has no files named like 1-100032-A.ogg in: {first_few(empty)}."
        )
    return sorted(clips)
