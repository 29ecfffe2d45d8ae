"""Rows kept in this process: found again, bounded, the least recently used forgotten first."""

import concurrent.futures

import numpy as np
import pytest

from sktl import PretrainedEmbedding
from sktl.embedding import _in_process, clear_memory
from sktl.embedding._cache import open_store
from sktl.embedding._in_process import ProcessStore, _Rows, most_bytes

KIB = 1024


@pytest.fixture(autouse=True)
def empty():
    clear_memory()
    yield
    clear_memory()


def test_what_is_put_is_got_by_every_store_of_the_context():
    value = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    store = open_store(":memory:", "context")
    assert store.get("a") is None
    assert not store.has("a")
    store.put("a", value)
    again = open_store(":memory:", "context")
    assert again.has("a")
    np.testing.assert_array_equal(again.get("a"), value)
    assert again.get("a").dtype == np.float32
    assert open_store(":memory:", "other").get("a") is None
    assert not open_store(":memory:", "other").has("a")


def test_what_happens_to_the_array_later_changes_nothing():
    value = np.zeros((2, 3))
    ProcessStore("c").put("a", value[:, 1:])
    value += 1.0
    kept = ProcessStore("c").get("a")
    assert not kept.any()
    assert kept.flags.c_contiguous
    assert kept.base is None


def test_the_least_recently_used_row_goes_first():
    rows = _Rows()
    most = 3 * (8 * KIB + 512)
    for name in "abc":
        rows.put(("c", name), np.zeros(KIB), most)
    assert rows.get(("c", "a")) is not None
    rows.put(("c", "d"), np.zeros(KIB), most)
    assert [("c", name) in rows for name in "abcd"] == [True, False, True, True]
    assert rows.n_bytes == most


def test_a_row_put_again_counts_once():
    rows = _Rows()
    for value in (np.zeros(KIB), np.ones(KIB), np.full(2, 2.0)):
        rows.put(("c", "a"), value, 1e6)
    np.testing.assert_array_equal(rows.get(("c", "a")), [2.0, 2.0])
    assert rows.n_bytes == 16 + 512


def test_a_row_larger_than_the_bound_is_not_kept_and_drives_no_other_out():
    rows = _Rows()
    rows.put(("c", "a"), np.zeros(10), 4 * KIB)
    rows.put(("c", "b"), np.zeros(KIB), 4 * KIB)
    assert ("c", "a") in rows
    assert ("c", "b") not in rows


def test_the_environment_says_how_much_is_kept(monkeypatch):
    assert most_bytes() == 2 * 2**30
    monkeypatch.setenv("SKTL_MEMORY_GIB", "0.5")
    assert most_bytes() == 2**29
    monkeypatch.setenv("SKTL_MEMORY_GIB", "0")
    store = ProcessStore("c")
    store.put("a", np.zeros(1))
    assert store.get("a") is None


@pytest.mark.parametrize("value", ["much", "-1", "nan"])
def test_a_bound_that_is_no_size_is_refused(monkeypatch, value):
    monkeypatch.setenv("SKTL_MEMORY_GIB", value)
    with pytest.raises(ValueError, match=rf"SKTL_MEMORY_GIB is '{value}'; give the gibibytes"):
        open_store(":memory:", "c")


def test_threads_do_not_disturb_each_other(monkeypatch):
    monkeypatch.setenv("SKTL_MEMORY_GIB", str(40 * KIB / 2**30))

    def work(seed):
        store = ProcessStore("c")
        for i in np.random.default_rng(seed).integers(0, 20, size=500):
            store.put(str(i), np.full(KIB // 2, i))
            kept = store.get(str(i))
            assert kept is None or (kept == i).all()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert 0 < _in_process._rows.n_bytes <= 40 * KIB


def test_embeddings_are_shared_by_estimators_and_forgotten_when_asked(monkeypatch):
    clips = [np.sin(np.arange(9000) / (5 + i)).astype(np.float32) for i in range(3)]
    expected = PretrainedEmbedding().fit_transform(clips)
    first = PretrainedEmbedding(memory=":memory:").fit(clips)
    np.testing.assert_array_equal(first.transform(clips), expected)
    second = PretrainedEmbedding(memory=":memory:").fit(clips)

    def fail(*_):
        raise AssertionError("the network ran")

    monkeypatch.setattr(type(second.backbone_), "front_end", fail)
    np.testing.assert_array_equal(second.transform(clips[::-1]), expected[::-1])
    clear_memory()
    with pytest.raises(AssertionError, match="the network ran"):
        second.transform(clips)
