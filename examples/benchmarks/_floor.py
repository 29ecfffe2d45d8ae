"""The bare primitives: what any front end on torch has to do for each frame.

Window, real FFT, squares, a banded product and the logarithm, on frames of clips that were
padded beforehand: no checks, no maximum per clip, no floor, no change of layout.
"""

import math
import time
from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

import numpy as np
import torch
from _peers import AMIN, Peer, Task
from _reference import TOP_DB
from _torch_peers import dct_weights, hann, mel_weights
from torch import Tensor

FLOOR = "bare primitives"
MEGABYTES = (0.75, 1.0, 1.25, 1.5)
N_BANDS = (3, 4, 5, 8)
TUNING_CLIPS, TUNING_REPEATS = 10, 5


class Primitives:
    """Levels (n_clips, n_frames, n_mels), or MFCC, of clips of one length."""

    def __init__(self, task: Task, megabytes: float, n_bands: int) -> None:
        case = task.case
        self._window = hann(case.n_fft)
        padded = np.pad(task.clips, [(0, 0), (case.n_fft // 2, case.n_fft // 2)])
        self._frames = torch.from_numpy(padded).unfold(-1, case.n_fft, case.hop_length)
        bytes_of_frame = 4 * case.n_fft + 8 * (case.n_fft // 2 + 1)
        n_frames = self._frames.shape[1]
        n_blocks = math.ceil(n_frames * bytes_of_frame / (megabytes * 1e6))
        self._size = math.ceil(n_frames / n_blocks)
        self._buffer = torch.empty(self._size, case.n_fft)
        self._bands = list(_bands(mel_weights(case), n_bands))
        self._n_mels = case.n_mels
        self._basis = 10.0 * dct_weights(case).T if case.feature == "mfcc" else None

    @torch.inference_mode()
    def __call__(self) -> Tensor:
        n_clips, n_frames = self._frames.shape[:2]
        n_values = self._n_mels if self._basis is None else self._basis.shape[1]
        result = torch.empty(n_clips, n_frames, n_values)
        for frames, rows in zip(self._frames, result, strict=True):
            for start in range(0, n_frames, self._size):
                stop = start + self._size
                self._compute(frames[start:stop], rows[start:stop])
        return result

    def _compute(self, frames: Tensor, rows: Tensor) -> None:
        windowed = torch.mul(frames, self._window, out=self._buffer[: len(frames)])
        squares = torch.view_as_real(torch.fft.rfft(windowed)).view(len(frames), -1)
        squares.mul_(squares)
        level = rows if self._basis is None else torch.empty(len(frames), self._n_mels)
        for mels, bins, weights in self._bands:
            torch.mm(squares[:, bins], weights, out=level[:, mels])
        level.clamp_(min=AMIN).log10_()
        if self._basis is not None:
            torch.mm(level, self._basis, out=rows)


def _bands(weights: Tensor, n_bands: int) -> Iterable[tuple[slice, slice, Tensor]]:
    """Groups of mels with the bins they read; each weight twice, for two squares a bin."""
    for mels in np.array_split(np.arange(len(weights)), n_bands):
        rows = weights[mels[0] : mels[-1] + 1]
        bins = torch.nonzero(rows.any(0)).flatten()
        low, high = int(bins[0]), int(bins[-1]) + 1
        doubled = rows[:, low:high].repeat_interleave(2, dim=1).T.contiguous()
        yield slice(int(mels[0]), int(mels[-1]) + 1), slice(2 * low, 2 * high), doubled


def _build(task: Task) -> Callable[[], Any]:
    """The fastest of several sizes of block and numbers of bands, on this machine."""
    few = Task(task.case, task.clips[:TUNING_CLIPS])
    best = min(product(MEGABYTES, N_BANDS), key=lambda setting: _seconds(few, *setting))
    return Primitives(task, *best)


def _seconds(task: Task, megabytes: float, n_bands: int) -> float:
    run = Primitives(task, megabytes, n_bands)
    run()
    seconds = []
    for _ in range(TUNING_REPEATS):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return min(seconds)


def bare_primitives(feature: str) -> Peer:
    """The primitives; what they leave out, the floor at `TOP_DB`, is added for the comparison.

    The floor comes before the cosine transform: MFCC are compared with librosa's without it.
    """
    return Peer(FLOOR, _build, (feature,), adapt=_ADAPT[feature], floor=_FLOOR[feature])


def _levels(rows: np.ndarray) -> Iterable[np.ndarray]:
    levels = (10.0 * row.T for row in rows)
    return (np.maximum(level, level.max() - TOP_DB) for level in levels)


def _coefficients(rows: np.ndarray) -> Iterable[np.ndarray]:
    return (row.T for row in rows)


_ADAPT = {"mel": _levels, "mfcc": _coefficients}
_FLOOR = {"mel": "clip", "mfcc": "none"}
FLOORS = tuple(bare_primitives(feature) for feature in _ADAPT)
