"""What goes through a network at once, and how less of it does when memory runs out."""

import copy
import pickle
import warnings
import weakref

import pytest
import torch

from sktl.backbones import Ragged
from sktl.embedding._batches import BatchSize, BatchSizes, is_out_of_memory, pad_rows

OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: "
        "you tried to allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    MemoryError("Unable to allocate 1.0 TiB for an array"),
]


class Small:
    """Squares rows, but no more than `most` of them at once."""

    def __init__(self, most, error=OUT_OF_MEMORY[0]):
        self.most = most
        self.error = error
        self.seen = []

    def __call__(self, values):
        self.seen.append(len(values))
        if len(values) > self.most:
            raise self.error
        return [value**2 for value in values] if isinstance(values, list) else values**2


@pytest.mark.parametrize(
    ("n", "padded"), [(0, 16), (1, 16), (15, 16), (16, 16), (17, 32), (64, 64)]
)
def test_rows_are_padded_with_zeros_to_a_full_multiple(n, padded):
    values = torch.ones(n, 3, 2)
    got = pad_rows(values)
    assert got.shape == (padded, 3, 2)
    assert torch.equal(got[:n], values)
    assert not got[n:].any()


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_errors_of_torch_and_of_numpy_that_mean_memory_are_known(error):
    assert is_out_of_memory(error)


def test_a_real_allocation_that_fails_is_known():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**46, dtype=torch.float64)
    assert is_out_of_memory(caught.value)


def test_other_errors_are_passed_on_at_once():
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    small = Small(1, RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        BatchSize().map_units(small, torch.ones(40, 2))
    assert small.seen == [48]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("most", [64, 63, 32, 16, 15, 1])
def test_batches_are_halved_until_they_fit_and_stay_so(most, error):
    values, batches, small = torch.arange(300.0).reshape(150, 2), BatchSize(64.0), Small(most)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert torch.equal(batches.map_units(small, values), values**2)
        tried = [size for size in small.seen if size > most]
        assert tried == [size for size in (64, 32, 16, 8, 4, 2) if size > most]
        small.seen.clear()
        assert torch.equal(batches.map_units(small, values), values**2)
        assert max(small.seen) <= most
    assert len(caught) == (most < 64)
    assert all("Memory ran out on 64 s" in str(one.message) for one in caught)


def test_a_batch_shorter_than_allowed_is_halved_from_its_own_size():
    batches, small = BatchSize(64.0), Small(8)
    with pytest.warns(UserWarning, match="ran out on 16 s of audio"):
        batches.map_units(small, torch.ones(16, 2))
    assert small.seen == [16, 8, 8]


def test_a_unit_that_does_not_fit_alone_is_told_with_its_duration():
    with (
        pytest.warns(UserWarning, match="Memory ran out"),
        pytest.raises(MemoryError, match=r"out on 7\.5 s of audio .* alone: CUDA out of memory"),
    ):
        BatchSize().map_units(Small(0), torch.ones(3, 2), 7.5)


def test_batches_are_measured_in_seconds():
    for seconds, expected in (
        (0.5, [128, 16]),
        (1.0, [64, 64, 16]),
        (3.9, [16] * 9),
        (9.0, [16] * 9),
    ):
        small = Small(200)
        BatchSize(64.0).map_units(small, torch.ones(130, 2), seconds)
        assert small.seen[: len(expected)] == expected


def test_units_that_are_not_padded_go_as_they_are():
    small = Small(9)
    values = torch.rand(7, 3, generator=torch.Generator().manual_seed(0))
    made = BatchSize(6.0).map_units(small, values, 1.5, multiple=1)
    assert torch.equal(made, values**2)
    assert small.seen == [4, 3]
    assert len(BatchSize().map_units(small, values, multiple=1, most=1)) == 7
    assert small.seen[2:] == [1] * 7


def test_lists_of_clips_are_cut_by_their_duration():
    clips = [torch.full((n,), float(n)) for n in (10, 30, 20, 20, 90, 5, 5)]
    small = Small(9)
    made = BatchSize(6.0).map_clips(small, clips, sr=10)
    assert all(map(torch.equal, made, [clip**2 for clip in clips]))
    assert small.seen == [3, 1, 1, 2]


def test_lists_of_clips_are_halved_too():
    clips = [torch.full((10,), float(n)) for n in range(9)]
    small = Small(3)
    with pytest.warns(UserWarning, match="ran out on 9 s"):
        made = BatchSize(64.0).map_clips(small, clips, sr=10)
    assert all(map(torch.equal, made, [clip**2 for clip in clips]))
    assert small.seen == [9, 4, 2, 2, 2, 2, 1]


def test_what_fits_does_not_depend_on_how_long_the_clips_of_a_batch_are():
    batches, small = BatchSize(64.0), Small(16)
    with pytest.warns(UserWarning, match="Memory ran out"):
        batches.map_units(small, torch.ones(64, 2), 0.97)
    small.seen.clear()
    for seconds in (0.5, 1.0, 30.0):
        batches.map_units(small, torch.ones(20, 2), seconds)
    assert small.seen == [16] * 6
    batches.map_units(small, torch.ones(20, 4), 1.0)
    assert small.seen[6:] == [8, 8, 8]


def test_what_the_failed_attempt_held_is_free_for_the_next():
    seen, references = [], []

    def watched(values):
        seen.append(sum(reference() is not None for reference in references))
        tensor = torch.ones(4)
        references.append(weakref.ref(tensor))
        if len(values) > 16:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return values

    with pytest.warns(UserWarning, match="Memory ran out"):
        BatchSize().map_units(watched, torch.ones(64, 2))
    assert not any(seen)


def test_each_device_has_its_own_size_and_a_pickle_has_none():
    sizes = BatchSizes()
    cpu = sizes.on(torch.device("cpu"))
    assert sizes.on(torch.device("cpu")) is cpu
    assert sizes.on(torch.device("cuda", 0)) is not cpu
    cpu.seconds = 3.0
    for again in (pickle.loads(pickle.dumps(sizes)), copy.deepcopy(sizes)):
        assert again.on(torch.device("cpu")).seconds == 64.0


def ragged(*sizes):
    """Units (1, size) that hold their size."""
    return Ragged.concat([torch.full((1, size), float(size)) for size in sizes])


class Lengths:
    """Mean of each of several units, but no more than `most` values at once, padded."""

    def __init__(self, most=10**9):
        self.most = most
        self.seen = []

    def __call__(self, units):
        sizes = [unit.shape[1] for unit in units.one_by_one()]
        self.seen.append(sizes)
        if len(sizes) * max(sizes) > self.most:
            raise OUT_OF_MEMORY[0]
        return torch.tensor([[float(size)] for size in sizes])


def test_units_of_like_length_go_together_and_come_back_in_their_order():
    sizes = [9, 3, 8, 3, 40, 4]
    lengths = Lengths()
    found = BatchSize(seconds=64.0).map_ragged(lengths, ragged(*sizes), seconds=1.0)
    assert found[:, 0].tolist() == sizes
    assert lengths.seen == [[3, 3, 4], [8], [9], [40]]  # 16 s with the padding, or one


def test_units_of_several_lengths_are_halved_when_memory_runs_out():
    sizes = [4] * 10
    lengths, batches = Lengths(most=17), BatchSize(seconds=1000.0)
    with pytest.warns(UserWarning, match="Memory ran out") as caught:
        found = batches.map_ragged(lengths, ragged(*sizes), seconds=1.0)
    assert len(caught) == 1
    assert found[:, 0].tolist() == sizes
    assert [len(seen) for seen in lengths.seen] == [10, 5, 2, 2, 2, 2, 2]


def test_one_unit_of_several_lengths_that_does_not_fit_is_told():
    with (
        pytest.warns(UserWarning, match="Memory ran out"),
        pytest.raises(MemoryError, match="on 6 s of audio"),
    ):
        BatchSize(seconds=1000.0).map_ragged(Lengths(most=5), ragged(6, 6), seconds=1.0)


def test_a_thread_that_runs_out_later_does_not_raise_what_others_found_to_fit():
    batches, values = BatchSize(64.0), torch.ones(64, 2)

    def overtaken(units):
        with pytest.warns(UserWarning, match="Memory ran out"):
            batches.map_units(Small(4), values)
        raise OUT_OF_MEMORY[0]

    small, attempts = Small(4), iter([overtaken])
    batches.map_units(lambda units: next(attempts, small)(units), values)
    assert small.seen == [4] * 16
