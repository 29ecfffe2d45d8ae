"""Files decoded in threads ahead of their use, in order and within bounds."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from heapq import heappop, heappush
from queue import SimpleQueue
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from ._decode import Path, Unreadable, decode
from ._wav import Samples

__all__ = ["read_ahead"]

# What a waveform costs beyond its samples, counted in samples.
OVERHEAD = 256
# Waking the consumer for every short file would cost more than decoding it.
SECONDS_PER_HANDOVER = 2e-3
FILES_PER_HANDOVER = 64
SAMPLES_PER_HANDOVER = 2**18
# Loading compiled code takes about as long as reading so many files without it.
FILES_WORTH_COMPILING = 1000

Found = np.ndarray | str


class _Run(NamedTuple):
    """Waveforms of files that follow one another."""

    first: int
    found: list[Found]
    n_samples: int


def read_ahead(
    paths: Sequence[Path], sr: float, n_threads: int, budget: int
) -> Iterator[list[Found]]:
    """Waveforms in order, decoded in `n_threads` threads ahead of their use.

    Parameters
    ----------
    paths : sequence of path
        Files.
    sr : float
        Sample rate of the waveforms in Hz.
    n_threads : int
        Files decoded at once.
    budget : int
        Samples that wait for their use, beyond which no further file is begun, except one
        per thread and the one that is used next.

    Yields
    ------
    list of (ndarray of float32 of shape (n_samples,), or str)
        Those that are ready and follow one another, at least one; a str says why there is no
        waveform. Together they are the waveforms of `paths`, in order.
    """
    with ThreadPoolExecutor(n_threads, "sktl-decode") as pool:
        queue = _Queue(paths, sr, budget)

        def start() -> None:
            while queue.begin(n_threads, n_yielded):
                pool.submit(queue.work)

        n_yielded = 0
        try:
            while n_yielded < len(paths):
                while n_yielded not in queue.ready:
                    start()
                    queue.wait()
                found = queue.pop(n_yielded)
                n_yielded += len(found)
                if len(queue.ready) < n_threads:
                    start()
                yield found
        finally:
            queue.stop()


class _Queue:
    """What the threads share; a thread without work ends, only the consumer waits.

    The next waveform is ready, or on a thread, or first of what is left and then a thread can
    begin: the consumer never waits in vain.
    """

    def __init__(self, paths: Sequence[Path], sr: float, budget: int) -> None:
        self.sr = sr
        self.budget = budget
        self.ready: dict[int, _Run] = {}
        self._paths = paths
        self._left = [(0, len(paths))]  # a heap of ranges
        self._handed_over: SimpleQueue[_Run | BaseException] = SimpleQueue()
        self._lock = threading.Lock()
        self._stopped = False
        self._n_threads = 0
        self._n_at_once = 1
        self._in_batches = len(paths) >= FILES_WORTH_COMPILING
        self._batches: list[Any] = []  # of threads that ended
        self._n_files = self._n_samples = 0  # unused
        self._n_files_used = self._n_samples_used = 0  # since they were last subtracted

    def begin(self, n_threads: int, index: int) -> bool:
        """Count one more thread in, if it is allowed and has work; `index` is used next."""
        with self._lock:
            self._n_files -= self._n_files_used
            self._n_samples -= self._n_samples_used
            self._n_files_used = self._n_samples_used = 0
            if not self._left or self._n_threads >= (1 if self._is_quick else n_threads):
                return False
            # Half of the budget, lest a thread end and begin again and again.
            is_full = 2 * self._n_samples > self.budget
            is_missing = self._n_threads == 0 and index == self._left[0][0]
            if is_full and self._n_files + self._n_threads >= n_threads and not is_missing:
                return False
            self._n_threads += 1
            return True

    @property
    def _is_quick(self) -> bool:
        """Whether files take so little that threads would only wait for one another."""
        return self._n_at_once == FILES_PER_HANDOVER

    def work(self) -> None:
        """Decode one file after the other while there are any and the budget allows it."""
        go_on = True
        try:
            batches = self._batches.pop() if self._batches else self._new_batches()
            while go_on:
                run = self._decode_run(batches)
                go_on = self._count(run)
                self._handed_over.put(run)
            self._batches.append(batches)
        except BaseException as error:
            self._handed_over.put(error)

    def _new_batches(self) -> Any:
        if not self._in_batches:
            return None
        from ._wav_batch import WavBatches, can_call_c

        return WavBatches() if can_call_c() else None

    def _decode_run(self, batches: Any) -> _Run:
        """The next file, and those after it when they are short."""
        found: list[Found] = []
        n_samples = 0
        claimed = self._claim()
        known = self._read(claimed, batches)
        deadline = perf_counter() + SECONDS_PER_HANDOVER
        most = min(SAMPLES_PER_HANDOVER, self.budget)
        for index, samples in zip(claimed, known, strict=False):
            found.append(_try_decode(self._paths[index], self.sr, samples))
            n_samples += OVERHEAD + len(found[-1])
            if n_samples >= most or perf_counter() > deadline:
                break
        self._unclaim(claimed[len(found) :], len(found))
        return _Run(claimed.start, found, n_samples)

    def _read(self, claimed: range, batches: Any) -> Sequence[Samples | None]:
        """Samples of what can be read at once, None for other files."""
        if batches is None or not self._in_batches or len(claimed) < 2:
            return [None] * len(claimed)
        samples = batches.read(self._paths[claimed.start : claimed.stop])
        self._in_batches = 2 * samples.count(None) <= len(samples)
        return samples

    def _claim(self) -> range:
        """The next files, none where other threads have taken the last."""
        with self._lock:
            if not self._left:
                return range(0)
            first, stop = heappop(self._left)
            end = min(first + self._n_at_once, stop)
            if end < stop:
                heappush(self._left, (end, stop))
            return range(first, end)

    def _unclaim(self, rest: range, n_decoded: int) -> None:
        """Leave to other threads what took too long, and claim less next time."""
        with self._lock:
            if n_decoded > 0:
                self._n_at_once = n_decoded if rest else min(2 * n_decoded, FILES_PER_HANDOVER)
            if rest and not self._stopped:
                heappush(self._left, (rest.start, rest.stop))

    def _count(self, run: _Run) -> bool:
        """Count a run in, and the thread out when it has to end."""
        with self._lock:
            self._n_files += len(run.found)
            self._n_samples += run.n_samples
            is_idle = self._is_quick and self._n_threads > 1
            if self._left and self._n_samples <= self.budget and not is_idle:
                return True
            self._n_threads -= 1
            return False

    def wait(self) -> None:
        """Wait until a thread hands waveforms over, or its error."""
        run = self._handed_over.get()
        if isinstance(run, BaseException):
            raise run
        self.ready[run.first] = run

    def pop(self, index: int) -> list[Found]:
        """The waveforms that begin with number `index`, which must be there."""
        run = self.ready.pop(index)
        self._n_files_used += len(run.found)
        self._n_samples_used += run.n_samples
        return run.found

    def stop(self) -> None:
        """Let each thread end after the file it is at."""
        with self._lock:
            self._stopped = True
            self._left.clear()


def _try_decode(path: Path, sr: float, samples: Samples | None) -> Found:
    try:
        return decode(path, sr, samples)
    except Unreadable as error:
        return str(error)
