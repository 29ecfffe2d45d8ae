"""Threads that compute with one torch thread each."""

from _thread import LockType, allocate_lock, start_new_thread
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, Lock
from typing import Any, TypeVar

import numpy as np
import torch

__all__ = ["denormals_flushed", "for_each", "map_ahead"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_starting = Lock()


def for_each(
    function: Callable[[Item], None],
    items: Iterable[Item],
    n_threads: int,
    uses_torch: bool = True,
) -> None:
    """Call `function` with every item; each thread takes the next one when it is free.

    Small operations split among torch's own threads lose more to waiting than they gain, so
    work is divided by items alone. Where that needs no change of the caller's threads, the
    caller is one of those who work.
    """
    shared = _Shared(items)

    def work() -> None:
        try:
            with denormals_flushed():
                for item in shared:
                    function(item)
        finally:
            shared.stop()  # of no effect at the end, but an error stops the others

    if uses_torch and torch.get_num_threads() > 1:
        with ThreadPoolExecutor(n_threads) as pool:
            _limit_torch(pool, n_threads)
            workers = [pool.submit(work) for _ in range(n_threads)]
            for worker in workers:
                worker.result()
    elif n_threads == 1:
        work()
    else:
        _share(work, n_threads, shared)


def _share(work: Callable[[], None], n_threads: int, shared: "_Shared[Any]") -> None:
    """Call `work` here and in other threads."""
    errors: list[BaseException] = []
    others: list[LockType] = []

    def work_there(running: LockType) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)
        finally:
            running.release()

    try:
        for _ in range(n_threads - 1):
            running = allocate_lock()
            running.acquire()
            # `Thread.start` would wait until it runs, which takes as long as a hundred clips.
            start_new_thread(work_there, (running,))
            others.append(running)
        work()
    finally:
        shared.stop()
        for running in others:
            running.acquire()
    if errors:
        raise errors[0]


def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], n_threads: int
) -> Iterator[Result]:
    """Results of `function` in the order of the items; some are begun before they are used."""
    with ThreadPoolExecutor(n_threads) as pool:
        _limit_torch(pool, n_threads)
        begun: deque[Future[Result]] = deque()
        try:
            for item in items:
                begun.append(pool.submit(function, item))
                if len(begun) > n_threads:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()


def _limit_torch(pool: ThreadPoolExecutor, n_threads: int) -> None:
    """Start the threads of a pool with one torch thread each."""
    met = Barrier(n_threads + 1)

    def limit() -> None:
        torch.get_num_threads()  # makes it take the common number once, not later
        torch.set_num_threads(1)
        met.wait()

    # What a thread sets is also what threads that are yet to start will take.
    with _starting, _torch_threads_kept():
        try:
            for _ in range(n_threads):
                pool.submit(limit)
            met.wait()
        except BaseException:
            met.abort()
            raise


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Take numbers below the normal ones for zero: with them, work is ten times slower."""
    before = bool(np.float32(1e-40) * np.float32(1.0) == 0.0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


@contextmanager
def _torch_threads_kept() -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Shared(Iterator[Item]):
    """An iterator for several threads that can be stopped."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)
        self._lock = Lock()
        self._stopped = False

    def __next__(self) -> Item:
        with self._lock:
            if self._stopped:
                raise StopIteration
            return next(self._items)

    def stop(self) -> None:
        self._stopped = True
