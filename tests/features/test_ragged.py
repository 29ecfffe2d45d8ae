"""Memory for ragged results is there when it is asked for, whoever asks."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from sktl.features._ragged import RaggedResults


@pytest.fixture
def made():
    return []


@pytest.fixture
def results(made):
    def allocate(counts):
        made.extend(counts)
        return [[count] for count in counts]

    return RaggedResults(list(range(10)), allocate, 3)


def test_nothing_is_a_result_before_it_is_assigned(results):
    assert results == [None] * 10


def test_memory_is_allocated_ahead_and_once(results, made):
    assert made == [0, 1, 2]
    assert results.room(0, 2) == [[0], [1]]
    assert made == [0, 1, 2, 3, 4]
    assert results.room(2, 5) == [[2], [3], [4], [5], [6]]
    assert results.room(7, 3) == [[7], [8], [9]]
    assert made == list(range(10))


def test_another_thread_uses_what_is_there_and_allocates_what_is_missing(results, made):
    with ThreadPoolExecutor(1) as pool:
        ready = pool.submit(results.room, 1, 1).result()
        partly = pool.submit(results.room, 2, 3).result()
    assert ready == [[1]]
    assert partly == [[2], [3], [4]]
    assert made == [0, 1, 2, 3, 4]
    assert results.room(3, 1) == [[3]]
