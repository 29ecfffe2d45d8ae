"""Embeds into a folder, again and again, and is killed at random moments; run by test_killed.py.

Prints a line of JSON: how often a process was killed in the middle.
"""

import itertools
import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sktl import PretrainedEmbedding
from sktl.backbones import Backbone, InputSpec
from sktl.embedding._cache import RowStore, row_key

N_CLIPS, N_KILLS, N_LARGE = 4000, 12, 50


class Slow(Backbone):
    """A few milliseconds for each clip."""

    input_spec = InputSpec("waveform", sr=1000, min_samples=1000)
    embedding_size = 500

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.blocks = nn.ModuleList([nn.Linear(1000, 500)])
        self._n_seen, self._delay = 0, 0.002

    def front_end(self, clips):
        self._n_seen += len(clips)
        time.sleep(self._delay * len(clips))
        return [clip[None] for clip in clips]


def make_clips():
    generator = np.random.default_rng(0)
    return list(generator.normal(scale=0.1, size=(N_CLIPS, 1000)).astype(np.float32))


def embed(memory):
    embedding = PretrainedEmbedding(Slow, memory=memory).fit(make_clips())
    clips = make_clips()
    for start in range(0, N_CLIPS, 5):
        embedding.transform(clips[start : start + 5])


def write(memory):
    """Nothing but large rows, over and over."""
    store = RowStore(memory, "large")
    for number in itertools.cycle(range(N_LARGE)):
        store.put(row_key(np.full(4, number)), np.full(300_000, number))


def kill_after(work, memory, seconds):
    """Whether the process was still at it."""
    child = os.fork()
    if child == 0:
        work(memory)
        os._exit(0)
    while not any(memory.rglob("*.npy")):
        time.sleep(0.01)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    # What is loaded once is loaded before the first fork.
    PretrainedEmbedding(Slow).fit_transform(make_clips()[:5])
    moments = np.random.default_rng(seed).uniform(0.05, 0.4, size=(2, N_KILLS))
    killed = [
        sum(kill_after(work, folder, seconds) for seconds in chosen)
        for work, chosen in zip((embed, write), moments, strict=True)
    ]
    print(json.dumps({"embedding": killed[0], "writing": killed[1]}))
