"""Descriptions of values: equal for equal contents, in every process, and for no others."""

import os
import random
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from skorch.callbacks import EarlyStopping, LRScheduler
from torch import nn

from sktl._random import torch_seed
from sktl.classifiers._described import described


class Gain:
    """Holds a setting and where it was made."""

    def __init__(self, gain, inner=None):
        self.gain = gain
        self.inner = inner

    def __call__(self, samples, sample_rate):
        return samples * self.gain

    def apply(self, samples):
        return samples * self.gain


def around(gain):
    def inside(samples, sample_rate):
        return samples * gain

    return inside


def layer(seed):
    with torch_seed(seed):
        return nn.Linear(3, 2)


def twice(samples, factor=2.0):
    return samples * factor


# Pairs that are to be told apart; each is made anew by a call.
PAIRS = [
    (lambda: 1, lambda: 2),
    (lambda: 1, lambda: 1.0),
    (lambda: True, lambda: 1),
    (lambda: "1", lambda: 1),
    (lambda: [1, 2], lambda: (1, 2)),
    (lambda: [1, [2]], lambda: [[1], 2]),
    (lambda: {"a": 1}, lambda: {"a": 2}),
    (lambda: {"a": 1}, lambda: {"b": 1}),
    (lambda: {"x", "y", "z"}, lambda: {"x", "y"}),
    (lambda: np.arange(3), lambda: np.arange(4)),
    (lambda: np.arange(3), lambda: np.arange(3.0)),
    (lambda: np.zeros((2, 3)), lambda: np.zeros((3, 2))),
    (lambda: np.array(["a", None], dtype=object), lambda: np.array(["a", 1], dtype=object)),
    (lambda: torch.arange(3), lambda: torch.tensor([0, 1, 3])),
    (lambda: torch.ones(2, dtype=torch.bfloat16), lambda: torch.ones(2)),
    (lambda: around(1.0), lambda: around(2.0)),
    (lambda: lambda p: p, lambda: lambda p: p * p),
    (lambda: lambda p: 2 * p, lambda: lambda p: 3 * p),
    (lambda: lambda p: max(p, 0), lambda: lambda p: min(p, 0)),
    (lambda: lambda p, q=1: p, lambda: lambda p, q=2: p),
    (lambda: lambda p, *, q=1: p, lambda: lambda p, *, q=2: p),
    (lambda: lambda: lambda p: p + 1, lambda: lambda: lambda p: p + 2),
    (lambda: partial(twice, factor=2), lambda: partial(twice, factor=3)),
    (lambda: partial(twice, 1), lambda: partial(around, 1)),
    (lambda: Gain(0.1), lambda: Gain(0.2)),
    (lambda: Gain(0.1, [Gain(1)]), lambda: Gain(0.1, [Gain(2)])),
    (lambda: Gain(0.1).apply, lambda: Gain(0.2).apply),
    (lambda: Gain(0.1).apply, lambda: Gain(0.1).__call__),
    (lambda: Gain, lambda: EarlyStopping),
    (lambda: torch.optim.SGD, lambda: torch.optim.Adam),
    (lambda: layer(0), lambda: layer(1)),
    (lambda: EarlyStopping(patience=3), lambda: EarlyStopping(patience=4)),
    (lambda: LRScheduler("StepLR", step_size=1), lambda: LRScheduler("StepLR", step_size=2)),
    (lambda: np.random.default_rng(0), lambda: np.random.default_rng(1)),
    (lambda: random.Random(0), lambda: random.Random(1)),
    (lambda: Path("a/b"), lambda: Path("a/c")),
    (lambda: np.float32(0.1), lambda: 0.1),
    (lambda: len, lambda: max),
]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_what_differs_in_its_contents_is_told_apart_and_nothing_else(one, other):
    assert described(one()) == described(one())
    assert described(other()) == described(other())
    assert described(one()) != described(other())


def test_what_refers_to_itself_comes_to_an_end():
    chain = Gain(0.1)
    chain.inner = [chain]
    other = Gain(0.1)
    other.inner = [Gain(0.1)]
    assert described(chain) == described(chain)
    assert described(chain) != described(other)


def test_what_no_pickle_could_hold_is_described_by_its_type():
    assert described(threading.Lock()) == described(threading.Lock())
    assert described([threading.Lock(), 1]) != described([threading.Lock(), 2])


def test_the_same_value_twice_is_not_itself_above():
    shared = [1]
    assert described([shared, shared]) == described([[1], [1]])


def test_another_process_says_the_same():
    script = (
        "import sys, importlib.util as util;"
        f"spec = util.spec_from_file_location({__name__!r}, {__file__!r});"
        "module = util.module_from_spec(spec); sys.modules[spec.name] = module;"
        "spec.loader.exec_module(module);"
        "print([module.described(make()) for pair in module.PAIRS for make in pair])"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str([described(make()) for pair in PAIRS for make in pair])
