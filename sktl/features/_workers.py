"""Threads that compute with one torch thread each."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock, Semaphore
from typing import TypeVar

import numpy as np
import torch

__all__ = ["denormals_flushed", "for_each"]

Item = TypeVar("Item")

_starting = Lock()


def for_each(function: Callable[[Item], None], items: Iterable[Item], n_threads: int) -> None:
    """Call `function` with every item; each thread takes the next one when it is free.

    Small operations split among torch's own threads lose more to waiting than they gain, so
    work is divided by items alone.
    """
    if n_threads == 1 and torch.get_num_threads() == 1:
        with denormals_flushed():
            for item in items:
                function(item)
        return
    shared, limited = _Shared(items), Semaphore(0)

    def work() -> None:
        _limit_torch()
        limited.release()
        try:
            with denormals_flushed():
                for item in shared:
                    function(item)
        finally:
            shared.stop()  # of no effect at the end, but an error stops the others

    with ThreadPoolExecutor(n_threads) as pool:
        try:
            # What a thread sets is also what threads that are yet to start will take.
            with _starting, _torch_threads_kept():
                workers = [pool.submit(work) for _ in range(n_threads)]
                for _ in workers:
                    limited.acquire()
            for worker in workers:
                worker.result()
        finally:
            shared.stop()


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


def _limit_torch() -> None:
    """Give this thread one torch thread."""
    torch.get_num_threads()  # makes it take the common number once, not later
    torch.set_num_threads(1)
