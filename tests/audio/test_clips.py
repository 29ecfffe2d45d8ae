"""What counts as clips is decided by type, and clips come in order, a few at a time."""

import threading
from itertools import chain

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from sklearn.base import BaseEstimator

from sktl.audio import Clips, is_clips, load_audio, validate_clips
from sktl.audio._ahead import FILES_WORTH_COMPILING
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


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("sr", [16000, 8000])
def test_a_thousand_files_of_all_kinds_come_as_one_alone_would(tmp_path, n_jobs, sr):
    rng = np.random.default_rng(0)
    paths = []
    for index in range(FILES_WORTH_COMPILING):
        suffix = rng.choice(["wav", "flac"], p=[0.9, 0.1])
        paths.append(tmp_path / f"{index}.{suffix}")
        length = 300_000 if index % 100 == 99 else rng.integers(1, 400)
        soundfile.write(paths[-1], rng.uniform(-1, 1, size=length), 16000)
    chunks = list(validate(paths, sr=sr, n_jobs=n_jobs).chunks(300))
    for path, clip in zip(paths, chain(*chunks), strict=True):
        np.testing.assert_array_equal(clip, load_audio(path, sr))


def test_stopping_early_leaves_no_threads(paths):
    before = threading.active_count()
    chunks = validate(paths, n_jobs=2).chunks(2)
    next(chunks)
    chunks.close()
    assert threading.active_count() == before


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


def lengths(chunks):
    return [[len(clip) for clip in chunk] for chunk in chunks]


@pytest.mark.parametrize(
    ("max_samples", "expected"),
    [
        (1000, [[100, 101, 102], [103, 104, 105], [106]]),
        (303, [[100, 101, 102], [103, 104], [105, 106]]),
        (302, [[100, 101], [102, 103], [104, 105], [106]]),
        (1, [[100], [101], [102], [103], [104], [105], [106]]),
    ],
)
def test_a_chunk_has_few_samples_but_one_clip_at_least(paths, max_samples, expected):
    arrays = [np.zeros(100 + index) for index in range(7)]
    for X in (paths, arrays, [torch.from_numpy(array) for array in arrays]):
        clips = validate(X, keep_tensors=True)
        assert lengths(clips.chunks(3, max_samples)) == expected
    dense = validate(np.zeros((5, 100)))
    assert lengths(dense.chunks(3, max_samples=200)) == [[100, 100], [100, 100], [100]]


def test_clips_of_an_hour_are_chunks_of_their_own():
    long = np.broadcast_to(np.float32(0), 2**22 + 1)
    assert lengths(Clips([long, long[:5], long[:9]], 16000).chunks(64)) == [[2**22 + 1], [5, 9]]


@pytest.mark.parametrize("form", [np.asarray, torch.tensor])
def test_taken_rows_are_in_the_order_asked_for(form):
    clips = validate(form([[0.0, 1.0], [0.5, 0.25], [0.125, 0.75]]), keep_tensors=True)
    (chunk,) = clips.take([2, 0]).chunks(4)
    assert [clip.tolist() for clip in chunk] == [[0.125, 0.75], [0.0, 1.0]]
    (chunk,) = validate([form([0.0]), form([1.0, 0.5])], keep_tensors=True).take([1, 1]).chunks(4)
    assert [clip.tolist() for clip in chunk] == [[1.0, 0.5], [1.0, 0.5]]


def test_arrays_come_out_contiguous_and_are_not_copied_without_need():
    clip = np.linspace(-1, 1, 8, dtype=np.float32)
    (chunk,) = validate([clip, clip[::-1], clip.astype(">f4")]).chunks(3)
    assert np.shares_memory(chunk[0], clip)
    assert all(made.flags.c_contiguous and made.dtype.isnative for made in chunk)
    np.testing.assert_array_equal(chunk[1], clip[::-1])
    np.testing.assert_array_equal(chunk[2], clip)


def test_values_too_large_for_the_dtype_are_refused():
    clips = np.zeros((5, 3))
    clips[3, 1] = -1e300
    for X in (clips, list(clips), list(map(torch.tensor, clips))):
        with pytest.raises(ValueError, match=r"^X\[3\] holds values too large for float32; give"):
            list(validate(X).chunks(2))
