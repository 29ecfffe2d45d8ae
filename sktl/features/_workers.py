"""Threads that compute with one torch thread each."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock
from typing import TypeVar

import torch

__all__ = ["for_each"]

Item = TypeVar("Item")

_starting = Lock()


def for_each(function: Callable[[Item], None], items: Iterable[Item], n_threads: int) -> None:
    """Call `function` with every item; each thread takes the next one when it is free.

    Small operations split among torch's own threads lose more to waiting than they gain, so
    work is divided by items alone.
    """
    if n_threads == 1 and torch.get_num_threads() == 1:
        for item in items:
            function(item)
        return
    shared = _Shared(items)

    def work() -> None:
        try:
            for item in shared:
                function(item)
        finally:
            shared.stop()  # of no effect at the end, but an error stops the others

    with ThreadPoolExecutor(n_threads) as pool:
        _limit_torch(pool, n_threads)
        try:
            for done in [pool.submit(work) for _ in range(n_threads)]:
                done.result()
        finally:
            shared.stop()


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


def _limit_torch(pool: ThreadPoolExecutor, n_threads: int) -> None:
    """Give every worker one torch thread, and leave the number of everyone else."""
    ready = Barrier(n_threads)

    def limit() -> None:
        torch.get_num_threads()  # makes the thread take the common number once, not later
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)  # denormal numbers are tens of times slower
        ready.wait()

    # set_num_threads also sets what threads that are yet to start will take.
    with _starting:
        before = torch.get_num_threads()
        try:
            for started in [pool.submit(limit) for _ in range(n_threads)]:
                started.result()
        finally:
            torch.set_num_threads(before)
