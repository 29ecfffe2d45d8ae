"""Real speech for the features."""

import pytest
import soundfile
import torch


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
