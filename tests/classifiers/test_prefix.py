"""Rows at every depth: from the clip, from a smaller depth, from any memory, the same bits."""

import joblib
import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from torch import nn

from sktl import FineTunedClassifier
from sktl._random import torch_seed
from sktl.audio import Clips
from sktl.backbones import Backbone, InputSpec, Units, make_backbone
from sktl.classifiers._module import TransferModule
from sktl.classifiers._prefix import contexts, prefix_units
from sktl.embedding import _rows, clear_memory


@pytest.fixture(autouse=True)
def forgotten():
    clear_memory()
    yield
    clear_memory()


class Transformer(Backbone):
    """Clips of any length in frames of 480 samples, through four layers."""

    input_spec = InputSpec("waveform", sr=16000, min_samples=480, varying=True)
    embedding_size = 12

    def __init__(self):
        super().__init__()
        sizes = {"d_model": 12, "nhead": 2, "dim_feedforward": 24, "batch_first": True}
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(**sizes) for _ in range(4))

    def front_end(self, clips):
        clips = [nn.functional.pad(clip, (0, max(0, 480 - len(clip)))) for clip in clips]
        frames = [clip[: len(clip) // 480 * 480].reshape(1, -1, 12, 40) for clip in clips]
        return [10.0 * frame.std(3) for frame in frames]

    def pool(self, activations):
        return activations.mean(1)


def own_convolutions():
    """Images have their channels last."""
    layers = [nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.Flatten()]
    chain = nn.Sequential(nn.Unflatten(1, (1, 12)), *layers)
    return chain.to(memory_format=torch.channels_last)


NETWORKS = {
    "mlp": ("mlp", (9,)),
    "cnn": ("cnn", (12, 20)),
    "crnn": ("crnn", (12, 20)),
    "gru": ("gru", (12, 20)),
    "own convolutions": (own_convolutions, (12, 20)),
    "yamnet": ("yamnet", None),
    "transformer": (Transformer, None),
}


def case(name):
    """A network with weights that matter, and rows for it."""
    backbone, shape = NETWORKS[name]
    given = None if isinstance(backbone, str) else "pretrained"
    generator = np.random.default_rng(0)
    with torch_seed(0):
        body = make_backbone(backbone, weights=given, row_shape=shape)
        for part in body.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.1)
                part.running_var.uniform_(0.5, 2.0)
        head = nn.Linear(body.embedding_size, 2)
    module = TransferModule(body, head, (1,) if shape else None, True)
    module.freeze(len(body.blocks))
    if shape:
        module.input_scaler.fill(np.array([0.5]), np.array([2.0]))
        return module, generator.normal(size=(19, *shape)).astype(np.float32)
    lengths = [1600, 4000, 15600, 16000, 16000, 31000]
    clips = [generator.normal(scale=0.1, size=n).astype(np.float32) for n in lengths]
    return module, Clips(clips, 16000)


def at(module, rows, depth, memory=None):
    """Rows at a depth, a tensor each."""
    return Units.concat(list(prefix_units(module, rows, depth, memory))).rows()


@pytest.fixture
def parts_run(monkeypatch):
    """First and last block of each run of a transformer so far, and its clips."""
    seen = []
    run_blocks = Transformer.run_blocks

    def noted(self, values, start=0, stop=None):
        seen.append((start, stop))
        return run_blocks(self, values, start, stop)

    monkeypatch.setattr(Transformer, "run_blocks", noted)
    return seen


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("place", ["process", "folder"])
def test_rows_that_go_on_from_a_smaller_depth_have_the_same_bits(name, place, tmp_path):
    module, rows = case(name)
    last = len(module.body.blocks) + 1
    expected = {depth: at(module, rows, depth) for depth in range(1, last + 1)}
    some = rows.take(np.arange(1, len(rows), 2)) if isinstance(rows, Clips) else rows[1::2]
    for step in (1, 3):
        clear_memory()
        memory = ":memory:" if place == "process" else tmp_path / str(step)
        for depth in range(1, last + 1, step):
            # Every other row goes on from where all were; of the rest, from one depth back.
            for chosen in (some, rows):
                found = at(module, chosen, depth, memory)
            assert len(found) == len(rows)
            for row, other in zip(found, expected[depth], strict=True):
                assert torch.equal(row, other)


def test_a_row_by_hand():
    module, rows = case("transformer")
    [unit] = module.body.front_end([torch.from_numpy(rows.rows[1])])
    with torch.no_grad():
        for block in module.body.blocks[:3]:
            unit = block(unit)
    torch.testing.assert_close(at(module, rows, 3, ":memory:")[1], unit)
    with torch.no_grad():
        embedding = module.body.blocks[3](unit).mean(1)
    torch.testing.assert_close(at(module, rows, 5, ":memory:")[1], embedding)


@pytest.mark.parametrize("kind", ["process", "folder", "joblib"])
def test_only_the_blocks_that_remain_are_run(kind, tmp_path, parts_run):
    memory = {"process": ":memory:", "folder": tmp_path, "joblib": joblib.Memory(tmp_path)}[kind]
    module, rows = case("transformer")
    n_lengths = len({len(clip) for clip in rows.rows}) + 1  # two of one length, one at a time
    at(module, rows, 1, memory)
    at(module, rows, 3, memory)
    assert parts_run == [(0, 1)] * n_lengths + [(1, 3)] * n_lengths
    parts_run.clear()
    at(module, rows, 2, memory)
    at(module, rows, 5, memory)
    at(module, rows, 5, memory)
    at(module, rows, 1, memory)
    assert parts_run == [(1, 2)] * n_lengths + [(3, 5)] * n_lengths


def test_each_row_goes_on_from_the_deepest_place_that_has_it(tmp_path, parts_run):
    module, rows = case("transformer")
    at(module, rows.take([0, 1]), 1, tmp_path)
    at(module, rows.take([1, 2]), 2, tmp_path)
    parts_run.clear()
    at(module, rows.take([0, 1, 2, 3]), 4, tmp_path)
    assert parts_run == [(2, 4), (2, 4), (1, 4), (0, 4)]


def test_a_damaged_row_at_a_smaller_depth_is_computed_from_the_clip(tmp_path, parts_run):
    module, rows = case("transformer")
    expected = at(module, rows, 3)
    at(module, rows, 2, tmp_path)
    files = sorted(tmp_path.rglob("*.npy"))
    files[0].write_bytes(files[0].read_bytes()[:-1])
    parts_run.clear()
    for row, other in zip(at(module, rows, 3, tmp_path), expected, strict=True):
        assert torch.equal(row, other)
    assert sorted(parts_run) == [(0, 3)] + [(2, 3)] * 5


def test_a_row_is_hashed_once_however_many_depths_are_looked_into(tmp_path, monkeypatch):
    module, rows = case("transformer")
    for depth in (1, 2, 3):
        at(module, rows.take([depth]), depth, tmp_path)
    hashed = []
    row_key = _rows.row_key
    monkeypatch.setattr(_rows, "row_key", lambda row: hashed.append(len(row)) or row_key(row))
    at(module, rows, 4, tmp_path)
    assert hashed == [len(clip) for clip in rows.rows]


def test_without_memory_nothing_is_kept(parts_run):
    module, rows = case("transformer")
    for memory in (None, joblib.Memory(None)):
        at(module, rows, 1, memory)
    parts_run.clear()
    at(module, rows, 2, ":memory:")
    assert {start for start, _ in parts_run} == {0}


def test_contexts_differ_by_all_that_comes_before_and_nothing_that_comes_after():
    module, _ = case("cnn")
    n_blocks = len(module.body.blocks)
    before = contexts(module, n_blocks + 1)
    assert len(set(before)) == n_blocks + 2
    assert contexts(module, 2) == before[:3]
    with torch.no_grad():
        next(module.body.blocks[2].parameters()).add_(1.0)
    after = contexts(module, n_blocks + 1)
    assert [a == b for a, b in zip(before, after, strict=True)] == [True] * 3 + [False] * 3
    module.input_scaler.fill(np.array([0.0]), np.array([2.0]))
    assert not set(contexts(module, n_blocks + 1)) & {*before, *after}


def test_what_is_trained_leaves_the_contexts_of_the_frozen_part_alone(ragged):
    clips, y = ragged
    common = {"frozen_layers": 2, "max_epochs": 2, "batch_size": 4, "random_state": 0}
    first = FineTunedClassifier(Transformer, **common).fit(clips, y)
    again = FineTunedClassifier(Transformer, **common, lr=0.1).fit(clips, y)
    one, other = (contexts(fitted.net_.module_, 4) for fitted in (first, again))
    assert one[:3] == other[:3]
    assert not set(one[3:]) & set(other[3:])


GRID = {"frozen_layers": [1, 3, "all"], "lr": [0.1, 0.01]}


def search(X, y, **parameters):
    estimator = FineTunedClassifier(
        Transformer, max_epochs=2, batch_size=4, optimizer="adamw", random_state=0, **parameters
    )
    found = GridSearchCV(estimator, GRID, cv=2, refit=False, scoring="neg_log_loss").fit(X, y)
    return found.cv_results_["mean_test_score"]


def test_a_grid_gives_the_same_scores_with_and_without_memory(ragged, tmp_path):
    expected = search(*ragged, cache=False)
    assert len(set(expected)) > 3
    for memory in (None, ":memory:", tmp_path):
        np.testing.assert_array_equal(search(*ragged, memory=memory), expected)


def test_a_grid_runs_every_frozen_block_once_per_clip(ragged, parts_run):
    with torch_seed(0):
        state = Transformer().state_dict()

    def start():
        body = Transformer()
        body.load_state_dict(state)
        return body

    estimator = FineTunedClassifier(
        start, memory=":memory:", max_epochs=2, batch_size=4, optimizer="adamw", random_state=0
    )
    GridSearchCV(estimator, GRID, cv=2, refit=False).fit(*ragged)
    n_clips = len(ragged[0])
    count = {part: parts_run.count(part) for part in [(0, 1), (1, 3), (3, 5), (1, 5), (0, 5)]}
    # The starting embedding once for all depths; what was trained, for every score.
    expected = {(0, 1): 1, (1, 3): 1, (1, 5): 1 + 2, (3, 5): 2, (0, 5): 0}
    assert count == {part: times * n_clips for part, times in expected.items()}
