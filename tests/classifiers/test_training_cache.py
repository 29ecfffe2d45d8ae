"""The frozen part runs once, and neither cache nor memory changes a bit of the result."""

import subprocess
import sys

import joblib
import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from torch import nn

from sktl import FineTunedClassifier
from sktl.backbones import YAMNet
from sktl.embedding import clear_memory

SHORT = {"max_epochs": 2, "lr": 0.01, "batch_size": 4, "random_state": 0}


@pytest.fixture(autouse=True)
def forgotten():
    clear_memory()
    yield
    clear_memory()


@pytest.fixture(params=["mlp", "cnn", "crnn", "gru", "speech-mini", "yamnet"])
def case(request, blobs, images, ragged):
    """Network without published weights, rows for it, and a depth to freeze to."""
    if request.param == "mlp":
        X, y, _ = blobs
        return "mlp", X.astype(np.float32), y, 1
    if request.param in ("cnn", "crnn", "gru"):
        X, y = images
        return (
            request.param,
            X.astype(np.float32),
            y,
            {"cnn": 3, "crnn": 2, "gru": 1}[request.param],
        )
    return request.param, ragged[0], ragged[1], {"speech-mini": 6, "yamnet": 12}[request.param]


def test_cache_and_memory_change_no_bit(case, tmp_path):
    backbone, X, y, depth = case
    for frozen_layers in (depth, "all"):
        common = {"weights": None, "frozen_layers": frozen_layers, **SHORT}
        cached = FineTunedClassifier(backbone, **common).fit(X, y)
        uncached = FineTunedClassifier(backbone, cache=False, **common).fit(X, y)
        expected = uncached.decision_function(X)
        np.testing.assert_array_equal(cached.decision_function(X), expected)
        for memory in (tmp_path, tmp_path, ":memory:", ":memory:"):
            kept = FineTunedClassifier(backbone, memory=memory, **common).fit(X, y)
            np.testing.assert_array_equal(kept.decision_function(X), expected)


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_cache_and_memory_change_no_bit_in_either_precision(images, tmp_path, precision):
    X, y = images
    X = X.astype(np.float32)
    common = {"precision": precision, "frozen_layers": 2, **SHORT}
    fits = [
        FineTunedClassifier("cnn", **options, **common).fit(X, y)
        for options in ({}, {"cache": False}, {"memory": tmp_path})
    ]
    for fitted in fits[1:]:
        np.testing.assert_array_equal(fitted.decision_function(X), fits[0].decision_function(X))


@pytest.mark.gpu
def test_cache_and_memory_change_no_bit_on_the_gpu(images, tmp_path):
    X, y = images
    X = X.astype(np.float32)
    common = {"device": "cuda", "frozen_layers": 2, **SHORT}
    fits = [
        FineTunedClassifier("cnn", **options, **common).fit(X, y)
        for options in ({}, {"cache": False}, {"memory": tmp_path})
    ]
    for fitted in fits[1:]:
        np.testing.assert_array_equal(fitted.decision_function(X), fits[0].decision_function(X))


@pytest.fixture
def n_rows_run(monkeypatch):
    """Rows that have passed block 0 of a YAMNet so far, padding among them."""
    seen = []
    run_blocks = YAMNet.run_blocks

    def counted(self, values, start=0, stop=None):
        if start == 0 and stop != 0:
            seen.append(len(values))
        return run_blocks(self, values, start, stop)

    monkeypatch.setattr(YAMNet, "run_blocks", counted)
    return seen


def frozen_yamnet(**parameters):
    return FineTunedClassifier(
        "yamnet", weights=None, **{**SHORT, "frozen_layers": -1, **parameters}
    )


def test_the_frozen_part_runs_once_per_fit(ragged, n_rows_run):
    clips = [clip[:8000] for clip in ragged[0]]
    frozen_yamnet(max_epochs=5).fit(clips, ragged[1])
    assert n_rows_run == [16]
    n_rows_run.clear()
    frozen_yamnet(max_epochs=5, cache=False).fit(clips, ragged[1])
    assert len(n_rows_run) > 5


def test_rows_kept_in_memory_are_not_computed_again(ragged, n_rows_run, tmp_path):
    clips, y = [clip[:8000] for clip in ragged[0]], ragged[1]
    first = frozen_yamnet(memory=tmp_path).fit(clips, y)
    assert n_rows_run == [16]
    second = frozen_yamnet(memory=joblib.Memory(tmp_path, verbose=0), lr=0.1).fit(clips, y)
    assert second.predict(clips).shape == first.predict(clips[::-1]).shape
    assert n_rows_run == [16]
    frozen_yamnet(memory=tmp_path).fit([*clips, clips[0] / 2], [*y, 0])
    assert n_rows_run == [16, 16]
    frozen_yamnet(memory=tmp_path, frozen_layers=-2).fit(clips, y)
    frozen_yamnet(memory=tmp_path, random_state=1).fit(clips, y)
    assert len(n_rows_run) == 4


@pytest.mark.parametrize("kind", ["folder", "process"])
def test_folds_and_candidates_share_rows(ragged, n_rows_run, tmp_path, kind):
    clips, y = [clip[:8000] for clip in ragged[0]], ragged[1]
    memory = tmp_path if kind == "folder" else ":memory:"
    GridSearchCV(
        frozen_yamnet(memory=memory, max_epochs=1), {"lr": [0.1, 0.01]}, cv=5, refit=False
    ).fit(clips, y)
    # Eight rows of the first fold, then the two that it tests on; nothing after that.
    assert n_rows_run == [16, 16]


def test_processes_share_rows(ragged, n_rows_run, tmp_path):
    clips, y = [clip[:8000] for clip in ragged[0]], ragged[1]
    joblib.dump((clips, y, str(tmp_path)), tmp_path / "data.joblib")
    script = (
        "import sys, joblib, torch; from sktl import FineTunedClassifier;"
        "torch.set_num_threads(1); clips, y, memory = joblib.load(sys.argv[1]);"
        "FineTunedClassifier('yamnet', weights=None, frozen_layers=-1, memory=memory,"
        " max_epochs=1, random_state=0).fit(clips, y)"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "data.joblib"], check=True)
    frozen_yamnet(memory=tmp_path).fit(clips, y)
    assert n_rows_run == []


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"PK\x03\x04 no zip", b"\x80\x04 pickle"])
def test_a_damaged_row_is_computed_again_and_mended(ragged, n_rows_run, tmp_path, damage):
    clips, y = [clip[:8000] for clip in ragged[0]], ragged[1]
    expected = frozen_yamnet(memory=tmp_path).fit(clips, y).decision_function(clips)
    files = sorted(tmp_path.rglob("*.npy"))
    assert len(files) == 10
    files[0].write_bytes(damage)
    files[1].write_bytes(files[1].read_bytes()[:-100])
    again = frozen_yamnet(memory=tmp_path).fit(clips, y)
    np.testing.assert_array_equal(again.decision_function(clips), expected)
    assert n_rows_run == [16, 16]
    frozen_yamnet(memory=tmp_path).fit(clips, y)
    assert n_rows_run == [16, 16]
    assert not list(tmp_path.rglob("*.part"))


class Gain(nn.Module):
    """A block whose setting is neither a parameter nor in its name."""

    def __init__(self, gain):
        super().__init__()
        self.gain = gain

    def forward(self, rows):
        return self.gain * rows.abs()


def test_networks_of_other_settings_share_no_rows(blobs, tmp_path):
    X, y, _ = blobs
    for gain in (1.0, 5.0):
        network = nn.Sequential(Gain(gain), nn.Softmax(dim=1))
        common = {"frozen_layers": 1, **SHORT}
        kept = FineTunedClassifier(network, memory=tmp_path, **common).fit(X, y)
        plain = FineTunedClassifier(network, **common).fit(X, y)
        np.testing.assert_array_equal(kept.decision_function(X), plain.decision_function(X))


def test_front_ends_of_other_settings_share_no_rows(ragged, tmp_path):
    clips, y = ragged[0][:4], ragged[1][:4]

    class Loudness(YAMNet):
        def __init__(self, offset):
            super().__init__()
            self.offset = offset
            self.blocks = nn.ModuleList([nn.Flatten(), nn.AdaptiveAvgPool1d(4)])
            self.embedding_size = 4

        def front_end(self, clips):
            return [patches + self.offset for patches in super().front_end(clips)]

        def pool(self, activations):
            return activations.exp()

    for offset in (0.0, 3.0):
        with torch.random.fork_rng(devices=[]):
            network = Loudness(offset)
        common = {"frozen_layers": 2, **SHORT}
        kept = FineTunedClassifier(network, memory=tmp_path, **common).fit(clips, y)
        plain = FineTunedClassifier(network, **common).fit(clips, y)
        a, b = (f.net_.module_.embedding_scaler.mean.numpy() for f in (kept, plain))
        np.testing.assert_array_equal(a, b)
