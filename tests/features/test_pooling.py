"""Statistics over frames are numpy's."""

from functools import partial

import numpy as np
import pytest
import torch

from sktl.features import mfcc
from sktl.features._pooling import POOLINGS, QUANTILES, n_pooled, pool_segments, pooled_names

STATISTICS = {
    "mean": lambda x: x.mean(axis=-1),
    "mean_std": lambda x: np.concatenate([x.mean(axis=-1), x.std(axis=-1)], axis=-1),
    "quantiles": lambda x: np.concatenate(np.quantile(x, QUANTILES, axis=-1), axis=-1),
}


def loudest(S):
    return S.max(axis=-1)


def range_and_frames(S):
    return np.concatenate([S.min(axis=-1), S.max(axis=-1), [S.shape[1]]])


class Extremes:
    """A callable object that names its columns."""

    def __call__(self, S):
        return [S.min(), S.max()]

    def get_feature_names_out(self, coefficients):
        return [f"lowest_of_{len(coefficients)}", "highest"]


CALLABLES = [loudest, range_and_frames, partial(np.median, axis=-1), Extremes()]


def label(value):
    """A name that is the same in every process."""
    return value if isinstance(value, str) else getattr(value, "__name__", type(value).__name__)


def in_a_row(clips, gap=2):
    """Clips (n_coefficients, n_frames) behind each other, with other frames between them."""
    filling = torch.full((gap, clips[0].shape[0]), 1e6, dtype=clips[0].dtype)
    parts = [filling, *(part for clip in clips for part in (clip.mT, filling))]
    lengths = np.array([clip.shape[1] for clip in clips])
    stops = np.cumsum(lengths + gap)
    return torch.cat(parts), stops - lengths, stops


@pytest.fixture(scope="module")
def cepstra(speech):
    return [mfcc(torch.from_numpy(clip), sr=8000, n_fft=256, hop_length=80) for clip in speech]


@pytest.mark.parametrize("pooling", list(POOLINGS))
@pytest.mark.parametrize("n_coefficients", [1, 4])
@pytest.mark.parametrize("gap", [0, 2])
def test_statistics_equal_numpy(pooling, n_coefficients, gap, device):
    rng = np.random.default_rng(0)
    clips = [torch.from_numpy(rng.normal(size=(n_coefficients, n))) for n in [1, 50, 2, 7, 16, 33]]
    frames, starts, stops = in_a_row(clips, gap)
    before = frames.clone()
    rows = pool_segments(frames.to(device), starts, stops, pooling).cpu()
    assert rows.dtype == torch.float64
    for clip, row in zip(clips, rows, strict=True):
        np.testing.assert_allclose(row, STATISTICS[pooling](clip.numpy()), atol=1e-12)
    assert torch.equal(frames, before)


@pytest.mark.parametrize("pooling", list(POOLINGS))
def test_statistics_of_speech_are_accurate_in_float32(cepstra, pooling, device):
    frames, starts, stops = in_a_row(cepstra)
    rows = pool_segments(frames.to(device), starts, stops, pooling)
    assert rows.device.type == device
    assert rows.dtype == torch.float32
    for clip, row in zip(cepstra, rows.cpu(), strict=True):
        expected = STATISTICS[pooling](clip.double().numpy())
        np.testing.assert_allclose(row, expected, atol=1e-6 * clip.abs().max().item())


@pytest.mark.parametrize("pooling", ["mean", "mean_std"])
def test_statistics_of_an_hour_are_accurate_in_float32(pooling):
    values = -40.0 + np.random.default_rng(0).normal(size=(360_000, 2)).astype(np.float32)
    row = pool_segments(torch.from_numpy(values), np.array([0]), np.array([360_000]), pooling)[0]
    np.testing.assert_allclose(row, STATISTICS[pooling](values.T.astype(float)), rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_frames", [1, 3, 16, 17, 1000])
def test_a_constant_has_no_deviation_at_all(dtype, n_frames):
    values = torch.full((3, n_frames), -37.123, dtype=dtype)
    expected = torch.tensor([-37.123] * 3 + [0.0] * 3, dtype=dtype)
    frames, starts, stops = in_a_row([values])
    assert torch.equal(pool_segments(frames, starts, stops, "mean_std")[0], expected)
    quantiles = pool_segments(frames, starts, stops, "quantiles")
    assert torch.equal(quantiles, torch.full_like(quantiles, -37.123))


@pytest.mark.parametrize("pooling", [*POOLINGS, loudest])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_clip_does_not_depend_on_its_neighbours(cepstra, pooling, dtype):
    clips = [clip.to(dtype) for clip in cepstra]
    frames, starts, stops = in_a_row(clips)
    rows = pool_segments(frames, starts, stops, pooling)
    last_first = pool_segments(*in_a_row(clips[::-1], gap=3), pooling)
    assert torch.equal(rows, last_first.flip(0))
    for clip, row in zip(clips, rows, strict=True):
        assert torch.equal(pool_segments(*in_a_row([clip], gap=0), pooling)[0], row)


@pytest.mark.parametrize("pooling", [*POOLINGS, *CALLABLES], ids=label)
def test_there_is_one_name_per_column(pooling):
    names = pooled_names(["a", "b", "c"], pooling)
    assert len(set(names)) == n_pooled(3, pooling)
    starts, stops = np.array([0, 4]), np.array([4, 5])
    assert pool_segments(torch.zeros(5, 3), starts, stops, pooling).shape == (2, len(names))
    empty = np.zeros(0, dtype=int)
    assert pool_segments(torch.zeros(4, 3), empty, empty, pooling).shape == (0, len(names))


def test_names_follow_the_columns():
    assert pooled_names(["a", "b"], "mean_std") == ["a_mean", "b_mean", "a_std", "b_std"]
    assert pooled_names(["a"], "quantiles") == ["a_q10", "a_q25", "a_q50", "a_q75", "a_q90"]


def test_columns_of_a_callable_are_named_after_it():
    assert pooled_names(["a", "b"], loudest) == ["a_loudest", "b_loudest"]
    assert pooled_names(["a", "b"], partial(loudest)) == ["a_loudest", "b_loudest"]
    assert pooled_names(["a", "b"], lambda S: S[:, 0]) == ["a_pooled", "b_pooled"]
    assert pooled_names(["a"], range_and_frames)[1] == "range_and_frames_001"
    assert pooled_names(["a"], lambda S: np.zeros(1001))[-1] == "pooled_1000"
    assert pooled_names(["a", "b"], Extremes()) == ["lowest_of_2", "highest"]


@pytest.mark.parametrize("function", CALLABLES, ids=label)
def test_a_callable_gets_every_clip_as_an_array(cepstra, function, device):
    frames, starts, stops = in_a_row(cepstra[:4])
    rows = pool_segments(frames.to(device), starts, stops, function)
    assert rows.device.type == device
    for clip, row in zip(cepstra, rows.cpu(), strict=False):
        expected = np.asarray(function(clip.numpy()), dtype=np.float32)
        np.testing.assert_array_equal(row, expected)


def test_a_callable_that_works_in_place_leaves_the_frames_alone(cepstra):
    def middle(S):
        S.sort(axis=-1)
        return S[:, S.shape[1] // 2]

    frames, starts, stops = in_a_row(cepstra[:2])
    before = frames.clone()
    pool_segments(frames, starts, stops, middle)
    assert torch.equal(frames, before)
    single = torch.tensor([[3.0], [1.0], [2.0]])
    assert pool_segments(single, np.array([0]), np.array([3]), middle) == 2
    assert torch.equal(single, torch.tensor([[3.0], [1.0], [2.0]]))


def test_a_callable_may_return_any_view_and_any_kind_of_number():
    values = torch.tensor([[1.0, 4.0], [2.0, 3.0]])
    ends = np.array([0]), np.array([2])
    backwards = pool_segments(values, *ends, lambda S: S[::-1, 0])
    assert torch.equal(backwards, torch.tensor([[4.0, 1.0]]))
    rising = pool_segments(values, *ends, lambda S: S[:, 1] > S[:, 0])
    assert torch.equal(rising, torch.tensor([[1.0, 0.0]]))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (np.max, r"pooling=max gave dtype float\d+ and shape \(\) for a clip of shape \(3, \d+\)"),
        (np.abs, r"pooling=absolute gave .* shape \(3, \d+\) for a clip"),
        (lambda S: S[0], r"pooled gave 7 numbers for a clip of shape \(3, 7\).* but 32 for"),
        (lambda S: None, "pooling=pooled gave dtype object"),
        (lambda S: [], r"shape \(0,\)"),
    ],
)
def test_a_callable_that_gives_no_row_is_refused(function, message):
    with pytest.raises(ValueError, match=message):
        pool_segments(torch.ones(14, 3), np.array([0, 7]), np.array([7, 14]), function)


def test_a_callable_that_names_other_columns_than_it_gives_is_refused():
    extremes = Extremes()
    extremes.get_feature_names_out = lambda coefficients: ["only"]
    with pytest.raises(ValueError, match="names 1 columns but gives 2"):
        pooled_names(["a"], extremes)
