"""What counts as clips is decided by type; bad clips are refused before any long work."""

import threading
import time
from itertools import chain

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from sklearn.base import BaseEstimator

from sktl.audio import _read, is_clips, load_audio, validate_clips
from sktl.exceptions import AudioReadError


def validate(X, *, estimator=None, sr=16000, reset=True, **options):
    return validate_clips(estimator or BaseEstimator(), X, sr=sr, reset=reset, **options)


def object_array(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


@pytest.fixture
def paths(tmp_path):
    """Seven files of 100 to 106 samples whose first sample tells them apart."""
    made = []
    for index in range(7):
        path = tmp_path / f"{index}.wav"
        clip = np.full(100 + index, index / 10)
        soundfile.write(path, clip, 16000, subtype="FLOAT")
        made.append(path)
    return made


SAME_LENGTH = [np.zeros(4), np.zeros(4)]


@pytest.mark.parametrize(
    "X",
    [
        SAME_LENGTH,
        tuple(SAME_LENGTH),
        [np.zeros(4), np.zeros(5)],
        [torch.zeros(4), torch.zeros(4)],
        object_array(SAME_LENGTH),
        pd.Series(SAME_LENGTH),
        ["a.wav", "b.wav"],
        np.array(["a.wav", "b.wav"]),
        pd.Series(["a.wav", "b.wav"]),
        object_array(["a.wav", "b.wav"]),
    ],
)
def test_sequences_of_arrays_or_paths_are_clips(X):
    assert is_clips(X)


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((2, 4)),
        np.zeros((2, 4), dtype=object),
        np.zeros((2, 3, 4)),
        torch.zeros(2, 4),
        [[0.0, 1.0], [1.0, 0.0]],
        [0.0, 1.0],
        [np.float64(0.0)],
        pd.DataFrame({"a": [0.0]}),
        pd.Series([0.0, 1.0]),
        np.array([["a.wav"]]),
        "a.wav",
        {"a": 1},
        None,
    ],
)
def test_anything_else_is_not_clips(X):
    assert not is_clips(X)


def test_two_dimensional_array_sets_and_checks_n_features_in():
    estimator = BaseEstimator()
    assert validate(np.zeros((2, 4)), estimator=estimator).dense
    assert estimator.n_features_in_ == 4
    with pytest.raises(ValueError, match="expecting 4 features"):
        validate(np.zeros((2, 5)), estimator=estimator, reset=False)
    validate([np.zeros(5)], estimator=estimator, reset=False)


def test_list_does_not_set_n_features_in_and_forgets_an_earlier_one():
    estimator = BaseEstimator()
    validate(np.zeros((2, 4)), estimator=estimator)
    assert not validate([np.zeros(4)], estimator=estimator).dense
    assert not hasattr(estimator, "n_features_in_")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_chunks_give_arrays_of_the_dtype_in_order(dtype):
    X = [torch.full((3,), 1.0), np.full(2, 2), np.full(4, 3.0, dtype=np.float32)]
    chunks = list(validate(X, dtype=dtype).chunks(2))
    assert [len(chunk) for chunk in chunks] == [2, 1]
    clips = [clip for chunk in chunks for clip in chunk]
    assert [clip[0] for clip in clips] == [1, 2, 3]
    assert all(clip.dtype == dtype for clip in clips)


def test_tensor_that_requires_grad_is_detached():
    (chunk,) = validate(torch.ones(2, 3, requires_grad=True)).chunks(2)
    np.testing.assert_array_equal(chunk, np.ones((2, 3)))


@pytest.mark.parametrize("n_jobs", [None, 2, -1])
def test_files_come_in_order_whatever_the_threads(paths, n_jobs):
    chunks = list(validate(paths, n_jobs=n_jobs).chunks(3))
    assert [len(chunk) for chunk in chunks] == [3, 3, 1]
    for path, clip in zip(paths, chain(*chunks), strict=True):
        np.testing.assert_array_equal(clip, load_audio(path, 16000))


def test_files_are_decoded_ahead_but_at_most_one_chunk(paths, monkeypatch):
    decoded = []
    decode = _read._decode
    monkeypatch.setattr(_read, "_decode", lambda *args: (decoded.append(0), decode(*args))[1])
    chunks = validate(paths).chunks(2)
    assert decoded == []
    next(chunks)
    deadline = time.monotonic() + 10
    while len(decoded) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(decoded) == 4
    chunks.close()


def test_stopping_early_leaves_no_threads(paths):
    before = threading.active_count()
    chunks = validate(paths, n_jobs=2).chunks(2)
    next(chunks)
    chunks.close()
    assert threading.active_count() == before


def test_all_missing_files_are_named_before_any_is_read(paths, monkeypatch):
    monkeypatch.setattr(_read, "_decode", lambda *args: pytest.fail("a file was read"))
    with pytest.raises(AudioReadError, match=r"2 of 4 .* do not exist:\n  x\.wav\n  y\.wav$"):
        validate([paths[0], "x.wav", paths[1], "y.wav"])


def test_all_undecodable_files_are_named(paths):
    for index in (2, 6):
        paths[index].write_text("not audio")
    with pytest.raises(AudioReadError, match=r"(?s)2 of 7 .*2\.wav: cannot.*6\.wav: cannot"):
        list(validate(paths).chunks(2))


def test_unreadable_files_become_none_with_one_warning(paths):
    paths[1].write_text("not audio")
    paths[4].unlink()
    clips = validate(paths, on_error="nan")
    with pytest.warns(UserWarning, match="2 of 7 audio files cannot be read") as record:
        rows = list(chain(*clips.chunks(2)))
    assert len(record) == 1
    assert [index for index, row in enumerate(rows) if row is None] == [1, 4]


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([], "X is empty; give at least one clip"),
        ("a.wav", r"X='a.wav' is a single path; give a list of paths"),
        ([np.zeros(3), np.zeros(0)], r"X\[1\] is empty: a clip needs at least one sample"),
        ([np.zeros(3), np.array([0.0, np.nan])], r"X\[1\] contains NaN or infinity"),
        ([np.array([np.inf])], r"X\[0\] contains NaN or infinity"),
        (np.full((2, 3), np.nan), "Input X contains NaN"),
        ([np.zeros((2, 3))], r"X\[0\] has shape \(2, 3\): several channels, such as stereo"),
        (np.zeros((5, 2, 3)), r"X has shape \(5, 2, 3\): clips of several channels.*mean"),
        ([np.zeros(3, np.int16)], r"X\[0\] has dtype int16.*X\[0\] / 32768"),
        (np.zeros((2, 3), np.int16), "X has dtype int16.*16-bit samples that is X / 32768"),
        ([np.zeros(3, np.uint8)], r"uint8.*\(X\[0\] - 128\) / 128"),
        ([np.array([0, 30000])], "int64: PCM that was not scaled.* / 32768"),
        (np.array([[0, 2**23 - 1]]), r"int64.*24-bit samples that is X / 8388608"),
        ([np.zeros(3, complex)], r"X\[0\] has dtype complex128"),
        ([np.zeros(3), "a.wav"], r"X\[1\] is a str but X\[0\] is an array"),
        (["a.wav", None], r"X\[1\] is a NoneType but X\[0\] is a path"),
        (pd.DataFrame({"path": ["a.wav"]}), r"give one column of it, e.g. X\['path'\]"),
        (np.zeros(5), "Expected 2D array, got 1D array"),
    ],
)
def test_bad_clips_are_refused_with_the_reason(X, message):
    with pytest.raises(ValueError, match=message):
        validate(X)


def test_small_whole_numbers_are_accepted():
    validate(np.array([[1, -2], [100, 0]]))


def test_clips_of_one_sample_are_accepted():
    assert len(validate([np.zeros(1)])) == 1


@pytest.mark.parametrize("sr", [None, "16000", 0, -1, float("inf")])
def test_nonsensical_sample_rate_is_refused(sr):
    with pytest.raises(ValueError, match=r"in Hz, e\.g\. sr=16000"):
        validate([np.zeros(3)], sr=sr)
