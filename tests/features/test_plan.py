"""A plan gives the same numbers in one block and in many, for arrays and for tensors."""

import numpy as np
import pytest
import torch

from sktl.features import _plan
from sktl.features._frames import Framing
from sktl.features._layout import ROWS, Layout
from sktl.features._mel_plan import MelPlan
from sktl.features._plan import (
    FramePlan,
    NotFiniteError,
    Runner,
    run_waveforms,
)

CPU = torch.device("cpu")


class Sums(FramePlan):
    """The sum of each frame, and of each clip what it lacks to the largest."""

    def __init__(self, framing):
        window = torch.ones(framing.frame_length, dtype=torch.float64)
        super().__init__(framing, window, 1, torch.float64)

    def frames(self, windowed):
        return windowed.sum(-1, keepdim=True)

    def clips(self, values, layout):
        return values - layout.spread(layout.maximum(values), len(values))


def layout_of(clips, plan):
    return Layout([plan.framing.n_frames(len(clip)) for clip in clips])


def run_clips(clips, layout, plan):
    return plan.clips(Runner(plan).values(clips, layout), layout)


def noise(*lengths, dtype="float64"):
    rng = np.random.default_rng(0)
    return [rng.normal(size=n).astype(dtype) for n in lengths]


def test_waveforms_and_clips_go_through_both_steps():
    plan = Sums(Framing(2, 2, False))
    y = torch.tensor([[1.0, 2, 3, 4], [5, 0, 1, 1]], dtype=torch.float64)
    assert run_waveforms(y, plan).tolist() == [[[-4, 0]], [[0, -3]]]
    clips = [np.array([1.0, 2, 3, 4]), np.array([5.0])]
    layout = layout_of(clips, plan)
    first, second = layout.split(run_clips(clips, layout, plan))
    assert first.tolist() == [[-4], [0]]
    assert second.tolist() == [[0]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_do_not_depend_on_the_size_of_a_block(monkeypatch, dtype):
    plan = MelPlan(getattr(torch, dtype), CPU)
    clips = noise(9000, 100, 20000, dtype=dtype)
    layout = layout_of(clips, plan)
    whole = run_clips(clips, layout, plan)
    for size in (1, 2**16, 2**18):
        monkeypatch.setattr(_plan, "BYTES_PER_BLOCK", size)
        again = run_clips(clips, layout, plan)
        for rows, same in zip(layout.split(again), layout.split(whole), strict=True):
            assert torch.equal(rows, same)


@pytest.mark.parametrize("options", [{}, {"ref": "max"}, {"top_db": None}, {"decibels": False}])
def test_equal_clips_can_be_written_where_they_are_wanted(options):
    plan = MelPlan(torch.float64, CPU, **options)
    clips = noise(4000, 4000, 4000)
    layout = layout_of(clips, plan)
    out = torch.full((3, layout.counts[0], 64), torch.nan, dtype=torch.float64)
    plan.clips_into(Runner(plan).values(clips, layout), layout, out)
    expected = torch.stack(layout.split(run_clips(clips, layout, plan)))
    assert torch.equal(out, expected)


@pytest.mark.parametrize("options", [{}, {"ref": "max", "top_db": 20.0}, {"power": 1.0}])
@pytest.mark.parametrize("size", [1, 2**30])
def test_with_a_gradient_the_numbers_stay(options, size, monkeypatch):
    monkeypatch.setattr(_plan, "BYTES_PER_BLOCK", size)
    plan = MelPlan(torch.float64, CPU, **options)
    y = torch.from_numpy(np.stack(noise(4000, 4000))).requires_grad_()
    differentiable = run_waveforms(y, plan)
    assert differentiable.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(run_waveforms(y, plan), differentiable.detach())


@pytest.mark.parametrize("lengths", [(3000, 3000), (3000, 800, 1)])
def test_the_path_of_other_devices_gives_the_same_numbers(lengths):
    plan = MelPlan(torch.float64, CPU)
    clips = noise(*lengths)
    layout = layout_of(clips, plan)
    expected = run_clips(clips, layout, plan)
    for given in (clips, [torch.from_numpy(clip) for clip in clips]):
        values = plan.clips(_plan._run_on_device(given, layout, plan), layout)
        for rows, same in zip(layout.split(values), layout.split(expected), strict=True):
            torch.testing.assert_close(rows, same)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_broken_samples_are_found_even_where_no_frame_covers_them(value):
    clips = noise(100, 100)
    clips[1][-1] = value
    plan = Sums(Framing(10, 30, False))
    with pytest.raises(NotFiniteError, match="every sample must be finite"):
        run_clips(clips, layout_of(clips, plan), plan)


def test_memory_is_used_again_and_grows_where_it_must():
    plan = MelPlan(torch.float32, CPU)
    runner = Runner(plan)
    for lengths in [(9000, 100), (400,), (30000, 30000), (1,)]:
        clips = noise(*lengths, dtype="float32")
        layout = layout_of(clips, plan)
        expected = Runner(plan).values(clips, layout)
        actual = runner.values(clips, layout)
        for rows, same in zip(layout.split(actual), layout.split(expected), strict=True):
            assert torch.equal(rows, same)


@pytest.mark.parametrize("frame_length", [1, 400, 1024, 10**6])
def test_blocks_hold_a_multiple_of_sixteen_frames(frame_length):
    size = Sums(Framing(frame_length, 1, False)).frames_per_block()
    assert size >= ROWS
    assert size % ROWS == 0
    assert size * frame_length * 16 <= max(_plan.BYTES_PER_BLOCK, ROWS * frame_length * 16)
