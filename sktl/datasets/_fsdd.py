"""Free Spoken Digit Dataset: found, or downloaded, and verified."""

import gzip
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from .._download import file_sha256
from ..exceptions import DownloadError
from ._archive import fetch_archive
from ._base import DIGIT_NAMES, SHIPPED, data_folder, description, first_few

__all__ = ["fetch_fsdd"]

_URL = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz"
_MAX_BYTES = 100_000_000


def fetch_fsdd(
    *,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    verify: bool = True,
) -> Bunch | tuple:
    """Fetch the Free Spoken Digit Dataset: ten digits by six speakers.

    3,000 recordings (8 kHz, mono), 50 takes of each digit by each speaker. They are looked for in
    ``data_home/fsdd``, either there or in its sub-folder ``recordings``, and downloaded (16 MB)
    where there are none.

    ================   =======================
    Classes                                 10
    Files                                3,000
    Speakers                                 6
    Test set             300 files, takes 0 to 4
    ================   =======================

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of data sets. By default ``$SKTL_HOME/data``, or ``sktl/data`` in the platform's
        cache folder where SKTL_HOME is not set.
    download_if_missing : bool, default=True
        Download the data set when it is not there; if False, raise FileNotFoundError.
    return_X_y : bool, default=False
        Return ``(paths, target)`` instead of a Bunch.
    verify : bool, default=True
        Compare every file with the SHA-256 that ships with sktl (about a third of a second). If
        False, only check that all files are there.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with attributes

        data, paths : list of 3000 str
            WAV files, sorted by digit, speaker and take.
        target : ndarray of int of shape (3000,)
            Digit spoken.
        target_names : list of str
            Word spoken for each value of `target`.
        speaker, groups : ndarray of str of shape (3000,)
            One of "george", "jackson", "lucas", "nicolas", "theo" and "yweweler"; for
            cross-validation over speakers.
        take : ndarray of int of shape (3000,)
            Take, 0 to 49.
        test : ndarray of bool of shape (3000,)
            True for the official test set, takes 0 to 4.
        DESCR : str
            Description of the data set.
    (paths, target) : tuple if `return_X_y` is True
        The two attributes of these names.

    Raises
    ------
    FileNotFoundError
        When the data set is not there and `download_if_missing` is False.
    DownloadError
        When it cannot be downloaded, or files are missing or are not the published ones; names
        them.

    References
    ----------
    Z. Jackson, C. Souza, J. Flaks, Y. Pan, H. Nicolas and A. Thite (2018), "Free Spoken Digit
    Dataset", https://doi.org/10.5281/zenodo.1342401. CC BY-SA 4.0.

    Examples
    --------
    >>> from sktl.datasets import fetch_fsdd
    >>> digits = fetch_fsdd()  # doctest: +SKIP
    >>> len(digits.paths), int(digits.test.sum())  # doctest: +SKIP
    (3000, 300)
    """
    manifest = _manifest()
    folder = data_folder(data_home) / "fsdd"
    found = _find(folder, manifest)
    if found is None:
        if not download_if_missing:
            raise FileNotFoundError(
                f"No Free Spoken Digit Dataset in {folder}. Call fetch_fsdd with "
                "download_if_missing=True, or give the folder that holds fsdd as data_home."
            )
        found = _download(folder, manifest)
    else:
        _check(found, manifest, verify)
    facts = sorted((int(d), s, int(t)) for d, s, t in (name[:-4].split("_") for name in manifest))
    paths = [str(found / f"{digit}_{speaker}_{take}.wav") for digit, speaker, take in facts]
    target = np.array([digit for digit, _, _ in facts])
    if return_X_y:
        return paths, target
    speaker = np.array([speaker for _, speaker, _ in facts])
    take = np.array([take for _, _, take in facts])
    return Bunch(
        data=paths,
        paths=paths,
        target=target,
        target_names=list(DIGIT_NAMES),
        speaker=speaker,
        groups=speaker,
        take=take,
        test=take < 5,
        DESCR=description("fsdd"),
    )


def _manifest() -> dict[str, str]:
    """SHA-256 of every file, by name, in the format of sha256sum."""
    text = gzip.decompress((SHIPPED / "fsdd" / "SHA256SUMS.gz").read_bytes()).decode("ascii")
    return {name: digest for digest, name in map(str.split, text.splitlines())}


def _find(folder: Path, manifest: dict[str, str]) -> Path | None:
    """Folder with at least one of the files: `folder` or its ``recordings``."""
    for candidate in (folder, folder / "recordings"):
        if candidate.is_dir() and not manifest.keys().isdisjoint(os.listdir(candidate)):
            return candidate
    return None


def _check(folder: Path, manifest: dict[str, str], verify: bool) -> None:
    """Raise DownloadError unless all files are there and, with `verify`, the published ones."""
    there = set(os.listdir(folder))
    missing = [name for name in manifest if name not in there]
    damaged = []
    if verify and not missing:
        with ThreadPoolExecutor(4) as pool:
            hashes = pool.map(lambda name: file_sha256(folder / name), manifest)
            damaged = [
                name for name, seen in zip(manifest, hashes, strict=True) if seen != manifest[name]
            ]
    faults = [(missing, "missing"), (damaged, "not the published ones (wrong SHA-256)")]
    for names, fault in faults:
        if names:
            raise DownloadError(
                f"{len(names)} of the {len(manifest)} files of the Free Spoken Digit Dataset in "
                f"{folder} are {fault}: {first_few(names)}. Move that folder away to download the "
                "data set again, or put the published files there."
            )


def _download(folder: Path, manifest: dict[str, str]) -> Path:
    """Download the archive; its recordings come into `folder` once all are verified."""
    recordings = folder / "recordings"
    fetch_archive(
        _URL,
        recordings,
        by_hand=f"unpack the archive's folder recordings into {folder}",
        check=lambda found: _check(found, manifest, verify=True),
        place=lambda path: _place(path, manifest),
        max_bytes=_MAX_BYTES,
    )
    return recordings


def _place(path: str, manifest: dict[str, str]) -> str | None:
    """Name of a published recording, None for any other file."""
    *_, parent, name = ("", "", *path.split("/"))
    return name if parent == "recordings" and name in manifest else None
