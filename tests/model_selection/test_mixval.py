"""Predictions for mixtures of target rows."""

import numpy as np
import pandas as pd
import pytest
import soundfile
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sktl import MFCC
from sktl.model_selection._mixval import mixval_score
from sktl.model_selection._outputs import Outputs

LEVELS = np.array([-2.0, -1.0, 1.0, 2.0, 3.0])[:, None]


@pytest.fixture
def clf():
    return LogisticRegression().fit(LEVELS, LEVELS[:, 0] > 0)


def test_each_row_is_mixed_with_one_of_its_class_and_one_of_another():
    rows = np.array([[-2.0], [-2.0], [5.0], [5.0]])
    clf = LogisticRegression().fit(rows, rows[:, 0] > 0)  # the boundary lies at 1.5
    # 0.6 * -2 + 0.4 * 5 = 0.8 and 0.6 * 5 + 0.4 * -2 = 2.2 keep their sides; with 0.55, 1.15
    # and 1.85 do too; mixtures within a class are the class's own value.
    assert mixval_score(Outputs(clf, rows)) == 1.0
    lopsided = np.array([[1.0], [1.0], [9.0], [9.0]])
    # 0.55 * 1 + 0.45 * 9 = 4.6 crosses to the other side, 0.55 * 9 + 0.45 * 1 = 5.4 does not.
    assert mixval_score(Outputs(clf, np.array([[1.0], [1.0], [9.0], [9.0]]))) == 0.75
    assert mixval_score(Outputs(clf, lopsided), mix=0.99) == 1.0


def test_one_class_is_scored_by_its_own_pairs_and_one_row_by_none(clf):
    assert mixval_score(Outputs(clf, LEVELS[2:])) == 1.0
    assert mixval_score(Outputs(clf, LEVELS[:1])) == 0.0


def test_source_rows_have_no_part(clf):
    rows = np.concatenate([LEVELS, LEVELS * 0 + 100])
    alone = mixval_score(Outputs(clf, LEVELS))
    both = mixval_score(Outputs(clf, rows, None, np.repeat([-1, 1], 5)))
    assert alone == both


def test_frames_and_sparse_rows_are_mixed_as_arrays(clf):
    expected = mixval_score(Outputs(clf, LEVELS))
    assert mixval_score(Outputs(clf, csr_matrix(LEVELS))) == expected
    assert mixval_score(Outputs(clf, LEVELS.tolist())) == expected
    frame = pd.DataFrame(LEVELS, columns=["level"], index=list("vwxyz"))
    named = LogisticRegression().fit(frame, frame["level"] > 0)
    assert mixval_score(Outputs(named, frame)) == expected


@pytest.fixture
def recordings(tmp_path):
    generator = np.random.default_rng(0)
    clips, paths = [], []
    for i in range(12):
        time = np.arange(3000 + 100 * i) / 16000
        clip = 0.5 * np.sin(2 * np.pi * (300 if i % 2 else 2000) * time)
        clips.append((clip + 0.01 * generator.normal(size=len(time))).astype(np.float32))
        paths.append(tmp_path / f"{i}.wav")
        soundfile.write(paths[-1], clips[-1], 16000, subtype="FLOAT")
    return clips, paths, np.where(np.arange(12) % 2, "low", "high")


def test_clips_of_any_length_and_files_are_mixed_alike(recordings):
    clips, paths, y = recordings
    pipe = make_pipeline(MFCC(), LogisticRegression(max_iter=1000)).fit(clips, y)
    found = mixval_score(Outputs(pipe, clips))
    assert 0.5 <= found <= 1.0
    assert mixval_score(Outputs(pipe, paths)) == found
    assert mixval_score(Outputs(pipe, pd.Series(clips, index=range(5, 17)))) == found


def test_paths_need_a_rate(said, tmp_path):
    class OfPaths(type(said)):
        def predict(self, X):
            return np.array(["a"] * len(X))

    with pytest.raises(ValueError, match="OfPaths does not say at which sample rate"):
        mixval_score(Outputs(OfPaths(), [tmp_path / "a.wav", tmp_path / "b.wav"]))
