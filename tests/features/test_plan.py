"""A plan gives the same numbers in one block and in many."""

import numpy as np
import pytest

from sktl.features import _plan
from sktl.features._frames import Framing
from sktl.features._plan import ROWS, round_up


@pytest.mark.parametrize("size", [1, 2**30])
def test_rows_go_through_both_steps(monkeypatch, size, sums_plan):
    monkeypatch.setattr(_plan, "BYTES_PER_BLOCK", size)
    rng = np.random.default_rng(0)
    clips = [rng.normal(size=n) for n in (2, 100, 7)]
    plan = sums_plan(Framing(2, 2, False))
    outs = [np.full((n, 1), np.nan) for n in plan.framing.counts(map(len, clips))]
    energies = plan.rows(clips, outs)
    np.testing.assert_allclose(energies, [np.sum(clip**2) for clip in clips])
    for clip, rows in zip(clips, outs, strict=True):
        sums = clip[: len(rows) * 2].reshape(-1, 2).sum(1)
        np.testing.assert_allclose(rows[:, 0], sums - sums.max(), atol=1e-12)


def test_numbers_are_rounded_up_to_whole_blocks():
    assert [round_up(n) for n in (1, ROWS, ROWS + 1)] == [ROWS, ROWS, 2 * ROWS]


@pytest.mark.parametrize("frame_length", [1, 400, 1024, 10**6])
def test_blocks_hold_a_multiple_of_sixteen_frames(frame_length, sums_plan):
    size = sums_plan(Framing(frame_length, 1, False)).frames_per_block()
    assert size >= ROWS
    assert size % ROWS == 0
    assert size * frame_length * 16 <= max(_plan.BYTES_PER_BLOCK, ROWS * frame_length * 16)
