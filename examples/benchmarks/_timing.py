"""Interleaved timing, medians and spreads."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

# Idle threads of OpenMP spin for some milliseconds and would count in the next run's CPU time.
IDLE_SECONDS = 0.03
# What takes less is repeated: waking a core would count more than the work.
LEAST_SECONDS = 0.1

Run = Callable[[], object]


@dataclass
class Times:
    """Seconds of every round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    gpu: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Spread:
    """Median and quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray | list[float]) -> "Spread":
        low, median, high = np.percentile(values, [25, 50, 75])
        return cls(float(median), float(low), float(high))

    def __str__(self) -> str:
        return f"{digits(self.median)} ({digits(self.low)}–{digits(self.high)})"

    def __mul__(self, factor: float) -> "Spread":
        return Spread(self.median * factor, self.low * factor, self.high * factor)


def ratio(numerator: list[float], denominator: list[float]) -> Spread:
    """Ratios within each round, so that what slows a whole round down cancels."""
    return Spread.of(np.divide(numerator, denominator))


def digits(value: float) -> str:
    """Three digits."""
    if not np.isfinite(value):
        return str(value)
    places = max(0, 2 - int(np.floor(np.log10(abs(value))))) if value else 0
    return f"{value:,.{places}f}"


def interleave(
    runs: dict[object, tuple[Run, int]], rounds: int, device: str = "cpu"
) -> dict[object, Times]:
    """Time every run once per round, in an order drawn anew; the first round is not counted.

    Each run comes with the number of threads that torch may use inside one operation.
    """
    rng = np.random.default_rng(0)
    times = {key: Times() for key in runs}
    keys = list(runs)
    gc.collect()
    gc.freeze()  # what is alive now need not be looked at before every run
    for index in range(rounds + 1):
        for position in rng.permutation(len(keys)):
            key = keys[position]
            run, torch_threads = runs[key]
            measured = _time_once(run, torch_threads, device)
            if index:
                for name, seconds in measured.items():
                    getattr(times[key], name).append(seconds)
    gc.unfreeze()
    return times


def _time_once(run: Run, torch_threads: int, device: str) -> dict[str, float]:
    before = torch.get_num_threads()
    torch.set_num_threads(torch_threads)
    gc.collect()
    try:
        return _time_on_gpu(run) if device == "cuda" else _time_on_cpu(run)
    finally:
        torch.set_num_threads(before)
        if torch_threads > 1:
            time.sleep(IDLE_SECONDS)


def _time_on_cpu(run: Run) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    count = 0
    while not count or time.perf_counter() - wall < LEAST_SECONDS:
        run()
        count += 1
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"cpu": cpu / count, "wall": wall / count}


def _time_on_gpu(run: Run) -> dict[str, float]:
    torch.cuda.synchronize()
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    result = run()
    stop.record()
    torch.cuda.synchronize()
    del result
    return {"gpu": start.elapsed_time(stop) / 1e3}
