"""Speech Commands: single words by many speakers, found or downloaded."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.utils import Bunch

from ..exceptions import DownloadError
from ._archive import fetch_archive
from ._base import data_folder, description, first_few

__all__ = ["fetch_speech_commands"]

_HOST = "https://storage.googleapis.com/download.tensorflow.org/data"
# Address and SHA-256 by version.
_ARCHIVES = {
    1: (
        f"{_HOST}/speech_commands_v0.01.tar.gz",
        "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
    ),
    2: (
        f"{_HOST}/speech_commands_v0.02.tar.gz",
        "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
    ),
}
_LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
_NOISE = "_background_noise_"
_WORDS = (
    "bed bird cat dog down eight five four go happy house left marvin nine no off on one right "
    "seven sheila six stop three tree two up wow yes zero"
)
_LATER_WORDS = "backward follow forward learn visual"


class _Clip(NamedTuple):
    path: str
    word: str
    speaker: str
    subset: str


def fetch_speech_commands(
    *,
    version: int = 2,
    words: str | Iterable[str] | None = None,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
) -> Bunch | tuple:
    """Fetch Speech Commands: single English words by many speakers.

    Clips of about one second (16 kHz, mono), with the published division into training, validation
    and test clips, in which no speaker is in two parts. They are looked for in
    ``data_home/speech_commands/speech_commands_v0.02``, and downloaded where there are none.

    ========   =======   =====   ========
    Version      Files   Words   Download
    ========   =======   =====   ========
    1           64,727      30     1.5 GB
    2          105,829      35     2.4 GB
    ========   =======   =====   ========

    Parameters
    ----------
    version : {1, 2}, default=2
        Published version, 0.01 or 0.02.
    words : str or iterable of str, default=None
        Words to keep, e.g. ("yes", "no"); None keeps all.
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
            WAV files, sorted by word and name.
        target : ndarray of int of shape (n_clips,)
            Index of the word in `target_names`.
        target_names : list of str
            Words, sorted.
        subset : ndarray of str of shape (n_clips,)
            Published part: "train", "validation" or "test".
        test : ndarray of bool of shape (n_clips,)
            True for the published test set.
        speaker, groups : ndarray of str of shape (n_clips,)
            Speaker, eight hexadecimal digits, for cross-validation over speakers.
        background_noise : list of str
            WAV files of noise, about a minute each.
        DESCR : str
            Description of the data set.
    (data, target) : tuple if `return_X_y` is True
        The two attributes of these names.

    Raises
    ------
    ValueError
        When `version` is not published, or `words` are not in it.
    FileNotFoundError
        When the data set is not there and `download_if_missing` is False.
    DownloadError
        When it cannot be downloaded, or files are missing; names them.

    References
    ----------
    P. Warden (2018), "Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition",
    https://arxiv.org/abs/1804.03209. CC BY 4.0.

    Examples
    --------
    >>> from sktl.datasets import fetch_speech_commands
    >>> commands = fetch_speech_commands(words=("yes", "no"))  # doctest: +SKIP
    >>> commands.target_names  # doctest: +SKIP
    ['no', 'yes']
    >>> train, test = commands.subset == "train", commands.subset == "test"  # doctest: +SKIP
    """
    if version not in _ARCHIVES:
        raise ValueError(f"version={version!r} is not published; give 1 or 2.")
    url, sha256 = _ARCHIVES[version]
    folder = data_folder(data_home) / "speech_commands"
    root = folder / f"speech_commands_v0.0{version}"
    if not root.is_dir():
        if not download_if_missing:
            raise FileNotFoundError(
                f"No Speech Commands in {root}. Call fetch_speech_commands with "
                "download_if_missing=True, or give the folder that holds speech_commands as "
                "data_home."
            )
        _choose(words, _published(version), version)
        fetch_archive(
            url,
            root,
            by_hand=f"unpack the archive into {root}",
            check=_list_clips,
            sha256=sha256,
        )
    clips = _list_clips(root)
    target_names = _choose(words, {clip.word for clip in clips}, version)
    numbers = {word: number for number, word in enumerate(target_names)}
    clips = [clip for clip in clips if clip.word in numbers]
    paths = [clip.path for clip in clips]
    target = np.array([numbers[clip.word] for clip in clips], dtype=int)
    if return_X_y:
        return paths, target
    subset = np.array([clip.subset for clip in clips])
    speaker = np.array([clip.speaker for clip in clips])
    return Bunch(
        data=paths,
        paths=paths,
        target=target,
        target_names=target_names,
        subset=subset,
        test=subset == "test",
        speaker=speaker,
        groups=speaker,
        background_noise=sorted(str(file) for file in (root / _NOISE).glob("*.wav")),
        DESCR=description("speech_commands"),
    )


def _published(version: int) -> set[str]:
    """Words of a version: 30, and from the second on 35 (Warden 2018, section 5)."""
    return set(_WORDS.split()) | set(_LATER_WORDS.split() if version > 1 else ())


def _list_clips(root: Path) -> list[_Clip]:
    """All clips, sorted; raise DownloadError unless the listed ones and their lists are there."""
    advice = (
        "Move that folder away to download the data set again, or unpack the published archive "
        "there."
    )
    lacking = [name for name in _LISTS.values() if not (root / name).is_file()]
    if lacking:
        raise DownloadError(f"Speech Commands in {root} lacks {first_few(lacking)}. {advice}")
    subset_of = {
        line: subset
        for subset, name in _LISTS.items()
        for line in (root / name).read_text("utf-8").split()
    }
    words = sorted(
        entry.name for entry in root.iterdir() if entry.name[0] not in "._" and entry.is_dir()
    )
    clips, there = [], set()
    for word in words:
        for name in sorted(os.listdir(root / word)):
            speaker, separator, rest = name.partition("_nohash_")
            if separator and rest.endswith(".wav"):
                key = f"{word}/{name}"
                there.add(key)
                path = os.path.join(root, word, name)
                clips.append(_Clip(path, word, speaker, subset_of.get(key, "train")))
    missing = [key for key in subset_of if key not in there]
    if missing or not clips:
        what = f"{len(missing)} listed files: {first_few(missing)}" if missing else "recordings"
        raise DownloadError(f"Speech Commands in {root} lacks {what}. {advice}")
    return clips


def _choose(words: str | Iterable[str] | None, there: set[str], version: int) -> list[str]:
    """Words to keep, sorted."""
    if words is None:
        return sorted(there)
    chosen = {words} if isinstance(words, str) else set(words)
    unknown = sorted(chosen - there)
    if unknown or not chosen:
        what = f"names {unknown}" if unknown else "is empty"
        raise ValueError(f"words {what}; version {version} has {', '.join(sorted(there))}.")
    return sorted(chosen)
