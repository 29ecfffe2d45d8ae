"""Real speech for the features, and independent truths."""

import numpy as np
import pytest
import soundfile
import torch

from sktl.features._plan import FramePlan


class Sums(FramePlan):
    """The sum of each frame, and of each clip what it lacks to the largest."""

    def __init__(self, framing):
        window = torch.ones(framing.frame_length, dtype=torch.float64)
        super().__init__(framing, window, 1, 1, torch.float64)

    def frames(self, windowed):
        return windowed.sum(-1, keepdim=True)

    def clips(self, values, layout):
        return values - layout.spread(layout.maximum(values), len(values))


def _exact_burg(frames, order):
    """Burg's lattice in extended precision: (n_frames, frame_length) → (n_frames, order)."""
    forward, backward = frames.T[1:].astype(np.longdouble), frames.T[:-1].astype(np.longdouble)
    coefficients = np.zeros((0, len(frames)), dtype=np.longdouble)
    for _ in range(order):
        energy = (forward**2 + backward**2).sum(axis=0)
        reflection = -2 * (forward * backward).sum(axis=0) / np.where(energy > 0, energy, 1)
        coefficients = np.vstack([coefficients + reflection * coefficients[::-1], reflection])
        forward, backward = (
            (forward + reflection * backward)[1:],
            (backward + reflection * forward)[:-1],
        )
    return coefficients.T.astype(np.float64)


@pytest.fixture(scope="session")
def speech_paths(fsdd_dir):
    """Thirty recordings: every digit by three speakers."""
    return [
        fsdd_dir / f"{digit}_{speaker}_{take}.wav"
        for take, speaker in enumerate(["george", "nicolas", "theo"])
        for digit in range(10)
    ]


@pytest.fixture(scope="session")
def speech(speech_paths):
    """The recordings at their own rate, 8 kHz."""
    return [soundfile.read(path, dtype="float32")[0] for path in speech_paths]


@pytest.fixture(scope="session")
def clips():
    """Synthetic clips of three lengths, two of each, the shortest one sample."""
    generator = torch.Generator().manual_seed(0)
    lengths = [4000, 1, 1333, 4000, 1333, 1]
    return [torch.rand(n, generator=generator).numpy() - 0.5 for n in lengths]


@pytest.fixture(scope="session")
def sums_plan():
    return Sums


@pytest.fixture(scope="session")
def exact_burg():
    return _exact_burg
