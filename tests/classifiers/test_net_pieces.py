"""Long clips pass the network in pieces of a batch, and the step is that of the whole batch."""

import numpy as np
import pytest
import torch
from torch import nn

from sktl import DomainAdaptiveClassifier, FineTunedClassifier
from sktl.backbones import Backbone, InputSpec
from sktl.classifiers import _training

SETTINGS = {"optimizer": "sgd", "lr": 0.05, "max_epochs": 2, "batch_size": 8, "random_state": 0}


class Envelopes(Backbone):
    """Loudness in 8 parts of each 0.1 s."""

    input_spec = InputSpec("waveform", sr=16000, min_samples=1600)
    embedding_size = 5
    seen: tuple[int, ...] = ()
    norm = False

    def __init__(self):
        super().__init__()
        last = nn.BatchNorm1d(5) if self.norm else nn.Tanh()
        layers = [nn.Sequential(nn.Linear(8, 6), nn.Tanh()), nn.Sequential(nn.Linear(6, 5), last)]
        self.blocks = nn.ModuleList(layers)

    def front_end(self, clips):
        whole = [c[: len(c) // 1600 * 1600].reshape(-1, 8, 200) for c in clips]
        return [patches.std(2) for patches in whole]

    def run_blocks(self, values, start=0, stop=None):
        if self.training:
            Envelopes.seen = (*Envelopes.seen, len(values))
        return super().run_blocks(values, start, stop)


@pytest.fixture
def pieces(monkeypatch):
    """Say how many patches go through at a time, and count anew."""

    def set_pieces(n):
        monkeypatch.setattr(_training, "UNITS_AT_ONCE", n)
        monkeypatch.setattr(Envelopes, "seen", ())

    return set_pieces


def weights(fitted):
    return dict(fitted.net_.module_.named_parameters())


@pytest.mark.parametrize(
    "levers",
    [{}, {"l2_sp": 0.1, "label_smoothing": 0.1}, {"mixup": 0.4}, {"frozen_layers": 1}],
)
def test_a_step_is_that_of_the_whole_batch(ragged, pieces, levers):
    X, y = ragged
    weight = np.linspace(0.5, 2, len(y))
    fits = []
    for n in (10**6, 20):
        pieces(n)
        clf = FineTunedClassifier(Envelopes, **SETTINGS, **levers)
        fits.append(clf.fit(X, y, sample_weight=weight))
    n_patches = sum(len(clip) // 1600 for clip in X)
    assert sum(Envelopes.seen) == 2 * n_patches
    assert len(Envelopes.seen) > 6
    for name, value in weights(fits[0]).items():
        torch.testing.assert_close(value, weights(fits[1])[name], rtol=1e-5, atol=1e-6)
    for whole, parts in zip(*(fit.history_ for fit in fits), strict=True):
        assert parts["train_loss"] == pytest.approx(whole["train_loss"], rel=1e-5)


@pytest.mark.parametrize("frozen_layers", [1, "all"])
def test_the_cache_changes_no_bit(ragged, pieces, frozen_layers):
    pieces(20)
    settings = {**SETTINGS, "frozen_layers": frozen_layers}
    fits = [FineTunedClassifier(Envelopes, cache=c, **settings).fit(*ragged) for c in (False, True)]
    for name, value in weights(fits[0]).items():
        assert torch.equal(value, weights(fits[1])[name]), name


def test_rows_meet_in_one_pass_where_the_loss_or_the_statistics_need_it(
    ragged, pieces, monkeypatch
):
    X, y = ragged
    pieces(20)
    domains = np.where(np.arange(len(y)) < 6, 0, -1)
    aligned = DomainAdaptiveClassifier(Envelopes, lambda_mmd=1.0, **SETTINGS)
    aligned.fit(X, y, sample_domain=domains)
    assert len(Envelopes.seen) == 2 * 2
    monkeypatch.setattr(Envelopes, "norm", True)
    pieces(20)
    FineTunedClassifier(Envelopes, **SETTINGS).fit(X, y)
    assert len(Envelopes.seen) == 2 * 2
