"""What the scripts on clusters embed: a few files, and a network that tells who loads it."""

import functools
import os
from pathlib import Path

import numpy as np
import soundfile
import torch

from sktl.backbones import ModuleHandle, make_backbone

N_FILES = 24


def write_files(folder):
    generator = np.random.default_rng(0)
    paths = [str(Path(folder, f"{number:02d}.wav")) for number in range(N_FILES)]
    for number, path in enumerate(paths):
        clip = (0.1 * generator.normal(size=6000 + 200 * number)).astype(np.float32)
        soundfile.write(path, clip, 16000, subtype="FLOAT")
    return paths


def counted(log):
    """The network, and the number of this process in a file."""
    with open(log, "a") as file:
        file.write(f"{os.getpid()}\n")
    return make_backbone("speech-mini", weights=None)


def counted_network(folder):
    """A handle of trained weights that counts who makes the network, and the file that says it."""
    log, weights = Path(folder, "log"), Path(folder, "weights.pt")
    torch.save(make_backbone("speech-mini").state_dict(), weights)
    return ModuleHandle(functools.partial(counted, log), weights), log
