"""What the machine is and how busy it was, without its name."""

import hashlib
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import torch

PACKAGES = (
    *("sktl", "torch", "numpy", "scipy", "librosa", "soundfile", "soxr"),
    *("torchaudio", "nnAudio", "torchlibrosa", "python_speech_features"),
    *("spafe", "audioflux", "asrfront"),
    *("skorch", "skada", "pytorch-adapt"),
)


def describe(device: str) -> list[tuple[str, str]]:
    """Names and values for a table."""
    rows = [
        ("processor", _cpu_model()),
        ("cores", f"{_usable_cores()} usable of {os.cpu_count()}"),
        ("L2 cache per core", _cache_size(2)),
        ("memory", _memory()),
        ("instruction set of torch", torch.backends.cpu.get_cpu_capability()),
        ("system", f"{platform.system()} {platform.machine()}, Python {_python()}"),
        ("versions", ", ".join(_versions())),
    ]
    if device == "cuda":
        rows.insert(0, ("GPU", f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"))
    return rows


def calibration() -> str:
    """Speed of a matrix product on one thread, and the load: says whether a run was disturbed."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    n = 1024
    a = torch.randn(n, n, generator=torch.Generator().manual_seed(0))
    a @ a
    seconds = [_seconds(lambda: a @ a) for _ in range(7)]
    worth = [f"{_two_threads(work):.2f}" for work in (hashing, products)]
    torch.set_num_threads(before)
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    speed = 2 * n**3 / np.median(seconds) / 1e9
    return (
        f"{speed:.0f} GFLOP/s in float32 at n = {n}; two threads that share nothing: "
        f"{worth[0]} × one at hashing, {worth[1]} × at products in the cache; load {load}"
    )


def hashing(n_threads: int) -> Callable[[], None]:
    """A fixed amount of work that needs no lock and little memory, shared by threads."""
    data = bytes(2**20)

    def work(_: int) -> None:
        for _ in range(120 // n_threads):
            hashlib.sha256(data)

    return _in_threads(work, n_threads)


def products(n_threads: int) -> Callable[[], None]:
    """The same of products of matrices that stay in the cache, each thread with its own."""
    shape = n_threads, 256, 256
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    results = torch.empty(shape)

    def work(index: int) -> None:
        for _ in range(240 // n_threads):
            torch.mm(values[index], values[index], out=results[index])

    return _in_threads(work, n_threads)


def _in_threads(work: Callable[[int], None], n_threads: int) -> Callable[[], None]:
    def run() -> None:
        threads = [Thread(target=work, args=(index,)) for index in range(n_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return run


def _two_threads(work: Callable[[int], Callable[[], None]]) -> float:
    """What a second core is worth at the moment."""
    one, two = work(1), work(2)
    return float(np.median([_seconds(one) / _seconds(two) for _ in range(7)]))


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def copy_bandwidth() -> float:
    """Bytes per second that the GPU reads and writes in a plain copy of 1 GiB."""
    source = torch.zeros(2**28, device="cuda")
    target = torch.empty_like(source)
    target.copy_(source)
    milliseconds = []
    for _ in range(10):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        target.copy_(source)
        stop.record()
        torch.cuda.synchronize()
        milliseconds.append(start.elapsed_time(stop))
    return 2 * source.nbytes / (np.median(milliseconds) / 1e3)


def _versions() -> list[str]:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found


def _python() -> str:
    return platform.python_version()


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_model() -> str:
    """Name of the processor; with its family and model where the name says little."""
    fields = {}
    for line in _lines("/proc/cpuinfo"):
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    if "model name" not in fields:
        return platform.processor() or platform.machine()
    numbers = (fields.get(key, "?") for key in ("cpu family", "model", "stepping"))
    return f"{fields['model name']} (family {', model '.join(list(numbers)[:2])})"


def _cache_size(level: int) -> str:
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        if _lines(folder / "level") == [str(level)]:
            return "".join(_lines(folder / "size"))
    return "unknown"


def _memory() -> str:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal"):
            return f"{int(line.split()[1]) / 2**20:.0f} GiB"
    return "unknown"


def _lines(path: str | Path) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
