"""IEMOCAP: acted emotional dialogues, from a licensed copy."""

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.utils import Bunch

from ._base import description, first_few

__all__ = ["load_iemocap"]

_ROOT = "IEMOCAP_full_release"
_SESSIONS = range(1, 6)
_CLASSES = {"ang": "angry", "exc": "happy", "hap": "happy", "neu": "neutral", "sad": "sad"}
# [start - end], turn, emotion and perhaps [valence, activation, dominance], between tabs.
_LINE = re.compile(r"\[[^\]]*\]\t(\w+_[FM]\w+)\t(\w+)(?:\t\[([\d.]+), *([\d.]+), *([\d.]+)\])?\s*")


class _Turn(NamedTuple):
    path: str
    label: str
    session: int
    speaker: str
    dimensions: tuple[float, ...]


def load_iemocap(path: str | os.PathLike[str], *, return_X_y: bool = False) -> Bunch | tuple:
    """Load the four usual classes of IEMOCAP: angry, happy, neutral and sad speech.

    Acted dialogues of ten speakers, two in each of five sessions, cut into turns. Turns labelled
    "excited" count as happy, the choice most publications make; those of other emotions, and those
    the annotators did not agree on, are left out. The corpus is licensed and is not downloaded:
    `path` is a copy from the Signal Analysis and Interpretation Laboratory, https://sail.usc.edu/iemocap.

    ========   =============================
    Classes                                4
    Files      5,531, of which 1,103 angry,
               1,636 happy, 1,708 neutral,
               1,084 sad
    Speakers   10, two in each of 5 sessions
    ========   =============================

    Parameters
    ----------
    path : str or path-like
        Folder ``IEMOCAP_full_release``, with ``Session1`` to ``Session5``, or the one it lies in.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with attributes

        data, paths : list of n_turns str
            WAV files, sorted by session and name.
        target : ndarray of int of shape (n_turns,)
            Index of the class in `target_names`.
        target_names : list of str
            ["angry", "happy", "neutral", "sad"].
        groups : ndarray of int of shape (n_turns,)
            Session, 1 to 5. No speaker is in two of them.
        speaker : ndarray of str of shape (n_turns,)
            Session and sex of who speaks: "1F", "1M", …, "5M".
        label : ndarray of str of shape (n_turns,)
            Emotion as annotated: "ang", "exc", "hap", "neu" or "sad".
        improvised : ndarray of bool of shape (n_turns,)
            True for improvised dialogues, False for those from a script.
        dimensions : ndarray of float of shape (n_turns, 3)
            Valence, activation and dominance, 1 to 5 each, NaN where they are not annotated.
        dimension_names : list of str
            ["valence", "activation", "dominance"].
        DESCR : str
            Description of the data set.
    (data, target) : tuple if `return_X_y` is True
        The two attributes of these names.

    Raises
    ------
    FileNotFoundError
        When there is no copy of the corpus at `path`, or sessions, annotations or recordings are
        missing from it; names them.
    NotADirectoryError
        When `path` is a file.
    ValueError
        When a line of the annotations cannot be read; names it.

    References
    ----------
    C. Busso, M. Bulut, C.-C. Lee, A. Kazemzadeh, E. Mower, S. Kim, J. N. Chang, S. Lee and S. S.
    Narayanan (2008), "IEMOCAP: Interactive emotional dyadic motion capture database", Language
    Resources and Evaluation 42, 335-359, https://doi.org/10.1007/s10579-008-9076-6.

    Examples
    --------
    >>> from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
    >>> from sktl.datasets import load_iemocap
    >>> emotions = load_iemocap("~/IEMOCAP_full_release")  # doctest: +SKIP
    >>> len(emotions.data), emotions.target_names  # doctest: +SKIP
    (5531, ['angry', 'happy', 'neutral', 'sad'])
    >>> cross_val_score(model, emotions.data, emotions.target, groups=emotions.groups,
    ...                 cv=LeaveOneGroupOut())  # doctest: +SKIP
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path={path!r} is no path; give the folder IEMOCAP_full_release.")
    root = _find(Path(path).expanduser())
    turns = [turn for session in _SESSIONS for turn in _read_session(root, session)]
    _check_recordings(turns, root)
    target_names = sorted(set(_CLASSES.values()))
    paths = [turn.path for turn in turns]
    target = np.array([target_names.index(_CLASSES[turn.label]) for turn in turns], dtype=int)
    if return_X_y:
        return paths, target
    return Bunch(
        data=paths,
        paths=paths,
        target=target,
        target_names=target_names,
        groups=np.array([turn.session for turn in turns], dtype=int),
        speaker=np.array([turn.speaker for turn in turns], dtype=str),
        label=np.array([turn.label for turn in turns], dtype=str),
        improvised=np.array(["_impro" in Path(turn.path).name for turn in turns], dtype=bool),
        dimensions=np.array([turn.dimensions for turn in turns]).reshape(-1, 3),
        dimension_names=["valence", "activation", "dominance"],
        DESCR=description("iemocap"),
    )


def _find(path: Path) -> Path:
    """Folder of the five sessions: `path` or the one of the corpus's name in it."""
    if path.is_file():
        raise NotADirectoryError(f"{path} is a file; give the folder {_ROOT}.")
    for root in (path, path / _ROOT):
        missing = [f"Session{i}" for i in _SESSIONS if not (root / f"Session{i}").is_dir()]
        if not missing:
            return root
        if len(missing) < len(_SESSIONS):
            raise FileNotFoundError(
                f"{root} lacks {first_few(missing)}; IEMOCAP has Session1 to Session5."
            )
    raise FileNotFoundError(
        f"No IEMOCAP in {path}: it has neither Session1 to Session5 nor a folder {_ROOT}. The "
        "corpus is licensed; ask for a copy at https://sail.usc.edu/iemocap."
    )


def _read_session(root: Path, session: int) -> list[_Turn]:
    """Turns of the kept classes, sorted by name."""
    folder = root / f"Session{session}"
    annotations = folder / "dialog" / "EmoEvaluation"
    # The release holds macOS's "._" twins of some files.
    files = sorted(file for file in annotations.glob("*.txt") if not file.name.startswith("."))
    if not files:
        raise FileNotFoundError(f"No annotations in {annotations}: it has no .txt files.")
    turns = []
    for file in files:
        lines = file.read_text("utf-8", errors="replace").splitlines()
        for number, line in enumerate(lines, start=1):
            if not line.startswith("["):
                continue
            found = _LINE.fullmatch(line)
            if not found:
                raise ValueError(
                    f"Line {number} of {file} is {line!r}; expected '[start - end]', turn, emotion "
                    "and '[valence, activation, dominance]' between tabs."
                )
            name, label, *values = found.groups()
            if label in _CLASSES:
                dialog, _, turn = name.rpartition("_")
                wav = folder / "sentences" / "wav" / dialog / f"{name}.wav"
                dimensions = tuple(float(value) if value else np.nan for value in values)
                turns.append(_Turn(str(wav), label, session, f"{session}{turn[0]}", dimensions))
    return sorted(turns)


def _check_recordings(turns: list[_Turn], root: Path) -> None:
    """Raise unless every turn has its file; folders are listed, which is faster than asking."""
    folders = {os.path.dirname(turn.path) for turn in turns}
    there = {
        os.path.join(folder, name)
        for folder in folders
        if os.path.isdir(folder)
        for name in os.listdir(folder)
    }
    missing = [Path(turn.path).name for turn in turns if turn.path not in there]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of the {len(turns)} annotated turns of IEMOCAP in {root} have no "
            f"recording: {first_few(missing)}; expected in Session*/sentences/wav/<dialog>."
        )
