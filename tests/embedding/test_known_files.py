"""Files whose rows are stored are not read again, unless they or their rows have changed."""

import os

import numpy as np
import pytest
import soundfile

from sktl import FineTunedClassifier, PretrainedEmbedding
from sktl.audio import Clips, _clips
from sktl.embedding import _known_files, _rows, clear_memory
from sktl.embedding._cache import row_key
from sktl.embedding._known_files import chunks_of_files

SR = 16000


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """Nothing is known or kept, and files count as old as soon as they are written."""
    monkeypatch.setattr(_known_files, "SECONDS_OF_CHANGE", -60.0)
    _known_files._known.clear()
    clear_memory()
    yield
    _known_files._known.clear()
    clear_memory()


def write(path, seed, n_samples=4000):
    noise = 0.1 * np.random.default_rng(seed).normal(size=n_samples)
    soundfile.write(path, noise, SR, subtype="FLOAT")
    return str(path)


@pytest.fixture
def files(tmp_path):
    """Five files of 0.25 to 0.5 s."""
    return [write(tmp_path / f"{i}.wav", i, 4000 + 1000 * i) for i in range(5)]


@pytest.fixture
def read(monkeypatch):
    """Names of the files read so far."""
    seen = []
    read_ahead = _clips.read_ahead

    def noted(paths, *args):
        seen.extend(os.path.basename(path)[0] for path in paths)
        return read_ahead(paths, *args)

    monkeypatch.setattr(_clips, "read_ahead", noted)
    return seen


def all_chunks(files, is_stored=lambda key: True, size=64, max_samples=10**6, **options):
    clips = Clips(files, SR, from_files=True, **options)
    return list(chunks_of_files(clips, is_stored, size, max_samples))


def test_a_file_is_read_once_and_known_by_what_it_holds(files, read):
    [first] = all_chunks(files)
    [second] = all_chunks(files[::-1])
    assert read == list("01234")
    for row, path in zip(first, files, strict=True):
        samples, _ = soundfile.read(path, dtype="float32")
        np.testing.assert_array_equal(row.clip, samples)
        assert (row.key, row.n_samples) == (row_key(samples), len(samples))
    assert [row._replace(clip=None) for row in first] == second[::-1]


def test_only_stored_rows_are_spared(files, read):
    [rows] = all_chunks(files)
    read.clear()
    stored = {rows[0].key, rows[3].key}
    [again] = all_chunks(files, stored.__contains__)
    assert read == list("124")
    assert [row.clip is None for row in again] == [True, False, False, True, False]
    assert [row.key for row in again] == [row.key for row in rows]


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize(
    ("size", "max_samples", "expected"),
    [(2, 10**6, [2, 2, 1]), (64, 9000, [2, 1, 1, 1]), (64, 100, [1] * 5), (64, 30000, [5])],
)
def test_chunks_are_as_large_whether_files_are_read_or_not(
    files, stored, size, max_samples, expected
):
    all_chunks(files)
    found = all_chunks(files, lambda key: stored, size, max_samples)
    assert [len(chunk) for chunk in found] == expected


def test_a_file_that_changes_is_read_again(files, read):
    [before] = all_chunks(files)
    write(files[1], 99, 5000)
    status = os.stat(files[2])
    write(files[2], 98, 6000)
    os.utime(files[2], ns=(status.st_atime_ns, status.st_mtime_ns))
    read.clear()
    [after] = all_chunks(files)
    assert read == list("12")
    assert [a.key == b.key for a, b in zip(before, after, strict=True)] == [1, 0, 0, 1, 1]


def test_a_file_that_was_just_written_is_not_trusted_to_stay(files, read, monkeypatch):
    monkeypatch.setattr(_known_files, "SECONDS_OF_CHANGE", 60.0)
    for _ in range(2):
        all_chunks(files)
    assert read == list("01234") * 2


def test_rates_are_kept_apart(files):
    [rows] = all_chunks(files)
    [others] = list(
        chunks_of_files(Clips(files, 8000, from_files=True), lambda key: True, 64, 10**6)
    )
    assert not {row.key for row in rows} & {row.key for row in others}


def test_the_oldest_of_too_many_files_are_forgotten(files, read, monkeypatch):
    monkeypatch.setattr(_known_files, "MOST_FILES", 3)
    all_chunks(files)
    assert len(_known_files._known) == 3
    read.clear()
    all_chunks(files)
    assert read == list("01")


def test_unreadable_files_are_told_of_and_read_again(files, tmp_path, read):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no sound")
    for _ in range(2):
        read.clear()
        with pytest.warns(UserWarning, match="1 of . audio files cannot be read"):
            [chunk] = all_chunks([files[0], bad, files[1]], on_error="nan")
        assert [row is None for row in chunk] == [False, True, False]
    assert read == ["b"]


@pytest.mark.parametrize("kind", ["process", "folder"])
def test_an_embedding_is_found_without_reading_its_file(files, tmp_path, read, kind):
    expected = PretrainedEmbedding().fit_transform(files)
    read.clear()
    memory = ":memory:" if kind == "process" else tmp_path / "rows"
    for order in (slice(None), slice(None, None, -1)):
        found = PretrainedEmbedding(memory=memory).fit_transform(files[order])
        np.testing.assert_array_equal(found, expected[order])
    assert read == list("01234")


def test_a_row_that_is_lost_or_damaged_after_all_is_computed_again(files, tmp_path, monkeypatch):
    embedding = PretrainedEmbedding(memory=tmp_path / "rows").fit(files)
    expected = embedding.transform(files)
    damaged = sorted((tmp_path / "rows").rglob("*.npy"))[0]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    seen = []
    load_audio = _rows.load_audio
    monkeypatch.setattr(_rows, "load_audio", lambda *args: seen.append(args) or load_audio(*args))
    for _ in range(2):
        np.testing.assert_array_equal(embedding.transform(files), expected)
    assert len(seen) == 1
    assert seen[0][1] == SR


def test_a_classifier_reads_a_file_once_for_all_fits_and_scores(files, read):
    y = [0, 1, 0, 1, 0]
    common = {"max_epochs": 1, "random_state": 0, "frozen_layers": 4}
    plain = FineTunedClassifier(**common).fit(files, y).decision_function(files)
    read.clear()
    for _ in range(2):
        kept = FineTunedClassifier(memory=":memory:", **common).fit(files, y)
        np.testing.assert_array_equal(kept.decision_function(files), plain)
    assert read == list("01234")
