"""From rows to units: checks, chunks, padding, and rows already on disk."""

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator

from sktl import PretrainedEmbedding
from sktl._random import torch_seed
from sktl.audio import Clips
from sktl.backbones import Backbone, InputSpec, make_backbone, save_backbone
from sktl.backbones._units import over_groups
from sktl.embedding._cache import RowStore
from sktl.embedding._rows import (
    CHUNK_ROWS,
    _seconds_at_once,
    check_rows,
    chunks,
    iter_units,
    run_padded,
)

CPU = {"device": torch.device("cpu"), "dtype": torch.float32}


class Halves(Backbone):
    """Cuts a clip into patches of four samples."""

    input_spec = InputSpec("waveform", sr=16000)

    def front_end(self, clips):
        padded = [torch.nn.functional.pad(clip, (0, -len(clip) % 4)) for clip in clips]
        return [clip.reshape(-1, 4) for clip in padded]


class Rows(Backbone):
    input_spec = InputSpec("features")


def clips_of(*lengths):
    return [np.arange(n, dtype=np.float32) + 100 * n for n in lengths]


@pytest.mark.parametrize("n", [1, 63, 64, 65, 200])
def test_chunks_of_an_array_hold_all_rows_in_order_and_few_at_a_time(n):
    X = np.arange(2 * n).reshape(n, 2)
    parts = list(chunks(X))
    assert max(map(len, parts)) <= CHUNK_ROWS
    np.testing.assert_array_equal(np.concatenate([np.stack(part) for part in parts]), X)


@pytest.mark.parametrize(
    ("seconds", "min_samples", "expected"),
    [
        (4.0, 1, [64, 64, 64, 8]),
        (64.0, 1, [4] * 50),
        (300.0, 1, [1] * 200),
        (0.01, 1, [200]),
        (0.01, 2 * 100, [128, 72]),
    ],
)
def test_chunks_of_clips_last_about_as_long_whatever_the_clips(seconds, min_samples, expected):
    clips = Clips(200 * [np.zeros(int(100 * seconds), dtype=np.float32)], 100)
    assert [len(part) for part in chunks(clips, min_samples)] == expected


@pytest.mark.parametrize("n", [0, 1, 16, 63, 64, 65, 150])
def test_a_function_sees_full_multiples_and_few_rows_at_a_time(n):
    seen = []

    def double(values):
        seen.append(len(values))
        return 2 * values

    values = torch.arange(3.0 * n).reshape(n, 3)
    assert torch.equal(run_padded(double, values), 2 * values)
    assert all(size % 16 == 0 and 0 < size <= CHUNK_ROWS for size in seen)


def test_units_are_those_of_the_front_end_row_by_row():
    clips = clips_of(3, 9, 4) * 40
    parts = list(iter_units(Clips(clips, 16000), Halves(), **CPU))
    assert [len(part) for part in parts] == [120]
    rows = [row for part in parts for row in part.rows()]
    for clip, row in zip(clips, rows, strict=True):
        flat = row.flatten().numpy()
        np.testing.assert_array_equal(flat[: len(clip)], clip)
        assert len(row) == -(-len(clip) // 4)


def test_unreadable_rows_have_no_units_wherever_they_stand():
    class Unreadable(Clips):
        def chunks(self, size, max_samples):
            for chunk in super().chunks(2, max_samples):
                yield [None if len(clip) == 1 else clip for clip in chunk]

    lengths = [9, 1, 1, 1, 1, 5]
    parts = list(iter_units(Unreadable(clips_of(*lengths), 16000), Halves(), torch.neg, **CPU))
    counts = [len(row) for part in parts for row in part.rows()]
    assert counts == [3, 0, 0, 0, 0, 2]
    means = torch.cat([part.mean() for part in parts])
    assert means.isnan().all(1).tolist() == [False, True, True, True, True, False]


def test_the_store_gives_the_same_and_computes_what_is_missing(tmp_path):
    seen = []

    def prefix(values):
        seen.append(len(values))
        return values**2

    store = RowStore(tmp_path, "square")
    X = np.random.default_rng(0).normal(size=(20, 5))
    plain = torch.cat([u.values for u in iter_units(X, Rows(), prefix, **CPU)])
    seen.clear()
    runs = [X[::2], X, X[::-1]]
    for rows in runs:
        units = list(iter_units(rows, Rows(), prefix, store=store, **CPU))
        values = torch.cat([part.values for part in units])
        assert values.dtype == torch.float32
        index = [int(np.where((row == X).all(1))[0][0]) for row in rows]
        assert torch.equal(values, plain[index])
    assert seen == [16, 16]


def test_ragged_rows_come_out_of_the_store_with_their_units(tmp_path):
    store = RowStore(tmp_path, "ragged")
    clips = clips_of(3, 9, 4)
    first, second = (
        list(iter_units(Clips(clips, 16000), Halves(), torch.neg, store=store, **CPU))
        for _ in range(2)
    )
    assert [len(row) for row in second[0].rows()] == [1, 3, 1]
    assert torch.equal(first[0].values, second[0].values)
    assert torch.equal(first[0].offsets, second[0].offsets)


class Estimator(BaseEstimator):
    pass


def test_arrays_set_and_check_the_number_of_features():
    estimator, spec = Estimator(), InputSpec("features")
    rows = check_rows(estimator, [[1, 2], [3, 4]], spec, reset=True)
    assert rows.dtype == np.float64
    assert estimator.n_features_in_ == 2
    assert check_rows(estimator, torch.ones(3, 2), spec, reset=False).dtype == np.float32
    assert check_rows(Estimator(), np.ones((3, 2, 5, 4)), spec, reset=True).shape == (3, 2, 5, 4)
    with pytest.raises(ValueError, match="X has 3 features, but Estimator is expecting 2"):
        check_rows(estimator, np.ones((3, 3)), spec, reset=False)


@pytest.mark.parametrize(
    ("X", "kind", "message"),
    [
        ([], "features", "X is empty; give at least one row"),
        (np.full((2, 2), np.inf), "features", "infinity"),
        (np.ones((3, 4)), "spectrogram", r"X has shape \(3, 4\), but this network takes spectro"),
        (np.ones((3, 4, 5, 6)), "spectrogram", r"MelSpectrogram\(duration=...\)"),
        (np.ones((3, 2, 900)), "waveform", r"X has shape \(3, 2, 900\): clips of several channels"),
    ],
)
def test_rows_of_another_kind_are_refused(X, kind, message):
    with pytest.raises(ValueError, match=message):
        check_rows(Estimator(), X, InputSpec(kind, sr=16000), reset=True)


def test_a_waveform_network_without_a_rate_is_told_so():
    with pytest.raises(ValueError, match="sr=None is not a sample rate"):
        check_rows(Estimator(), np.zeros((2, 9)), InputSpec("waveform"), reset=True)


@pytest.mark.parametrize(
    ("lengths", "n_threads", "expected"),
    [
        ([500] * 28, 2, [14, 14]),  # 140 s
        ([500] * 40, 2, [10, 10, 10, 10]),
        ([500] * 40, 3, [14, 14, 12]),
        ([500] * 8, 2, [4, 4]),
        ([40] * 10, 2, [5, 5]),  # each counts as a second
        ([700, 100, 100, 500, 300], 2, [3, 2]),
        ([500], 4, [1]),
    ],
)
def test_every_thread_has_as_many_chunks(lengths, n_threads, expected):
    clips = Clips([np.zeros(n, dtype=np.float32) for n in lengths], 100)
    seconds = _seconds_at_once(clips, 1, n_threads)
    assert [len(part) for part in chunks(clips, 1, seconds)] == expected


class Whole(Backbone):
    """Takes clips as they are."""

    input_spec = InputSpec("waveform", sr=16000, varying=True)

    def front_end(self, clips):
        return [clip[None] for clip in clips]


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("stored", [False, True])
def test_a_chunk_of_unreadable_rows_alone_has_no_units(tmp_path, mixed, stored):
    class Unreadable(Clips):
        def chunks(self, size, max_samples):
            yield [self.rows[0], None]
            yield [None, None]

    def total(values):
        return over_groups(lambda group: group.sum(1, keepdim=True), values)

    store = RowStore(tmp_path, "whole") if stored else None
    rows = Unreadable(clips_of(5, 5, 5, 5), 16000)
    parts = list(iter_units(rows, Whole(), total, mixed=mixed, store=store, **CPU))
    assert [part.counts().tolist() for part in parts] == [[1, 0], [0, 0]]
    [first, missing] = [part.mean() for part in parts]
    assert first[0].item() == clips_of(5)[0].sum()
    assert missing.isnan().all()


@pytest.mark.parametrize(
    ("name", "row_shape", "told"),
    [
        (
            "cnn",
            (4, 5),
            r"takes spectrograms .* list of clips, have several: .*clips to MelSpectrogram\(",
        ),
        (
            "mlp",
            (5,),
            r"takes rows of numbers .* list of clips, have several: .*clips to MFCC\(\) in a",
        ),
    ],
)
def test_clips_of_several_lengths_are_refused_in_words(tmp_path, name, row_shape, told):
    path = tmp_path / "saved.safetensors"
    with torch_seed(0):
        save_backbone(make_backbone(name, row_shape=row_shape), path)
    with pytest.raises(ValueError, match=told):
        PretrainedEmbedding(path).fit([np.zeros(5), np.zeros(6)])
