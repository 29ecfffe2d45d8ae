"""Threads that compute with one torch thread each."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier, Lock
from typing import TypeVar

import torch

__all__ = ["map_in_workers"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_starting = Lock()


def map_in_workers(
    function: Callable[[Item], Result], items: Iterable[Item], n_threads: int
) -> Iterator[Result]:
    """Results in order; `items` is consumed at most ``n_threads + 1`` ahead of them.

    Small operations split among torch's own threads lose more to waiting than they gain, so
    work is divided by items alone.
    """
    with ThreadPoolExecutor(n_threads) as pool:
        _limit_torch(pool, n_threads)
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > n_threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


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
