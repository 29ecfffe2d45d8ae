"""Workers keep the order, pass errors on, and leave torch's threads alone."""

import threading

import pytest
import torch

from sktl.features._workers import map_in_workers


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_results_come_in_order(n_threads):
    assert list(map_in_workers(lambda x: x * x, range(20), n_threads)) == [x * x for x in range(20)]


@pytest.mark.parametrize("n_threads", [1, 3])
def test_workers_compute_with_one_torch_thread_and_others_keep_theirs(n_threads):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        results = map_in_workers(lambda _: torch.get_num_threads(), range(6), n_threads)
        assert set(results) == {1}
        assert torch.get_num_threads() == 2
        later = []
        thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert later == [2]
    finally:
        torch.set_num_threads(before)


def test_items_are_consumed_only_shortly_before_their_use():
    consumed = []

    def items():
        for x in range(10):
            consumed.append(x)
            yield x

    results = map_in_workers(lambda x: x, items(), 2)
    next(results)
    assert len(consumed) <= 4
    results.close()


def test_error_of_a_worker_reaches_the_caller():
    def fail(x):
        if x == 2:
            raise KeyError("two")
        return x

    with pytest.raises(KeyError, match="two"):
        list(map_in_workers(fail, range(5), 2))


def test_no_thread_is_left_behind():
    before = threading.active_count()
    results = map_in_workers(lambda x: x, range(10), 3)
    next(results)
    results.close()
    list(map_in_workers(lambda x: x, range(3), 3))
    assert threading.active_count() == before
