"""What is neither an array nor a sequence of clips is refused with advice."""

import array
from collections import deque
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from sktl.audio._container import check_container


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((2, 3)),
        torch.zeros(2, 3),
        pd.DataFrame({"x0": [0.0, 1.0]}),
        [np.zeros(3), np.zeros(2)],
        deque([torch.zeros(3)]),
        ["a.wav", Path("b.wav")],
        np.array(["a.wav"]),
        pd.Series(["a.wav"]),
        [[0.1, 0.2], (0.3, 0.4), np.array([0.5, 0.6])],
        np.array([["0.1"]], dtype=object).astype(float),
        array.array("d", [0.1, 0.2]),
    ],
)
def test_every_form_of_clips_is_let_through(X):
    check_container(X)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([], "X is empty; give at least one clip"),
        ("a.wav", r"X='a.wav' is a single path; give a list of paths, \['a.wav'\]"),
        (Path("a.wav"), r"X='a.wav' is a single path; give a list of paths, \['a.wav'\]"),
        (b"a.wav", r"X='a.wav' is a single path; give a list of paths, \['a.wav'\]"),
        ([b"a.wav"], r"X\[0\]=b'a.wav' is bytes; give paths as str, os.fsdecode\(X\[0\]\)"),
        (np.array([b"a.wav"]), r"X\[0\]=b'a.wav' is bytes; give paths as str"),
        (None, r"X is None; give an array \(n_clips, n_samples\), or a list of 1-D arrays or of"),
        (3, r"X is of type int; give an array \(n_clips, n_samples\), or a list .* of paths\.$"),
        ({"a": np.zeros(3)}, r"X is of type dict; give .*, e\.g\. list\(X\.values\(\)\)"),
        ({"a": np.zeros(3)}.values(), r"X is of type dict_values; .*, e\.g\. list\(X\)"),
        ((np.zeros(3) for _ in range(2)), r"X is of type generator; give .*, e\.g\. list\(X\)"),
        (iter(["a.wav"]), r"X is of type list_iterator; give .*, e\.g\. list\(X\)"),
        ({"a.wav"}, r"X is of type set; give .*, e\.g\. sorted\(X\)"),
        ([[0.1, 0.2], [0.3]], r"X\[1\] has length 1 but X\[0\] has length 2.*give arrays"),
        (((0.1,), (0.2,), (0.3, 0.4)), r"X\[2\] has length 2 but X\[0\] has length 1"),
        ([[0.1], None], r"X\[1\] is of type NoneType; give an array"),
        ([None, np.zeros(3)], r"X\[0\] is of type NoneType; give an array"),
        (pd.Series([np.nan, "a.wav"], dtype=object), r"X\[0\] is of type float; give an array"),
        ([["a.wav"], ["b.wav"]], r"X\[0\] is a list of paths; give one list of paths"),
        (np.array([["a.wav"]]), r"X has shape \(1, 1\) and holds text; .*X\.ravel\(\)\.tolist\(\)"),
        (pd.DataFrame({"path": ["a.wav"]}), r"data frame that holds text; .*e\.g\. X\['path'\]"),
        (pd.DataFrame({"n": [1], "path": ["a.wav"]}), r"data frame that holds text"),
    ],
)
def test_what_holds_no_clips_is_refused_with_advice(X, message):
    with pytest.raises(ValueError, match=message):
        check_container(X)


def test_a_folder_is_told_from_a_file(tmp_path):
    for folder in (tmp_path, str(tmp_path), bytes(tmp_path)):
        with pytest.raises(ValueError, match=r"is a folder; .*e\.g\. sorted\(Path\('.*'\)\.rglob"):
            check_container(folder)
