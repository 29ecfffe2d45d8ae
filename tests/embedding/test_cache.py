"""Single rows on disk: found again, never half, never mistaken for others."""

import concurrent.futures
import os
import shutil
import stat
import time

import joblib
import numpy as np
import pytest

from sktl.embedding._cache import RowStore, open_store, row_key


@pytest.fixture
def row():
    return np.arange(6, dtype=np.float32)


@pytest.fixture
def key(row):
    return row_key(row)


def test_what_is_put_is_got_bit_for_bit(tmp_path, row, key):
    store = RowStore(tmp_path, "context")
    assert store.get(key) is None
    for dtype in (np.float32, np.float64):
        value = np.random.default_rng(0).normal(size=(3, 2)).astype(dtype)
        store.put(key, value)
        got = RowStore(str(tmp_path), "context").get(row_key(row.copy()))
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, value)


def test_rows_differ_by_content_shape_and_dtype(row):
    others = [
        row + 1,
        row.reshape(2, 3),
        row.astype(np.float64),
        row[:5],
        np.append(row, np.float32(0)),
        -row,
    ]
    assert len({row_key(other) for other in [row, *others]}) == 7
    assert row_key(row[::-1][::-1]) == row_key(row)
    assert row_key(np.asfortranarray(row.reshape(2, 3))) == row_key(row.reshape(2, 3))


def test_contexts_and_versions_of_the_package_are_kept_apart(tmp_path, row, monkeypatch, key):
    RowStore(tmp_path, "one").put(key, row)
    assert RowStore(tmp_path, "two").get(key) is None
    assert RowStore(tmp_path, "one").get(key) is not None
    monkeypatch.setattr("sktl.embedding._cache.version", lambda name: "999")
    assert RowStore(tmp_path, "one").get(key) is None


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, row, monkeypatch, key):
    store = RowStore(tmp_path, "context")

    def fail(*args):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        store.put(key, row)
    monkeypatch.undo()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert store.get(key) is None


@pytest.mark.parametrize("contents", [b"", b"\x93NUMPY", b"PK\x03\x04", b"\x80\x04N.", b"text"])
def test_a_damaged_file_counts_as_absent(tmp_path, row, contents, key):
    store = RowStore(tmp_path, "context")
    store.put(key, row)
    store.path(key).write_bytes(contents)
    assert store.get(key) is None
    store.put(key, row)
    np.testing.assert_array_equal(store.get(key), row)


def test_a_file_cut_short_counts_as_absent_wherever_it_is_cut(tmp_path, row, key):
    store = RowStore(tmp_path, "context")
    store.put(key, row)
    whole = store.path(key).read_bytes()
    for length in range(0, len(whole), 7):
        store.path(key).write_bytes(whole[:length])
        assert store.get(key) is None


def test_a_file_with_any_byte_changed_counts_as_absent(tmp_path, row, key):
    store = RowStore(tmp_path, "context")
    store.put(key, row)
    whole = store.path(key).read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        store.path(key).write_bytes(changed)
        assert store.get(key) is None
    for contents in (whole + b"\0", bytes(len(whole)), whole[:-32] + bytes(32)):
        store.path(key).write_bytes(contents)
        assert store.get(key) is None


def test_the_file_of_another_row_counts_as_absent(tmp_path, row, key):
    store = RowStore(tmp_path, "context")
    other = row_key(row + 1)
    for one in (key, other):
        store.put(one, row)
    shutil.copy(store.path(key), store.path(other))
    assert store.get(other) is None
    assert store.get(key) is not None


def test_a_file_is_an_array_of_numpy_and_readable_by_all_whom_the_umask_allows(tmp_path, row, key):
    store = RowStore(tmp_path, "context")
    before = os.umask(0o022)
    try:
        store.put(key, 2 * row)
    finally:
        os.umask(before)
    np.testing.assert_array_equal(np.load(store.path(key)), 2 * row)
    assert stat.S_IMODE(store.path(key).stat().st_mode) == 0o644


def test_what_a_killed_writer_left_goes_after_a_day(tmp_path, row, key):
    RowStore(tmp_path, "context").put(key, row)
    store = RowStore(tmp_path, "context")
    parts = [store.folder / "parts" / f"{name}.part" for name in ("young", "old")]
    for part in parts:
        part.write_bytes(b"half a ro")
    long_ago = time.time() - 1.1 * 86400
    os.utime(parts[1], (long_ago, long_ago))
    assert store.get(key) is not None
    store.put(row_key(row + 1), row)
    assert [part.exists() for part in parts] == [True, False]
    np.testing.assert_array_equal(store.get(key), row)


def test_objects_are_not_unpickled(tmp_path, row, key):
    store = RowStore(tmp_path, "context")
    store.put(key, row)
    np.save(store.path(key), np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert store.get(key) is None


def test_writers_in_threads_do_not_disturb_each_other(tmp_path):
    store = RowStore(tmp_path, "context")
    keys = [row_key(np.full(4, i)) for i in range(20)]

    def work(seed):
        for i in np.random.default_rng(seed).permutation(20):
            store.put(keys[i], np.full(1000, i))
            got = store.get(keys[i])
            assert got is not None
            assert (got == i).all()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(list(tmp_path.rglob("*.npy"))) == 20
    assert not list(tmp_path.rglob("*.part"))


def test_a_folder_a_path_and_a_joblib_memory_are_the_same_place(tmp_path, row, key):
    open_store(tmp_path, "c").put(key, row)
    for memory in (str(tmp_path), joblib.Memory(tmp_path, verbose=0)):
        np.testing.assert_array_equal(open_store(memory, "c").get(key), row)


def test_nothing_is_kept_without_a_place():
    assert open_store(None, "c") is None
    assert open_store(joblib.Memory(None), "c") is None


@pytest.mark.parametrize("memory", [3, b"bytes", ["a"]])
def test_what_is_no_place_is_refused(memory):
    with pytest.raises(ValueError, match=r"is neither a folder nor a joblib\.Memory; give"):
        open_store(memory, "c")


def test_opening_makes_no_folder(tmp_path):
    open_store(tmp_path / "new", "c").get(row_key(np.zeros(1)))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_told_by_the_name_of_the_argument(tmp_path, place):
    (tmp_path / "file").write_text("")
    store = open_store(tmp_path / place, "c")
    assert store.get(row_key(np.zeros(1))) is None
    with pytest.raises(ValueError, match=rf"memory='.*{place}' is no folder that can be made or"):
        store.put(row_key(np.zeros(1)), np.zeros(1))
