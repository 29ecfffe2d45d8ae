"""Files decoded in threads ahead of their use, in order and within bounds."""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from time import perf_counter

import numpy as np

from ._decode import Path, Unreadable, decode

__all__ = ["read_ahead"]

# What a waveform costs beyond its samples, counted in samples.
OVERHEAD = 256
# Waking the consumer for every short file would cost more than decoding it.
SECONDS_PER_HANDOVER = 2e-3
FILES_PER_HANDOVER = 64
SAMPLES_PER_HANDOVER = 2**18

Found = np.ndarray | str


def read_ahead(paths: Sequence[Path], sr: float, n_threads: int, budget: int) -> Iterator[Found]:
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
        per thread.

    Yields
    ------
    ndarray of float32 of shape (n_samples,), or str
        A str says why there is no waveform.
    """
    with ThreadPoolExecutor(n_threads, "sktl-decode") as pool:
        queue = _Queue(paths, sr, budget)

        def start() -> None:
            while queue.begin(n_threads):
                pool.submit(queue.work)

        try:
            for index in range(len(paths)):
                while index not in queue.ready:
                    start()
                    queue.wait()
                found = queue.pop(index)
                if len(queue.ready) < n_threads:
                    start()
                yield found
        finally:
            queue.stop()


class _Queue:
    """What the threads share; a thread without work ends, only the consumer waits.

    Paths are taken in order, so while the next waveform is on no thread, nothing is unused
    and a thread can begin: the consumer never waits in vain.
    """

    def __init__(self, paths: Sequence[Path], sr: float, budget: int) -> None:
        self.sr = sr
        self.budget = budget
        self.ready: dict[int, Found] = {}
        self._left = deque(enumerate(paths))
        self._handed_over: SimpleQueue[dict[int, Found] | BaseException] = SimpleQueue()
        self._lock = threading.Lock()
        self._n_threads = 0
        self._n_files = self._n_samples = 0  # unused
        self._n_files_used = self._n_samples_used = 0  # since they were last subtracted

    def begin(self, n_threads: int) -> bool:
        """Count one more thread in, if it is allowed and has work."""
        with self._lock:
            self._n_files -= self._n_files_used
            self._n_samples -= self._n_samples_used
            self._n_files_used = self._n_samples_used = 0
            if not self._left or self._n_threads >= n_threads:
                return False
            # Half of the budget, lest a thread end and begin again and again.
            if 2 * self._n_samples > self.budget and self._n_files + self._n_threads >= n_threads:
                return False
            self._n_threads += 1
            return True

    def work(self) -> None:
        """Decode one file after the other while there are any and the budget allows it."""
        go_on = True
        try:
            while go_on:
                run = self._decode_run()
                go_on = self._count(run)
                self._handed_over.put(run)
        except BaseException as error:
            self._handed_over.put(error)

    def _decode_run(self) -> dict[int, Found]:
        """The next file, and those after it when they are short."""
        run: dict[int, Found] = {}
        n_samples = 0
        deadline = perf_counter() + SECONDS_PER_HANDOVER
        most_samples = min(SAMPLES_PER_HANDOVER, self.budget)
        while self._left:
            try:
                index, path = self._left.popleft()
            except IndexError:  # another thread was faster
                break
            run[index] = found = _try_decode(path, self.sr)
            n_samples += _cost(found)
            if len(run) == FILES_PER_HANDOVER or n_samples >= most_samples:
                break
            if perf_counter() > deadline:
                break
        return run

    def _count(self, run: dict[int, Found]) -> bool:
        """Count a run in, and the thread out when it has to end."""
        n_samples = sum(map(_cost, run.values()))
        with self._lock:
            self._n_files += len(run)
            self._n_samples += n_samples
            if self._left and self._n_samples <= self.budget:
                return True
            self._n_threads -= 1
            return False

    def wait(self) -> None:
        """Wait until a thread hands waveforms over, or its error."""
        run = self._handed_over.get()
        if isinstance(run, BaseException):
            raise run
        self.ready.update(run)

    def pop(self, index: int) -> Found:
        """Waveform number `index`, which must be there."""
        found = self.ready.pop(index)
        self._n_files_used += 1
        self._n_samples_used += _cost(found)
        return found

    def stop(self) -> None:
        """Let each thread end after the file it is at."""
        self._left.clear()


def _cost(found: Found) -> int:
    return OVERHEAD + len(found)


def _try_decode(path: Path, sr: float) -> Found:
    try:
        return decode(path, sr)
    except Unreadable as error:
        return str(error)
