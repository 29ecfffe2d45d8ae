"""Threads that compute with one torch thread each."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock, Semaphore
from typing import TypeVar

import numpy as np
import torch

__all__ = ["denormals_flushed", "for_each"]

Item = TypeVar("Item")

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

    joins_in = not uses_torch or torch.get_num_threads() == 1
    if joins_in and n_threads == 1:
        work()
        return
    with ThreadPoolExecutor(n_threads) as pool:
        try:
            submit = _submit_limited if uses_torch else _submit
            workers = submit(pool, work, n_threads - joins_in)
            if joins_in:
                work()
            for worker in workers:
                worker.result()
        finally:
            shared.stop()


def _submit(pool: ThreadPoolExecutor, work: Callable[[], None], count: int) -> list[Future[None]]:
    return [pool.submit(work) for _ in range(count)]


def _submit_limited(
    pool: ThreadPoolExecutor, work: Callable[[], None], count: int
) -> list[Future[None]]:
    """Start threads with one torch thread each; returns when they have it."""
    limited = Semaphore(0)

    def limited_work() -> None:
        torch.get_num_threads()  # makes it take the common number once, not later
        torch.set_num_threads(1)
        limited.release()
        work()

    # What a thread sets is also what threads that are yet to start will take.
    with _starting, _torch_threads_kept():
        workers = _submit(pool, limited_work, count)
        for _ in workers:
            limited.acquire()
    return workers


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
