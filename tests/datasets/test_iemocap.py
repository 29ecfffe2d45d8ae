from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import LeaveOneGroupOut

from sktl.datasets import load_iemocap

HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"


def evaluation(*turns):
    """Text of an evaluation: each turn's line, then those of its annotators."""
    lines = [
        f"[6.2901 - 8.2357]\t{name}\t{label}\t[{values}]\n"
        "C-E2:\tNeutral;\t()\nA-E3:\tval 3; act 2; dom  2;\t()\n\n"
        for name, label, values in turns
    ]
    return (HEADER + "".join(lines)).encode()


def corpus():
    """Files of a small IEMOCAP_full_release by path."""
    dialogs = {
        "Session1": {
            "Ses01F_script01_1": [("Ses01F_script01_1_M001", "exc", "4.0000, 3.5000, 2.5000")],
            "Ses01F_impro01": [
                ("Ses01F_impro01_M000", "fru", "2.0000, 2.5000, 2.5000"),
                ("Ses01F_impro01_F000", "neu", "2.5000, 2.0000, 1.5000"),
                ("Ses01F_impro01_F001", "xxx", "2.5000, 2.5000, 2.5000"),
            ],
        }
    }
    for i, label in zip(range(2, 6), ("hap", "sad", "ang", "neu"), strict=True):
        dialog = f"Ses0{i}M_impro02"
        dialogs[f"Session{i}"] = {dialog: [(f"{dialog}_M005", label, "1.0000, 2.0000, 3.0000")]}
    files = {}
    for session, contents in dialogs.items():
        for dialog, turns in contents.items():
            files[f"{session}/dialog/EmoEvaluation/{dialog}.txt"] = evaluation(*turns)
            files[f"{session}/dialog/EmoEvaluation/Categorical/{dialog}_e2_cat.txt"] = b"[other"
            for name, _, _ in turns:
                files[f"{session}/sentences/wav/{dialog}/{name}.wav"] = b"wav"
    files["Session1/dialog/EmoEvaluation/._Ses01F_impro01.txt"] = b"\x00\xff\n[junk"
    return files


@pytest.fixture
def release(tmp_path, write_tree):
    """Write a release, with some files left out or replaced."""

    def write(without=(), **replaced):
        files = {k: v for k, v in corpus().items() if not any(part in k for part in without)}
        return write_tree(tmp_path / "IEMOCAP_full_release", files | replaced)

    return write


@pytest.mark.parametrize("inside", [True, False])
def test_the_four_classes_are_listed_with_their_sessions_and_speakers(release, inside):
    root = release()
    emotions = load_iemocap(root if inside else str(root.parent))
    assert [Path(path).stem for path in emotions.data] == [
        "Ses01F_impro01_F000",
        "Ses01F_script01_1_M001",
        "Ses02M_impro02_M005",
        "Ses03M_impro02_M005",
        "Ses04M_impro02_M005",
        "Ses05M_impro02_M005",
    ]
    assert emotions.paths == emotions.data
    assert all(type(path) is str and Path(path).is_file() for path in emotions.data)
    assert emotions.target_names == ["angry", "happy", "neutral", "sad"]
    np.testing.assert_array_equal(emotions.target, [2, 1, 1, 3, 0, 2])
    assert list(emotions.label) == ["neu", "exc", "hap", "sad", "ang", "neu"]
    np.testing.assert_array_equal(emotions.groups, [1, 1, 2, 3, 4, 5])
    assert list(emotions.speaker) == ["1F", "1M", "2M", "3M", "4M", "5M"]
    np.testing.assert_array_equal(emotions.improvised, [True, False, True, True, True, True])
    assert "sail.usc.edu" in emotions.DESCR


def test_dimensions_are_valence_activation_and_dominance(release):
    emotions = load_iemocap(release())
    assert emotions.dimension_names == ["valence", "activation", "dominance"]
    np.testing.assert_array_equal(emotions.dimensions[:2], [[2.5, 2.0, 1.5], [4.0, 3.5, 2.5]])
    assert emotions.dimensions.shape == (6, 3)


def test_a_turn_without_dimensions_has_nan(release):
    name = "Session2/dialog/EmoEvaluation/Ses02M_impro02.txt"
    root = release(**{name: b"[6.29 - 8.23]\tSes02M_impro02_M005\thap\r\n"})
    dimensions = load_iemocap(root).dimensions
    np.testing.assert_array_equal(np.isnan(dimensions).all(axis=1), [0, 0, 1, 0, 0, 0])


def test_paths_and_target_alone(release):
    paths, target = load_iemocap(release(), return_X_y=True)
    assert len(paths) == 6
    np.testing.assert_array_equal(target, [2, 1, 1, 3, 0, 2])


def test_groups_leave_one_session_out(release):
    emotions = load_iemocap(release())
    folds = list(LeaveOneGroupOut().split(emotions.data, groups=emotions.groups))
    assert len(folds) == 5
    for train, test in folds:
        assert not set(emotions.speaker[train]) & set(emotions.speaker[test])


def test_another_folder_is_refused_and_says_where_to_ask(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(
            FileNotFoundError, match=r"No IEMOCAP in .*ask for a copy at https://sa"
        ):
            load_iemocap(path)


def test_a_file_is_refused(tmp_path):
    (tmp_path / "IEMOCAP.tar.gz").touch()
    with pytest.raises(NotADirectoryError, match=r"IEMOCAP\.tar\.gz is a file; give the folder"):
        load_iemocap(tmp_path / "IEMOCAP.tar.gz")


def test_missing_sessions_are_named(release):
    with pytest.raises(FileNotFoundError, match=r"full_release lacks Session2, Session4; IEMOCAP"):
        load_iemocap(release(without=("Session2", "Session4")))


def test_a_session_without_annotations_is_named(release):
    root = release(without=("Session3/dialog",))
    with pytest.raises(FileNotFoundError, match=r"No annotations in .*Session3.*EmoEvaluation"):
        load_iemocap(root)


def test_turns_without_recordings_are_counted_and_named(release):
    root = release(without=("impro01_F000.wav", "Session5/sentences"))
    message = r"2 of the 6 annotated turns .*: Ses01F_impro01_F000\.wav, Ses05M_impro02_M005\.wav;"
    with pytest.raises(FileNotFoundError, match=message):
        load_iemocap(root)


def test_recordings_of_other_emotions_may_be_missing(release):
    assert len(load_iemocap(release(without=("impro01_M000.wav",))).data) == 6


@pytest.mark.parametrize(
    "line", ["[1.0 - 2.0] Ses04M_impro02_M005 ang", "[1.0 - 2.0]\tSes04M_impro02_M005\tang\t[1.0]"]
)
def test_a_line_that_cannot_be_read_is_named(release, line):
    name = "Session4/dialog/EmoEvaluation/Ses04M_impro02.txt"
    root = release(**{name: f"{HEADER}{line}\n".encode()})
    with pytest.raises(ValueError, match=r"Line 3 of .*Ses04M_impro02\.txt is '\[1\.0 - 2\.0\]"):
        load_iemocap(root)


def test_what_is_no_path_is_named():
    with pytest.raises(TypeError, match="path=None is no path; give the folder IEMOCAP"):
        load_iemocap(None)
