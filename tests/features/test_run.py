"""Clips are run alone, together, on other devices and with gradients, with the same numbers."""

import numpy as np
import pytest
import torch

from sktl.features import _plan, _run
from sktl.features._frames import Framing
from sktl.features._layout import Layout
from sktl.features._mel_plan import MelPlan
from sktl.features._run import ClipError, run_clips, run_waveforms

CPU = torch.device("cpu")


def layout_of(clips, plan):
    return Layout(plan.framing.counts(map(len, clips)))


def run(clips, layout, plan):
    return run_clips(clips, layout, plan)


def noise(*lengths, dtype="float64"):
    rng = np.random.default_rng(0)
    return [rng.normal(size=n).astype(dtype) for n in lengths]


def test_waveforms_and_clips_go_through_both_steps(sums_plan):
    plan = sums_plan(Framing(2, 2, False))
    y = torch.tensor([[1.0, 2, 3, 4], [5, 0, 1, 1]], dtype=torch.float64)
    assert run_waveforms(y, plan).tolist() == [[[-4, 0]], [[0, -3]]]
    clips = [np.array([1.0, 2, 3, 4]), np.array([5.0])]
    layout = layout_of(clips, plan)
    first, second = layout.split(run(clips, layout, plan))
    assert first.tolist() == [[-4], [0]]
    assert second.tolist() == [[0]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_do_not_depend_on_the_size_of_a_block(monkeypatch, dtype):
    plan = MelPlan(getattr(torch, dtype), CPU)
    clips = noise(9000, 100, 20000, dtype=dtype)
    layout = layout_of(clips, plan)
    whole = run(clips, layout, plan)
    for size in (1, 2**16, 2**18):
        monkeypatch.setattr(_plan, "BYTES_PER_BLOCK", size)
        again = run(clips, layout, plan)
        for rows, same in zip(layout.split(again), layout.split(whole), strict=True):
            assert torch.equal(rows, same)


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
    expected = run(clips, layout, plan)
    for given in (clips, [torch.from_numpy(clip) for clip in clips]):
        values = plan.clips(_run._values_on_device(given, layout, plan), layout)
        for rows, same in zip(layout.split(values), layout.split(expected), strict=True):
            torch.testing.assert_close(rows, same)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_broken_samples_are_found_even_where_no_frame_covers_them(value, sums_plan):
    clips = noise(100, 100)
    clips[1][-1] = value
    plan = sums_plan(Framing(10, 30, False))
    with pytest.raises(ClipError, match="every sample must be finite") as caught:
        run(clips, layout_of(clips, plan), plan)
    assert caught.value.index == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_do_not_depend_on_how_clips_are_given(dtype):
    plan = MelPlan(getattr(torch, dtype), CPU)
    clips = noise(*[3000] * 5, dtype=dtype)
    layout = layout_of(clips, plan)
    expected = run(clips, layout, plan)
    rows = np.stack(clips)
    wider = np.pad(rows, ((0, 0), (0, 50)))[:, :-50]
    strided = torch.from_numpy(np.repeat(rows, 2, axis=1))[:, ::2]
    for given in (rows, wider, list(wider), strided, list(strided), torch.from_numpy(rows)):
        assert torch.equal(run(given, layout, plan), expected)


@pytest.mark.parametrize("scale", [1e17, 1e25])
def test_clips_too_loud_for_their_dtype_are_refused(scale):
    clips = [clip * np.float32(scale) for clip in noise(100, 5000, dtype="float32")]
    plan = MelPlan(torch.float32, CPU)
    with pytest.raises(ClipError, match=r"samples as large as .*e\+.* float32: scale") as caught:
        run(clips, layout_of(clips, plan), plan)
    assert caught.value.index == 0
    assert (
        run(
            [clip.astype("float64") for clip in clips],
            layout_of(clips, plan),
            MelPlan(torch.float64, CPU),
        )
        .isfinite()
        .all()
    )


@pytest.mark.parametrize("settings", [{}, {"norm": None}, {"top_db": None}, {"window": "boxcar"}])
def test_clips_that_are_not_refused_give_finite_numbers(settings):
    plan = MelPlan(torch.float32, CPU, **settings)
    tone = np.sin(0.5 * np.arange(20000))
    tone *= np.sqrt(0.9 * plan.largest_energy / np.sum(tone**2))
    assert run([tone.astype("float32")], layout_of([tone], plan), plan).isfinite().all()


def test_loud_clips_are_no_trouble_where_nothing_overflows(sums_plan):
    plan = sums_plan(Framing(10, 30, False))
    clips = [np.full(100, 1e200)]
    assert run(clips, layout_of(clips, plan), plan).isfinite().all()
