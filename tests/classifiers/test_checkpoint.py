"""Fits that are interrupted go on; files that are damaged or of others are refused."""

import os
import shutil

import numpy as np
import pytest
import torch
from joblib import parallel_config
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from torch import nn

from sktl import FineTunedClassifier
from sktl.classifiers._net import TransferNet
from sktl.exceptions import WeightsError

QUICK = {"max_epochs": 4, "lr": 0.02, "batch_size": 16, "random_state": 0}


@pytest.fixture
def stop(monkeypatch):
    """Make a fit stop when so many epochs have begun, as a user's Ctrl-C does."""
    begin = TransferNet.on_epoch_begin

    def at(n_epochs):
        def interrupted(net, *args, **kwargs):
            if len(net.history) == n_epochs:
                raise KeyboardInterrupt
            return begin(net, *args, **kwargs)

        monkeypatch.setattr(TransferNet, "on_epoch_begin", interrupted)

    return at


def make(folder, **parameters):
    return FineTunedClassifier(checkpoint=folder, **{**QUICK, **parameters})


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def epochs(fitted):
    return [{k: v for k, v in epoch.items() if k != "dur"} for epoch in fitted.history_]


def check_equal(one, other):
    states = [fitted.net_.module_.state_dict() for fitted in (one, other)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert epochs(one) == epochs(other)


@pytest.mark.parametrize("n_epochs", [0, 1, 3])
def test_an_interrupted_fit_goes_on(blobs, tmp_path, stop, n_epochs, monkeypatch, device):
    X, y, _ = blobs
    expected = make(None, device=device).fit(X, y)
    stop(n_epochs)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, device=device).fit(X, y)
    monkeypatch.undo()
    assert len(files(tmp_path)) == (n_epochs > 1)
    check_equal(make(tmp_path, device=device).fit(X, y), expected)


def test_a_finished_fit_is_read(blobs, tmp_path, untrained):
    X, y, _ = blobs
    first = make(tmp_path).fit(X, y)
    [name] = files(tmp_path)
    assert name.endswith(".ckpt")
    untrained()
    again = make(tmp_path).fit(X, y)
    check_equal(again, first)
    np.testing.assert_array_equal(again.predict_proba(X), first.predict_proba(X))
    assert again.n_iter_ == 4


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "one bit", "longer", "pickle"])
def test_a_damaged_file_names_itself(blobs, tmp_path, damage):
    X, y, _ = blobs
    make(tmp_path).fit(X, y)
    [path] = tmp_path.glob("*.ckpt")
    contents = bytearray(path.read_bytes())
    if damage == "one bit":
        contents[len(contents) // 2] ^= 1
    made = {
        "empty": b"",
        "cut": contents[:-100],
        "garbage": b"no checkpoint",
        "one bit": contents,
        "longer": contents + b"\0",
        "pickle": b"\x80\x04cos\nsystem\n(S'exit 1'\ntR.",
    }
    path.write_bytes(made[damage])
    with pytest.raises(WeightsError) as caught:
        make(tmp_path).fit(X, y)
    assert str(caught.value).startswith(f"The checkpoint {path} cannot be read (")
    assert str(caught.value).endswith("; delete it to begin anew.")
    path.unlink()
    assert make(tmp_path).fit(X, y).n_iter_ == 4


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ({"backbone": lambda: nn.Linear(6, 3)}, "blocks.0"),
        ({"head": "mlp"}, "head"),
        ({"head": "cosine"}, "head"),
    ],
)
def test_a_file_of_another_network_is_refused(blobs, tmp_path, other, name):
    X, y, _ = blobs
    make(tmp_path).fit(X, y)
    make(tmp_path / "other", **other).fit(X, y)
    [own], [given] = tmp_path.glob("*.ckpt"), tmp_path.glob("other/*.ckpt")
    shutil.copy(given, own)
    with pytest.raises(WeightsError) as caught:
        make(tmp_path).fit(X, y)
    message = str(caught.value)
    assert message.startswith(f"The checkpoint {own} is of another network: they differ in '")
    assert name in message
    assert message.endswith("give another folder, or delete it to begin anew.")


@pytest.mark.parametrize("place", ["file", "below a file", "device"])
def test_a_folder_that_cannot_be_written_is_refused_before_training(
    blobs, tmp_path, place, untrained
):
    X, y, _ = blobs
    untrained()
    (tmp_path / "file").write_bytes(b"")
    places = {"file": tmp_path / "file", "below a file": tmp_path / "file" / "x", "device": "/proc"}
    if place == "device" and not os.path.isdir("/proc"):
        pytest.skip("there is no /proc")
    with pytest.raises(ValueError, match=r"^checkpoint='.*' is no folder that can be written to"):
        make(places[place]).fit(X, y)


@pytest.mark.parametrize("wrong", [3, True, ["a"]])
def test_what_is_no_folder_is_refused(blobs, wrong):
    with pytest.raises(ValueError, match="is not a folder; give a path or None"):
        make(wrong).fit(*blobs[:2])


def test_without_a_seed_there_is_nothing_to_go_on_from(blobs, tmp_path):
    with pytest.raises(ValueError, match="checkpoint needs a random_state that is not None"):
        make(tmp_path, random_state=None).fit(*blobs[:2])
    make(tmp_path, random_state=np.random.RandomState(0)).fit(*blobs[:2])


def test_a_folder_is_made_and_may_be_a_string(blobs, tmp_path):
    make(str(tmp_path / "a" / "b")).fit(*blobs[:2])
    assert len(files(tmp_path / "a" / "b")) == 1


def test_what_killed_processes_left_is_swept_at_the_end(blobs, tmp_path):
    X, y, _ = blobs
    make(tmp_path).fit(X, y)
    [path] = tmp_path.glob("*.ckpt")
    for _ in range(2):
        (tmp_path / f"{path.name}.0123.part").write_bytes(b"half of")
        (tmp_path / "another.ckpt.0123.part").write_bytes(b"half of")
        make(tmp_path).fit(X, y)
        assert files(tmp_path) == sorted([path.name, "another.ckpt.0123.part"])
        path.unlink()


def test_a_disk_that_is_full_leaves_the_state_before(blobs, tmp_path, monkeypatch):
    X, y, _ = blobs
    n_calls, fsync = 0, os.fsync

    def full(number):
        nonlocal n_calls
        n_calls += 1
        if n_calls == 2:
            raise OSError(28, "No space left on device")
        fsync(number)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            make(tmp_path).fit(X, y)
    assert len(files(tmp_path)) == 1
    check_equal(make(tmp_path).fit(X, y), make(None).fit(X, y))


class Record(Callback):
    """Puts numbers of every kind into the history."""

    def on_epoch_end(self, net, **kwargs):
        net.history.record("single", np.float32(0.1))
        net.history.record("flag", np.bool_(True))
        net.history.record("count", np.int64(3))
        net.history.record("several", np.arange(2.0))


def test_the_history_may_hold_numbers_of_every_kind(blobs, tmp_path):
    fits = [make(tmp_path, callbacks=[Record()]).fit(*blobs[:2]) for _ in range(2)]
    assert fits[1].history_[2]["single"] == fits[0].history_[2]["single"]
    assert fits[1].history_[2]["flag"] is True
    assert fits[1].history_[2]["several"] == [0.0, 1.0]


def test_a_search_shares_a_folder(blobs, tmp_path, untrained):
    X, y, _ = blobs
    grid = {"frozen_layers": [0, 1], "lr": [0.01, 0.1]}
    search = GridSearchCV(make(tmp_path, max_epochs=2), grid, cv=3)
    first = clone(search).fit(X, y)
    # The best one is fitted again, on all rows.
    assert len(files(tmp_path)) == 4 * 3 + 1
    plain = clone(search).set_params(estimator__checkpoint=None).fit(X, y)
    untrained()
    second = clone(search).fit(X, y)
    for other in (plain, second):
        np.testing.assert_array_equal(
            first.cv_results_["mean_test_score"], other.cv_results_["mean_test_score"]
        )
        np.testing.assert_array_equal(first.predict_proba(X), other.predict_proba(X))


def test_threads_may_fit_the_same_at_once(blobs, tmp_path):
    X, y, _ = blobs
    search = GridSearchCV(make(tmp_path), {"verbose": [0, 0, 0, 0]}, cv=2, n_jobs=4, refit=False)
    with parallel_config(backend="threading"):
        search.fit(X, y)
    assert len(set(search.cv_results_["mean_test_score"])) == 1
    assert len(files(tmp_path)) == 2


def test_each_fit_of_a_warm_start_has_a_file_of_its_own(blobs, tmp_path):
    X, y, _ = blobs
    warm = make(tmp_path, warm_start=True)
    fits = [warm.fit(X, y).predict_proba(X) for _ in range(2)]
    assert not np.array_equal(*fits)
    assert len(files(tmp_path)) == 2
    again = make(tmp_path, warm_start=True)
    for expected in fits:
        np.testing.assert_array_equal(again.fit(X, y).predict_proba(X), expected)
    assert len(files(tmp_path)) == 2
