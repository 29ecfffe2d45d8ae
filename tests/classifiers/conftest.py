"""Small data for the network classifiers."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_moons
from skorch.callbacks import Callback
from torch import nn

from sktl.backbones import MLP, Units
from sktl.classifiers._batches import RowSet
from sktl.classifiers._heads import make_head
from sktl.classifiers._module import TransferModule, make_discriminator
from sktl.classifiers._net import TransferNet


@pytest.fixture(scope="session")
def blobs():
    """Rows of two overlapping classes in 6 dimensions, labels, and domains half and half."""
    generator = np.random.default_rng(0)
    y = np.arange(60) % 2
    X = generator.normal(size=(60, 6)) + y[:, None]
    sample_domain = np.where(generator.random(60) < 0.5, 0, -1)
    return X, y, sample_domain


@pytest.fixture(scope="session")
def images():
    """Spectrograms (24, 12, 20) of three classes."""
    generator = np.random.default_rng(1)
    y = np.arange(24) % 3
    X = generator.normal(size=(24, 12, 20))
    X[np.arange(24), 4 * y] += 3.0
    return X, y


@pytest.fixture(scope="session")
def ragged():
    """Ten clips of 0.1 to 2.6 s: tones of two pitches in noise."""
    generator = np.random.default_rng(2)
    y = np.arange(10) % 2
    clips = []
    for i, label in enumerate(y):
        time = np.arange(1600 + 4400 * i) / 16000
        tone = 0.3 * np.sin(2 * np.pi * (300 + 900 * label) * time)
        clips.append((tone + 0.01 * generator.normal(size=len(time))).astype(np.float32))
    return clips, y


@pytest.fixture
def chain():
    """Function that makes a chain of layers, with weights that are the same every time."""

    def make(*layers):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return nn.Sequential(*(layer() for layer in layers))

    return make


@pytest.fixture(scope="session")
def shifted():
    """Two moons, and the same ones rotated by 35 degrees as an unlabelled target."""
    source, y_source = make_moons(150, noise=0.05, random_state=0)
    target, y_target = make_moons(150, noise=0.05, random_state=1)
    angle = np.deg2rad(35)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    X = np.concatenate([source, target @ turn.T])
    y = np.concatenate([y_source, y_target])
    return X, y, np.repeat([0, -1], 150)


class Watch(Callback):
    """Keeps what a function says of the net at every epoch's end; a copy is itself."""

    def __init__(self, function):
        self.function = function
        self.seen = []

    def __deepcopy__(self, memo):
        return self

    def note(self, net):
        self.seen.append(self.function(net))

    def on_epoch_end(self, net, **kwargs):
        self.note(net)


class WatchSteps(Watch):
    """The same after every batch that is trained on."""

    def on_epoch_end(self, net, **kwargs):
        pass

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            self.note(net)


@pytest.fixture
def watch():
    """Make a callback that keeps what a function of the net says after each epoch, in `seen`."""
    return Watch


@pytest.fixture
def watch_steps():
    """Make a callback that keeps what a function of the net says after each step, in `seen`."""
    return WatchSteps


@pytest.fixture
def untrained(monkeypatch):
    """Let nothing be trained from now on."""

    def forbid():
        monkeypatch.setattr(TransferNet, "train_step", None)

    return forbid


@pytest.fixture
def batch():
    """Seven source rows, then five target rows."""
    generator = torch.Generator().manual_seed(1)
    n_source, n = 7, 12
    values = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (n,), generator=generator)
    weight = torch.rand(n, generator=generator, dtype=torch.float64) + 0.1
    source = torch.arange(n) < n_source
    return RowSet(Units(values), y, weight, source, n_source=n_source)


@pytest.fixture
def module():
    """Body, head for three classes and discriminator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        body, head = MLP(4, hidden=(6, 5)), make_head("linear", 5, 3)
        return TransferModule(body, head, None, False, make_discriminator(5, (4,))).double()
