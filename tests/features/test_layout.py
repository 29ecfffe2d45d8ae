"""Every row belongs to the clip it should."""

import numpy as np
import pytest
import torch

from sktl.features._layout import Layout

COUNTS = [[3, 3, 3], [5, 1, 40, 2], [1], [16]]


@pytest.mark.parametrize("counts", COUNTS)
def test_clips_lie_one_after_another(counts):
    layout = Layout(counts)
    rows = np.concatenate([np.full(n, i) for i, n in enumerate(counts)])
    for i, (start, stop) in enumerate(zip(layout.starts, layout.stops, strict=True)):
        np.testing.assert_array_equal(np.flatnonzero(rows == i), np.arange(start, stop))
    assert layout.n_rows == len(rows)


@pytest.mark.parametrize("counts", COUNTS)
def test_maximum_and_spread_are_taken_per_clip(counts):
    layout = Layout(counts)
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(layout.n_rows + 5, 3)))
    values[layout.stops[-1] :] = 100.0
    expected = [float(clip.max()) for clip in layout.split(values)]
    assert layout.maximum(values).tolist() == expected
    spread = layout.spread(torch.tensor(expected), layout.n_rows)
    assert spread.shape == (layout.n_rows, 1)
    for value, rows in zip(expected, layout.split(spread), strict=True):
        assert (rows == torch.tensor(value)).all()


def test_equal_clips_are_stacked():
    layout = Layout([3, 3])
    values = torch.arange(layout.n_rows * 2.0).reshape(-1, 2)
    stacked = layout.stacked(values)
    assert stacked.shape == (2, 3, 2)
    assert all(torch.equal(a, b) for a, b in zip(stacked, layout.split(values), strict=True))
