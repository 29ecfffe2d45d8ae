"""Peak memory above the input, measured in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

STATUS = Path("/proc/self/status")
SR = 16000


def measure(feature: str, layout: str, seconds: float, n_jobs: int) -> dict[str, float]:
    """Run this file in a new process and read what it prints, in MB (10^6 bytes)."""
    settings = json.dumps([feature, layout, seconds, n_jobs])
    command = [sys.executable, __file__, settings]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def is_supported() -> bool:
    """Whether the kernel tells the peak of a process that has not inherited its parent's."""
    return STATUS.exists()


def _clips(layout: str, seconds: float) -> list[np.ndarray]:
    """Noise as one clip, or as clips of 0.3 to 10 s, with no more memory than they take."""
    rng = np.random.default_rng(0)
    lengths = [round(seconds * SR)]
    if layout == "ragged":
        drawn = np.round(rng.uniform(0.3, 10, size=round(seconds)) * SR).astype(int)
        lengths = list(drawn[np.cumsum(drawn) < lengths[0]])
    clips = []
    for length in lengths:
        clip = rng.standard_normal(length, dtype=np.float32)
        clip *= 0.1
        clips.append(clip)
    return clips


def _transformer(feature: str, n_jobs: int) -> object:
    from sktl import MFCC, MelSpectrogram

    options = {"device": "cpu", "n_jobs": n_jobs}
    return MFCC(**options) if feature == "mfcc" else MelSpectrogram(**options)


def _read_mb(name: str) -> float:
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1.024e-3


def _main() -> None:
    feature, layout, seconds, n_jobs = json.loads(sys.argv[1])
    transformer = _transformer(feature, n_jobs)
    clips = _clips(layout, seconds)
    transformer.transform([clips[0][:SR]])
    before = _read_mb("VmRSS")
    result = transformer.transform(clips)
    peak = _read_mb("VmHWM")
    arrays = [result] if result.dtype != object else list(result)
    measured = {
        "n_clips": len(clips),
        "input": sum(clip.nbytes for clip in clips) / 1e6,
        "result": sum(array.nbytes for array in arrays) / 1e6,
        "extra": peak - before,
    }
    print(json.dumps(measured))


if __name__ == "__main__":
    _main()
