"""Networks in pickles: named where they can be found again, else whole."""

import copy
import functools
import os
import pickle
import threading

import numpy as np
import pytest
import torch
from torch import nn

from sktl import PretrainedEmbedding
from sktl._random import torch_seed
from sktl.backbones import ModuleHandle, fingerprint, make_backbone, save_backbone
from sktl.embedding import _shared
from sktl.exceptions import WeightsError


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(_shared, "_kept", type(_shared._kept)())


@pytest.fixture
def clips():
    generator = np.random.default_rng(0)
    return [(0.1 * generator.normal(size=n)).astype(np.float32) for n in (4000, 9000)]


@pytest.fixture
def file(tmp_path):
    """A trained network, as a file."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        body = make_backbone("speech-mini", weights=None)
    save_backbone(body, tmp_path / "trained.safetensors")
    return tmp_path / "trained.safetensors"


def size_of_weights(embedding):
    return sum(value.nbytes for value in embedding.backbone_.state_dict().values())


def linear(log, n_in, n_out):
    with open(log, "a") as file:
        file.write(f"{os.getpid()}\n")
    return nn.Sequential(nn.Linear(n_in, n_out), nn.Tanh())


def test_a_published_network_is_named_and_not_held(clips):
    embedding = PretrainedEmbedding().fit(clips)
    pickled = pickle.dumps(embedding)
    assert len(pickled) < 3000 < 0.01 * size_of_weights(embedding)
    again = pickle.loads(pickled)
    np.testing.assert_array_equal(again.transform(clips), embedding.transform(clips))
    assert len(pickle.dumps(again)) < 3000


def test_a_network_of_a_file_is_named(clips, file):
    for parameters in ({"backbone": file}, {"backbone": str(file)}):
        embedding = PretrainedEmbedding(**parameters).fit(clips)
        pickled = pickle.dumps(embedding)
        assert len(pickled) < 3000
        np.testing.assert_array_equal(
            pickle.loads(pickled).transform(clips), embedding.transform(clips)
        )


def test_a_handle_with_weights_is_loaded_once_for_all_copies(tmp_path):
    log, weights, X = tmp_path / "log", tmp_path / "w.pt", np.ones((3, 400))
    with torch.random.fork_rng(devices=[]):
        torch.save(linear(log, 400, 300).state_dict(), weights)
    handle = ModuleHandle(functools.partial(linear, log, 400, 300), weights)
    embedding = PretrainedEmbedding(handle).fit(X)
    expected = embedding.transform(X)
    pickled = pickle.dumps(embedding)
    assert len(pickled) < 3000
    log.unlink()
    copies = [pickle.loads(pickled) for _ in range(3)]
    assert not log.exists()
    for again in copies:
        np.testing.assert_array_equal(again.transform(X), expected)
    assert len(log.read_text().split()) == 1
    assert copies[0].backbone_ is copies[2].backbone_


@pytest.mark.parametrize(
    "parameters",
    [
        {"weights": None, "random_state": 0},
        {"weights": None},
        {"backbone": "module"},
        {"backbone": "factory"},
        {"backbone": "handle"},
        {"backbone": "mlp"},
    ],
    ids=str,
)
def test_other_networks_are_held_whole(clips, parameters, tmp_path):
    X = clips if "weights" in parameters else np.random.default_rng(0).normal(size=(5, 40))
    factory = functools.partial(linear, tmp_path / "log", 40, 300)
    with torch.random.fork_rng(devices=[]):
        given = {"module": factory(), "factory": factory, "handle": ModuleHandle(factory)}
    backbone = parameters.get("backbone", "speech-mini")
    parameters = parameters | {"backbone": given.get(backbone, backbone)}
    embedding = PretrainedEmbedding(**parameters).fit(X)
    pickled = pickle.dumps(embedding)
    assert len(pickled) > size_of_weights(embedding)
    np.testing.assert_array_equal(pickle.loads(pickled).transform(X), embedding.transform(X))


def test_a_network_that_was_changed_since_is_held_whole(clips):
    embedding = PretrainedEmbedding().fit(clips)
    pickle.dumps(embedding)
    before = embedding.transform(clips)
    next(embedding.backbone_.parameters()).data.mul_(1.5)
    after = pickle.loads(pickle.dumps(embedding)).transform(clips)
    np.testing.assert_array_equal(after, embedding.transform(clips))
    assert not np.allclose(after, before)


def test_a_file_that_was_replaced_since_is_refused(clips, file):
    pickled = pickle.dumps(PretrainedEmbedding(file).fit(clips))
    with torch.random.fork_rng(devices=[]):
        other = make_backbone("speech-mini", weights=None)
    file.unlink()
    save_backbone(other, file)
    with pytest.raises(WeightsError, match=r"trained\.safetensors.* when this estimator was fit"):
        pickle.loads(pickled).transform(clips)


def test_a_file_that_is_gone_is_named_where_it_is_needed(clips, file):
    embedding = PretrainedEmbedding("speech-mini", weights=file).fit(clips)
    pickled = pickle.dumps(embedding)
    file.unlink()
    again = pickle.loads(pickled)
    with pytest.raises(WeightsError, match=r"No file of weights at .*trained\.safetensors"):
        again.transform(clips)
    assert len(pickle.dumps(PretrainedEmbedding().fit(clips))) < 3000


def test_without_its_file_a_network_is_pickled_whole(clips, file):
    embedding = PretrainedEmbedding("speech-mini", weights=file).fit(clips)
    file.unlink()
    again = pickle.loads(pickle.dumps(embedding))
    np.testing.assert_array_equal(again.transform(clips), embedding.transform(clips))


def test_a_deep_copy_shares_nothing(clips):
    embedding = PretrainedEmbedding().fit(clips)
    again = copy.deepcopy(embedding)
    first, second = embedding.backbone_, again.backbone_
    assert fingerprint(first) == fingerprint(second)
    pointers = {value.data_ptr() for value in first.state_dict().values()}
    assert not pointers & {value.data_ptr() for value in second.state_dict().values()}
    np.testing.assert_array_equal(again.transform(clips), embedding.transform(clips))
    loaded = pickle.loads(pickle.dumps(embedding))
    np.testing.assert_array_equal(
        copy.deepcopy(loaded).transform(clips), embedding.transform(clips)
    )


def test_a_fit_makes_a_network_of_its_own(clips):
    first, second = (PretrainedEmbedding().fit(clips) for _ in range(2))
    again = pickle.loads(pickle.dumps(first))
    assert len({id(one.backbone_) for one in (first, second, again)}) == 3


def test_threads_load_a_network_once(clips, monkeypatch):
    embedding = PretrainedEmbedding().fit(clips)
    expected, pickled, made = embedding.transform(clips), pickle.dumps(embedding), []
    make = _shared.Source.make

    def counted(source):
        made.append(source)
        return make(source)

    monkeypatch.setattr(_shared.Source, "make", counted)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(pickle.loads(pickled).transform(clips)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    for rows in found:
        np.testing.assert_array_equal(rows, expected)


def test_few_networks_are_kept(clips):
    for state in range(_shared.MOST_KEPT + 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(state)
            body = make_backbone("speech-mini", weights=None)
        _shared._kept[fingerprint(body), "cpu"] = body
    pickle.loads(pickle.dumps(PretrainedEmbedding().fit(clips))).transform(clips)
    assert len(_shared._kept) == _shared.MOST_KEPT


def test_what_was_unpickled_counts_as_fitted_before_it_is_loaded(clips):
    embedding = PretrainedEmbedding().fit(np.stack([clips[0]] * 2))
    again = pickle.loads(pickle.dumps(embedding))
    assert again.__sklearn_is_fitted__()
    assert again.n_features_in_ == 4000
    assert list(again.get_feature_names_out()) == list(embedding.get_feature_names_out())
    assert not _shared._kept
    assert not hasattr(PretrainedEmbedding(), "backbone_")


def test_threads_that_make_and_that_find_a_network_do_not_wait_for_each_other(clips, monkeypatch):
    """One fits from an unpickled embedding, another loads one: neither has what the other needs."""
    pickled, finding = pickle.dumps(PretrainedEmbedding().fit(clips)), threading.Event()
    first, second = (pickle.loads(pickled) for _ in range(2))
    find = _shared._find

    def told(*arguments):
        finding.set()
        return find(*arguments)

    monkeypatch.setattr(_shared, "_find", told)
    with torch_seed(0):
        thread = threading.Thread(target=lambda: first.backbone_, daemon=True)
        thread.start()
        finding.wait(0.5)
        assert _shared._lock.acquire(timeout=5)
        _shared._lock.release()
        found = second.backbone_
    thread.join(60)
    assert not thread.is_alive()
    assert first.backbone_ is found


@pytest.mark.gpu
def test_a_network_on_a_gpu_is_pickled_for_machines_without(clips):
    embedding = PretrainedEmbedding(weights=None, random_state=0, device="cuda").fit(clips)
    expected = embedding.transform(clips)
    again = pickle.loads(pickle.dumps(embedding))
    assert all(value.is_cpu for value in again._network._body.state_dict().values())
    assert all(value.is_cuda for value in embedding.backbone_.state_dict().values())
    np.testing.assert_allclose(again.transform(clips), expected, rtol=1e-3, atol=1e-4)
