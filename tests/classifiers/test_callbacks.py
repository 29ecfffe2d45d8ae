"""What our callbacks do at the start of an epoch, and the user's during a fit."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping, LRScheduler, PrintLog
from torch import nn

from sktl import FineTunedClassifier
from sktl.classifiers._callbacks import Reseed, UnfreezeBlocks

QUICK = {"max_epochs": 4, "lr": 0.01, "random_state": 0}


class Record(Callback):
    """Keeps what a function says of the net at every epoch's end, in a list outside."""

    seen = None

    def __init__(self, function):
        self.function = function

    def on_epoch_end(self, net, **kwargs):
        Record.seen.append(self.function(net))


@pytest.fixture
def record(monkeypatch):
    def start(function):
        monkeypatch.setattr(Record, "seen", [])
        return Record(function)

    return start


class Draw(Callback):
    """Disturbs torch's generator after each epoch."""

    def on_epoch_end(self, net, **kwargs):
        torch.rand(7)


def test_an_epoch_does_not_depend_on_draws_before_it(blobs, chain):
    X, y, _ = blobs
    network = chain(lambda: nn.Linear(6, 16), nn.ReLU, nn.Dropout)
    plain = FineTunedClassifier(network, **QUICK).fit(X, y)
    disturbed = FineTunedClassifier(network, callbacks=[Draw()], **QUICK).fit(X, y)
    np.testing.assert_array_equal(plain.predict_proba(X), disturbed.predict_proba(X))


@pytest.mark.global_state("the callback is called outside of a fit")
def test_reseed_seeds_by_seed_and_epoch():
    class Net:
        module_ = nn.PReLU()
        history = (1,)

    draws = []
    for seed, epoch in [(0, 1), (0, 1), (0, 2), (5, 1)]:
        Net.history = range(epoch)
        Reseed(seed).on_epoch_begin(Net)
        draws.append(float(torch.rand(1)))
    assert draws[0] == draws[1]
    assert len(set(draws)) == 3


def frozen(net):
    learning = [
        any(weight.requires_grad for weight in block.parameters())
        for block in net.module_.body.blocks
    ]
    return learning.index(True) if any(learning) else len(learning)


@pytest.mark.parametrize(
    ("every", "lowest", "expected"),
    [(1, 0, [4, 3, 2, 1, 0, 0, 0]), (2, 0, [4, 4, 3, 3, 2, 2, 1]), (1, 2, [4, 3, 2, 2, 2, 2, 2])],
)
def test_blocks_are_released_from_the_top_at_their_epoch(images, record, every, lowest, expected):
    X, y = images
    FineTunedClassifier(
        unfreeze_every=every,
        frozen_layers=lowest,
        max_epochs=7,
        callbacks=[record(frozen)],
        random_state=0,
    ).fit(X, y)
    assert Record.seen == expected


def block_weights(net):
    return [
        torch.cat([w.detach().flatten().clone() for w in block.parameters()]).numpy()
        for block in net.module_.body.blocks
    ]


def test_a_block_moves_from_its_release_on_and_not_before(images, record):
    X, y = images
    FineTunedClassifier(
        unfreeze_every=1, frozen_layers=1, callbacks=[record(block_weights)], **QUICK
    ).fit(X, y)
    moved = [
        [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
        for before, after in zip(Record.seen, Record.seen[1:], strict=False)
    ]
    assert moved == [
        [False, False, False, True],
        [False, False, True, True],
        [False, True, True, True],
    ]


def test_unfreezing_and_l2_sp_go_together_while_everything_is_frozen(images):
    X, y = images
    fitted = FineTunedClassifier(unfreeze_every=2, l2_sp=0.1, **QUICK).fit(X, y)
    terms = [epoch["train_loss_l2_sp"] for epoch in fitted.history_]
    assert terms[:2] == [0.0, 0.0]
    assert terms[3] > 0.0


def test_unfreezing_never_freezes_again():
    module = type("Module", (), {"body": None, "calls": [], "n_frozen": 0})()
    module.body = type("Body", (), {"blocks": [None] * 3})()

    def freeze(n_frozen):
        module.n_frozen = n_frozen
        module.calls.append(n_frozen)

    module.freeze = freeze
    net = type("Net", (), {"module_": module, "history": []})()
    callback = UnfreezeBlocks(every=1, lowest=0)
    for epoch in range(1, 7):
        net.history = range(epoch)
        callback.on_epoch_begin(net)
    assert module.calls == [3, 2, 1, 0]


class Counter(Callback):
    """Changes itself, as skorch's callbacks do."""

    def __init__(self):
        self.n_epochs = 0

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs += 1


def test_the_users_callbacks_are_called_but_left_as_they_were(blobs):
    X, y, _ = blobs
    given = [Counter()]
    fitted = FineTunedClassifier(callbacks=given, **QUICK).fit(X, y)
    assert given[0].n_epochs == 0
    assert [c.n_epochs for _, c in fitted.net_.callbacks_ if isinstance(c, Counter)] == [4]


def test_a_scheduler_of_skorch_works(blobs):
    X, y, _ = blobs
    schedule = LRScheduler(policy=torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.1)
    fitted = FineTunedClassifier(callbacks=[schedule], **QUICK).fit(X, y)
    assert fitted.net_.optimizer_.param_groups[0]["lr"] == pytest.approx(0.01 * 0.1**4)


class Interrupt(Callback):
    """The user presses Ctrl-C in the second epoch."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("early_stopping", [False, True])
def test_an_interrupt_comes_out_of_fit_and_leaves_the_fitted_state(blobs, early_stopping):
    X, y, _ = blobs
    classifier = FineTunedClassifier(early_stopping=early_stopping, **QUICK).fit(X, y)
    before = classifier.predict_proba(X)
    classifier.set_params(callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(X, np.array(["a", "b"])[y])
    np.testing.assert_array_equal(classifier.predict_proba(X), before)
    assert list(classifier.classes_) == [0, 1]


def test_early_stopping_of_skorch_ends_a_fit_as_our_own_does(blobs):
    X, y, _ = blobs
    stop = EarlyStopping(monitor="train_loss", patience=2, threshold=0.99)
    fitted = FineTunedClassifier(callbacks=[stop], **{**QUICK, "max_epochs": 9}).fit(X, y)
    assert fitted.n_iter_ == 3
    assert fitted.predict(X).shape == (60,)


def test_the_table_of_epochs_is_made_only_where_it_is_printed(blobs, monkeypatch, capsys):
    X, y, _ = blobs
    made, table = [], PrintLog.table
    monkeypatch.setattr(PrintLog, "table", lambda *args: made.append(1) or table(*args))
    FineTunedClassifier(**QUICK).fit(X, y)
    assert not made
    FineTunedClassifier(verbose=1, **QUICK).fit(X, y)
    assert len(made) == QUICK["max_epochs"]
    assert "train_loss" in capsys.readouterr().out
