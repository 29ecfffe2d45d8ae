"""Clips that pass a function in every epoch: what comes of them, seeds, and what is refused."""

import random
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from sktl import FineTunedClassifier
from sktl._random import torch_seed
from sktl.audio import Clips
from sktl.backbones import Backbone, InputSpec, Ragged, Units
from sktl.classifiers._batches import Batches, RowSet
from sktl.classifiers._build import build_module, resolve_input
from sktl.classifiers._net import TransferNet
from sktl.classifiers._objective import Objective
from sktl.classifiers._training import make_net
from sktl.classifiers._waveform import (
    AugmentedRows,
    BeginEpoch,
    check_augment,
    isolated_generators,
)

SR = 8000


class Patches(Backbone):
    """Cuts clips into patches of 400 samples."""

    input_spec = InputSpec("waveform", sr=SR, min_samples=400)
    embedding_size = 6

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(400, 6)])

    def front_end(self, clips):
        padded = [nn.functional.pad(clip, (0, -len(clip) % 400)) for clip in clips]
        return [clip.reshape(-1, 400) for clip in padded]


class Whole(Patches):
    """Sees clips whole."""

    input_spec = InputSpec("waveform", sr=SR, varying=True)

    def front_end(self, clips):
        return [clip[None] for clip in clips]


class Gain:
    """As audiomentations has it: parameters drawn from the global generators, then applied."""

    def __init__(self, p=0.8):
        self.p = p
        self.parameters = {}

    def __call__(self, samples, sample_rate):
        assert samples.dtype == np.float32
        assert sample_rate == SR
        self.parameters = {"should_apply": random.random() < self.p}
        if not self.parameters["should_apply"]:
            return samples
        gain = np.random.uniform(0.2, 2.0)  # noqa: NPY002 (as that package does)
        shift = random.randrange(100)
        return np.roll(samples, shift) * np.float32(gain) + 0.01 * torch.rand(1).numpy()


def same(samples, sample_rate):
    return samples


def clips_of(*lengths):
    generator = np.random.default_rng(0)
    return [generator.uniform(-0.5, 0.5, n).astype(np.float32) for n in lengths]


LENGTHS = (900, 300, 1700, 400, 800, 500)


def row_set(body, clips):
    n = len(clips)
    units = body.front_end([torch.as_tensor(clip) for clip in clips])
    source = torch.arange(n) < n - 2
    weight = torch.arange(1.0, n + 1)
    varying = body.input_spec.varying
    return RowSet(Units.from_rows(units, varying), torch.arange(n) % 2, weight, source)


def augmented(augment, clips=None, body=None, seed=0, sr=SR):
    clips = clips_of(*LENGTHS) if clips is None else clips
    with torch_seed(0):
        body = body or Patches()
    return AugmentedRows(row_set(body, clips), Clips(clips, sr), body, augment, seed)


def rows_of(rows, *index):
    """Units of each row, in bytes."""
    units = rows.take(torch.tensor(index)).units.rows()
    return [row.numpy().tobytes() for row in units]


@pytest.mark.parametrize("body", [Patches, Whole])
def test_clips_left_as_they_are_give_the_rows_of_a_fit_without(body):
    with torch_seed(0):
        body = body()
    clips = clips_of(*LENGTHS)
    plain, rows = row_set(body, clips), augmented(same, clips, body)
    index = torch.tensor([4, 0, 5, 0])
    expected, found = (each.take(index, n_source=2) for each in (plain, rows))
    assert isinstance(found.units.values, Ragged) == body.input_spec.varying
    for one, other in zip(found.units.rows(), expected.units.rows(), strict=True):
        assert torch.equal(one, other)
    for name in ("y", "weight", "source"):
        assert torch.equal(getattr(found, name), getattr(expected, name))
    assert (found.start, found.n_source, len(found)) == (0, 2, 4)


def test_units_are_those_of_what_the_function_returns():
    clips = clips_of(900, 300)

    def twice(samples, sample_rate):
        return np.concatenate([samples, -samples])

    found = augmented(twice, clips).take(torch.tensor([0, 1])).units
    assert found.counts().tolist() == [5, 2]
    padded = [np.pad(np.r_[clip, -clip], (0, -2 * len(clip) % 400)) for clip in clips]
    np.testing.assert_array_equal(found.values.flatten(), np.concatenate(padded))


def test_source_and_target_rows_are_augmented_batch_by_batch():
    seen = []

    def record(samples, sample_rate):
        seen.append(len(samples))
        return samples

    rows = augmented(record)
    batches = list(Batches(rows, 4, seed=0))
    assert [(len(batch), batch.n_source) for batch in batches] == [(4, 2), (4, 2)]
    assert sorted(seen) == sorted([*LENGTHS, 800, 500])


def test_arrays_and_files_are_augmented_alike(tmp_path):
    clips = clips_of(*[600] * 5)
    paths = [str(tmp_path / f"{i}.wav") for i in range(5)]
    for path, clip in zip(paths, clips, strict=True):
        soundfile.write(path, clip, SR, subtype="FLOAT")
    lists = augmented(Gain(), clips)
    dense = augmented(Gain(), clips)
    dense.clips = Clips(np.stack(clips), SR)
    files = augmented(Gain(), clips)
    files.clips = Clips(paths, SR, from_files=True, n_threads=2)
    index = (3, 0, 4, 0)
    assert rows_of(lists, *index) == rows_of(dense, *index) == rows_of(files, *index)


def test_what_comes_of_a_row_depends_on_seed_epoch_row_and_visit_alone():
    first = rows_of(augmented(Gain(p=1.0)), *range(6))
    one_by_one = augmented(Gain(p=1.0))
    assert [rows_of(one_by_one, i)[0] for i in reversed(range(6))] == first[::-1]
    rows = augmented(Gain(p=1.0))
    visits = rows_of(rows, 2, 2) + rows_of(rows, 2)
    assert visits[0] == first[2]
    assert len(set(visits)) == 3
    rows.begin_epoch(1)
    later = rows_of(rows, *range(6))
    assert not set(later) & set(first)
    rows.begin_epoch(0)
    assert rows_of(rows, *range(6)) == first
    assert not set(rows_of(augmented(Gain(p=1.0), seed=1), *range(6))) & set(first)


def test_draws_before_change_nothing_and_none_are_left_behind():
    expected = rows_of(augmented(Gain()), 0, 1)
    with isolated_generators():
        random.random()
        np.random.random()  # noqa: NPY002
        torch.rand(3)
        assert rows_of(augmented(Gain()), 0, 1) == expected
    # The fixture of all tests compares the generators.


def test_generators_are_put_back_when_the_function_raises():
    def fail(samples, sample_rate):
        random.random()
        np.random.random()  # noqa: NPY002
        torch.rand(1)
        raise RuntimeError("no such filter")

    with pytest.raises(RuntimeError, match="no such filter"):
        augmented(fail).take(torch.tensor([0]))


def test_draws_are_spread_evenly():
    seen = []

    def draw(samples, sample_rate):
        seen.append((random.random(), np.random.random(), float(torch.rand(1))))  # noqa: NPY002
        return samples

    rows = augmented(draw)
    for epoch in range(200):
        rows.begin_epoch(epoch)
        rows.take(torch.arange(6))
    draws = np.array(seen)
    np.testing.assert_allclose(draws.mean(0), 0.5, atol=0.03)
    np.testing.assert_allclose(draws.std(0), 12**-0.5, atol=0.02)
    np.testing.assert_allclose(np.corrcoef(draws.T), np.eye(3), atol=0.1)


@pytest.mark.parametrize("dense", [False, True])
def test_a_function_that_works_in_place_does_not_change_the_clips(dense):
    def silence(samples, sample_rate):
        samples[:] = 0.0
        return samples

    clips = clips_of(800, 800, 800)
    rows = augmented(silence, clips)
    if dense:
        rows.clips = Clips(np.stack(clips), SR)
    for _ in range(2):
        assert not rows.take(torch.tensor([0, 2])).units.values.any()
    assert all(clip.any() for clip in rows.clips.rows)
    check_augment(silence, rows.clips, seed=0)
    assert all(clip.any() for clip in rows.clips.rows)


def test_memory_that_the_function_uses_again_is_copied():
    buffer = np.zeros(400, dtype=np.float32)

    def fill(samples, sample_rate):
        buffer[:] = samples[0]
        return buffer

    clips = clips_of(400, 400)
    found = augmented(fill, clips).take(torch.tensor([0, 1])).units.values
    np.testing.assert_array_equal(found[:, 0], [clip[0] for clip in clips])


@pytest.mark.parametrize("make", [np.float64, np.float16, torch.as_tensor])
def test_other_floats_and_tensors_may_be_returned(make):
    clips = [np.full(400, 0.25, dtype=np.float32)] * 3
    rows = augmented(lambda samples, sample_rate: make(samples), clips)
    units = rows.take(torch.tensor([0])).units.values
    assert units.dtype == torch.float32
    assert (units == 0.25).all()


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (None, "None"),
        ([0.0, 0.1], "a list"),
        (np.float32(1.0), "a float32"),
        (np.zeros((2, 400), np.float32), r"an array of shape \(2, 400\)"),
        (np.zeros(400, np.int16), "an array of dtype int16"),
        (np.zeros(400, np.complex64), "an array of dtype complex64"),
        (np.zeros(0, np.float32), "an empty array"),
        (np.array([0.0, np.nan]), "samples that are not finite"),
        (np.array([0.0, 1e300]), "samples that are not finite"),
        (torch.zeros(1, 400), r"an array of shape \(1, 400\)"),
    ],
)
def test_what_is_no_clip_is_refused_before_training_and_within(result, words):
    def wrong(samples, sample_rate):
        return result

    rows = augmented(wrong)
    message = f"augment=wrong returned {words}; it has to return .* 1-D array of finite floats"
    with pytest.raises(ValueError, match=message):
        check_augment(wrong, rows.clips, seed=0)
    with pytest.raises(ValueError, match=message):
        rows.take(torch.tensor([0]))


def test_rows_that_are_no_clips_are_refused():
    with pytest.raises(ValueError, match="augment=Gain changes the samples of clips, but X is an"):
        check_augment(Gain(), np.zeros((3, 4)), seed=0)
    check_augment(None, np.zeros((3, 4)), seed=0)
    check_augment(Gain(), Clips(clips_of(900), SR), seed=0)


def train(augment, seed=0, **parameters):
    """Fit as a classifier does, on rows that are augmented."""
    clips = clips_of(*LENGTHS)
    y = np.arange(6) % 2
    with torch_seed(seed):
        estimator = FineTunedClassifier(Patches(), batch_size=2, **parameters)
        checked, body, plan = resolve_input(estimator, clips)
        module = build_module(replace(plan, classes=(0, 1)), body)
        rows = row_set(body, clips)
        rows = RowSet(rows.units, torch.as_tensor(y), rows.weight, torch.ones(6, dtype=torch.bool))
        rows = AugmentedRows(rows, checked, body, augment, seed)
        net = make_net(estimator, module, Objective(), seed=seed, callbacks=[BeginEpoch()])
        net.notify("on_train_begin", X=rows, y=None)
        net.fit_loop(rows)
    assert isinstance(net, TransferNet)
    return [float(epoch["train_loss"]) for epoch in net.history]


def test_a_net_trains_on_clips_that_differ_in_every_epoch():
    still = {"lr": 1e-30, "weight_decay": 0.0, "optimizer": "sgd", "max_epochs": 4}
    plain, gained = train(same, **still), train(Gain(), **still)
    assert plain == pytest.approx([plain[0]] * 4)
    assert len(set(np.round(gained, 5))) == 4
    assert train(Gain(), **still) == gained
    assert train(Gain(), max_epochs=2, lr=0.01) == train(Gain(), max_epochs=2, lr=0.01)


def test_transforms_of_audiomentations_work_as_they_are():
    package = pytest.importorskip("audiomentations", reason="audiomentations is not installed")
    augment = package.Compose(
        [
            package.Gain(min_gain_db=-6.0, max_gain_db=6.0, p=1.0),
            package.AddGaussianNoise(p=0.5),
            package.PolarityInversion(p=0.5),
            package.Shift(p=0.5),
        ]
    )
    clips = clips_of(*LENGTHS)
    check_augment(augment, Clips(clips, SR), seed=0)
    first = rows_of(augmented(augment, clips), *range(6))
    assert rows_of(augmented(augment, clips), *range(6)) == first
    rows = augmented(augment, clips)
    assert [rows_of(rows, i)[0] for i in reversed(range(6))] == first[::-1]
    rows.begin_epoch(1)
    assert not set(rows_of(rows, *range(6))) & set(first)
