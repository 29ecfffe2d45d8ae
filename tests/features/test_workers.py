"""Workers do every item once, pass errors on, and leave torch's threads alone."""

import threading
import time

import pytest
import torch

from sktl.features._workers import for_each, map_ahead


@pytest.fixture
def two_torch_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_every_item_is_done_once(n_threads):
    done = []
    for_each(done.append, iter(range(50)), n_threads)
    assert sorted(done) == list(range(50))


@pytest.mark.parametrize("n_threads", [1, 3])
def test_workers_compute_with_one_torch_thread_and_others_keep_theirs(n_threads, two_torch_threads):
    seen = []
    for_each(lambda _: seen.append(torch.get_num_threads()), range(6), n_threads)
    assert set(seen) == {1}
    assert torch.get_num_threads() == 2
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert seen[-1] == 2


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("flushed_before", [False, True])
def test_denormals_are_zero_for_workers_and_stay_as_they_were_for_others(n_threads, flushed_before):
    def is_zero(_=None):
        return bool(torch.tensor([1e-40]) * 1.0 == 0.0)

    torch.set_flush_denormal(flushed_before)
    try:
        seen = []
        for_each(lambda _: seen.append(is_zero()), range(4), n_threads)
        assert seen == [True] * 4
        assert is_zero() == flushed_before
    finally:
        torch.set_flush_denormal(False)


def test_items_are_taken_only_when_a_worker_is_free():
    done, taken = [], []

    def items():
        for x in range(10):
            taken.append(x)
            assert len(taken) - len(done) <= 2
            yield x

    for_each(done.append, items(), 2)
    assert len(done) == 10


@pytest.mark.parametrize("uses_torch", [True, False])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_error_of_a_worker_reaches_the_caller_and_ends_the_work(n_threads, uses_torch):
    taken = []

    def items():
        for x in range(1000):
            taken.append(x)
            yield x

    def fail(x):
        if x == 2:
            raise KeyError("two")

    with pytest.raises(KeyError, match="two"):
        for_each(fail, items(), n_threads, uses_torch)
    assert len(taken) < 1000


def test_error_of_another_thread_reaches_the_caller():
    caller, met = threading.get_ident(), threading.Barrier(2, timeout=30)

    def fail_elsewhere(_):
        met.wait()
        if threading.get_ident() != caller:
            raise KeyError("there")

    with pytest.raises(KeyError, match="there"):
        for_each(fail_elsewhere, range(2), 2, uses_torch=False)


def test_others_have_ended_when_the_caller_is_interrupted():
    caller, met, ended = threading.get_ident(), threading.Barrier(2, timeout=30), []

    def interrupt_here(_):
        met.wait()
        if threading.get_ident() == caller:
            raise KeyboardInterrupt
        time.sleep(0.05)
        ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        for_each(interrupt_here, range(2), 2, uses_torch=False)
    assert ended == [True]


def test_error_of_the_items_reaches_the_caller(two_torch_threads):
    def items():
        yield 1
        raise OSError("unreadable")

    with pytest.raises(OSError, match="unreadable"):
        for_each(lambda _: None, items(), 2)


def test_no_thread_is_left_behind(two_torch_threads):
    before = threading.active_count()
    for_each(lambda _: None, range(10), 3)
    assert threading.active_count() == before


@pytest.mark.parametrize("uses_torch", [True, False])
def test_the_caller_works_too_where_its_own_threads_stay_as_they_are(uses_torch):
    threads = set()
    here, other = threading.Barrier(2, timeout=30), threading.Barrier(2, timeout=30)

    def meet(barrier):
        barrier.wait()
        threads.add(threading.get_ident())

    for_each(meet, [here, here, other, other], 2, uses_torch)
    assert threading.get_ident() in threads
    assert len(threads) == 2


def test_the_caller_keeps_its_torch_threads_in_work_without_torch(two_torch_threads):
    seen = []
    for_each(lambda _: seen.append(torch.get_num_threads()), range(4), 1, uses_torch=False)
    assert seen == [2] * 4


@pytest.mark.parametrize("n_threads", [1, 2, 4])
def test_results_come_in_order_from_threads_with_one_torch_thread(n_threads, two_torch_threads):
    def look(x):
        return x, torch.get_num_threads(), threading.get_ident()

    found = list(map_ahead(look, iter(range(40)), n_threads))
    assert [x for x, _, _ in found] == list(range(40))
    assert {count for _, count, _ in found} == {1}
    assert threading.get_ident() not in {ident for _, _, ident in found}
    assert torch.get_num_threads() == 2


def test_few_items_are_begun_ahead_of_their_use():
    taken = []

    def items():
        for x in range(100):
            taken.append(x)
            yield x

    results = map_ahead(lambda x: x, items(), 2)
    assert next(results) == 0
    assert len(taken) == 3
    results.close()


@pytest.mark.parametrize("where", ["function", "items"])
def test_an_error_ahead_reaches_the_caller_and_leaves_no_thread(where, two_torch_threads):
    def items():
        yield from range(5)
        if where == "items":
            raise OSError("broken")

    def fail(x):
        if where == "function" and x == 3:
            raise OSError("broken")
        return x

    before = threading.active_count()
    with pytest.raises(OSError, match="broken"):
        list(map_ahead(fail, items(), 2))
    assert threading.active_count() == before
