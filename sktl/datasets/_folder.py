"""Audio files of one's own: one folder per class, with or without folders per domain."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.utils import Bunch

from ._base import first_few

__all__ = ["load_audio_folder"]

_EXTENSIONS = (".aif", ".aiff", ".au", ".flac", ".mp3", ".ogg", ".opus", ".wav")


class _File(NamedTuple):
    path: Path
    label: str
    domain: str


def load_audio_folder(
    path: str | os.PathLike[str],
    *,
    domain: str | Callable[[Path], str] | None = None,
    target_domains: str | Iterable[str] = (),
    extensions: str | Iterable[str] = _EXTENSIONS,
) -> Bunch:
    """List the audio files of a folder with one sub-folder per class.

    Only names are read, no audio. Files may lie at any depth below their class, and hidden files
    and folders (those whose name starts with a dot) are passed over.

    Parameters
    ----------
    path : str or path-like
        Folder to look in.
    domain : {"above", "below"} or callable, default=None
        Where a file's domain comes from.

        - None: ``path/class/…/file``, all files are of one source domain.
        - "above": ``path/domain/class/…/file``, folders of domains above those of classes.
        - "below": ``path/class/domain/…/file``, folders of domains below those of classes.
        - callable: ``path/class/…/file``; it is called with the :class:`~pathlib.Path` of each
          file and returns the label of the file's domain.
    target_domains : str or iterable of str, default=()
        Labels of the domains that are targets; all others are sources.
    extensions : str or iterable of str, default=(".aif", ".aiff", ".au", ".flac", ".mp3", \
".ogg", ".opus", ".wav")
        File name endings of audio files, in any case; other files are passed over.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        Dictionary-like object with attributes

        data, paths : list of str
            Files, sorted by path.
        target : ndarray of int of shape (n_files,)
            Index of the class in `target_names`.
        target_names : list of str
            Class labels, sorted.
        sample_domain : ndarray of int of shape (n_files,)
            1, 2, … for source domains, negative for targets; no two domains share a magnitude.
        domain_names : dict of int to str
            Domain label for each value of `sample_domain`; {1: "source"} where `domain` is None.

    Raises
    ------
    FileNotFoundError
        When there is nothing at `path`.
    NotADirectoryError
        When `path` is a file.
    ValueError
        When there are no sub-folders, a class or domain folder has no audio files, or
        `target_domains` names a domain that is not there.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sktl.datasets import load_audio_folder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ["cat/studio/a.wav", "cat/phone/b.wav", "dog/studio/c.wav"]:
    ...         file = Path(folder, name)
    ...         file.parent.mkdir(parents=True, exist_ok=True)
    ...         file.touch()
    ...     sounds = load_audio_folder(folder, domain="below", target_domains="phone")
    >>> [Path(path).name for path in sounds.paths]
    ['b.wav', 'a.wav', 'c.wav']
    >>> sounds.target, sounds.target_names
    (array([0, 0, 1]), ['cat', 'dog'])
    >>> sounds.sample_domain, sounds.domain_names
    (array([-2,  1,  1]), {1: 'studio', -2: 'phone'})
    """
    root = Path(path).expanduser()
    if not root.exists():
        raise FileNotFoundError(f"There is no folder {root}; give one with a sub-folder per class.")
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is a file; give a folder with a sub-folder per class.")
    if not (domain is None or domain in ("above", "below") or callable(domain)):
        raise ValueError(f"domain={domain!r} is none of None, 'above', 'below' and a callable.")
    files = sorted(_list_files(root, domain, _endings(extensions)))
    target_names = sorted({file.label for file in files})
    numbers = _number_domains({file.domain for file in files}, domain, target_domains)
    paths = [str(file.path) for file in files]
    return Bunch(
        data=paths,
        paths=paths,
        target=np.array([target_names.index(file.label) for file in files]),
        target_names=target_names,
        sample_domain=np.array([numbers[file.domain] for file in files]),
        domain_names={number: label for label, number in numbers.items()},
    )


def _list_files(
    root: Path, domain: str | Callable[[Path], str] | None, endings: tuple[str, ...]
) -> list[_File]:
    """All audio files below `root`, with their class and domain."""
    outer_kind = "domain" if domain == "above" else "class"
    outers = _subfolders(root, outer_kind)
    if domain not in ("above", "below"):
        label_of = domain if callable(domain) else lambda _: "source"
        return [
            _File(file, outer.name, str(label_of(file)))
            for outer in outers
            for file in _audio_files(outer, outer_kind, endings)
        ]
    inner_kind = "class" if domain == "above" else "domain"
    files = []
    for outer in outers:
        for inner in _subfolders(outer, inner_kind, endings):
            names = (inner.name, outer.name) if domain == "above" else (outer.name, inner.name)
            found = _audio_files(inner, inner_kind, endings)
            files += [_File(file, *names) for file in found]
    return files


def _subfolders(folder: Path, kind: str, endings: tuple[str, ...] = ()) -> list[Path]:
    """Sub-folders of `folder`, of which there must be some, and (with `endings`) no audio files."""
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    folders = [entry for entry in entries if entry.is_dir()]
    if not folders:
        raise ValueError(
            f"{folder} has no sub-folders; audio files are looked for in one sub-folder per {kind}."
        )
    stray = sorted(entry.name for entry in entries if _is_audio(entry, endings) and entry.is_file())
    if stray:
        raise ValueError(
            f"{folder} holds audio files that lie in no {kind} folder: {first_few(stray)}; put "
            f"them into one sub-folder per {kind}."
        )
    return folders


def _audio_files(folder: Path, kind: str, endings: tuple[str, ...]) -> list[Path]:
    """Audio files at any depth below `folder`, of which there must be some."""
    files, others = [], set()
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            file = Path(parent, name)
            if name.startswith("."):
                continue
            if _is_audio(file, endings):
                files.append(file)
            else:
                others.add(file.suffix or name)
    if not files:
        seen = f"; it holds files of other kinds: {first_few(sorted(others))}" if others else ""
        raise ValueError(
            f"The {kind} folder {folder} has no audio files ({', '.join(endings)}){seen}. Remove "
            "it, fill it, or name other extensions."
        )
    return files


def _is_audio(path: Path, endings: tuple[str, ...]) -> bool:
    return path.name.lower().endswith(endings)


def _endings(extensions: str | Iterable[str]) -> tuple[str, ...]:
    """Lower-case endings with a dot."""
    given = [extensions] if isinstance(extensions, str) else list(extensions)
    if not given or not all(isinstance(ending, str) and ending.strip(".") for ending in given):
        raise ValueError(f"extensions={extensions!r} names no file types; give e.g. ('.wav',).")
    return tuple(f".{ending.lower().lstrip('.')}" for ending in given)


def _number_domains(
    labels: set[str], domain: object, target_domains: str | Iterable[str]
) -> dict[str, int]:
    """Give every domain its own number: sources first, then targets with a minus sign."""
    targets = {target_domains} if isinstance(target_domains, str) else set(target_domains)
    if targets and domain is None:
        raise ValueError(
            f"target_domains={sorted(targets)} needs domain='above', 'below' or a callable; "
            "with domain=None all files are of one source domain."
        )
    unknown = sorted(targets - labels)
    if unknown:
        raise ValueError(f"target_domains names {unknown}, but the domains are {sorted(labels)}.")
    ordered = sorted(labels - targets) + sorted(targets)
    return {
        label: -number if label in targets else number
        for number, label in enumerate(ordered, start=1)
    }
