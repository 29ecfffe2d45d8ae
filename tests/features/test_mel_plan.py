"""Bands in a few small products are the bands of one large product."""

import numpy as np
import pytest
import torch

from sktl.features import mel_filters
from sktl.features._layout import ROWS, Layout
from sktl.features._mel_plan import MelPlan, _split_bands, window_values

CPU = torch.device("cpu")
FILTERS = [
    {"sr": 16000, "n_fft": 512, "n_mels": 64},
    {"sr": 16000, "n_fft": 1024, "n_mels": 128},
    {"sr": 8000, "n_fft": 256, "n_mels": 32, "htk": True, "norm": None},
    {"sr": 16000, "n_fft": 400, "n_mels": 80, "fmin": 125.0, "fmax": 7500.0},
    {"sr": 16000, "n_fft": 16, "n_mels": 2, "fmin": 1000.0},
    {"sr": 16000, "n_fft": 8, "n_mels": 1},
]


def noise(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) - 0.5


@pytest.mark.parametrize("options", FILTERS)
def test_parts_hold_every_weight_once(options):
    filters = mel_filters(**options)
    rebuilt = np.zeros_like(filters)
    bands_seen = []
    for bands, bins in _split_bands(filters):
        rebuilt[bands, bins] += filters[bands, bins]
        bands_seen += range(bands.start, bands.stop)
    np.testing.assert_array_equal(rebuilt, filters)
    assert bands_seen == list(range(options["n_mels"]))


@pytest.mark.filterwarnings("ignore:.* bands hold no FFT bin:UserWarning")
def test_bands_without_a_bin_are_kept_as_zeros():
    filters = mel_filters(sr=16000, n_fft=128, n_mels=64)
    assert not filters.any(axis=1).all()
    plan = MelPlan(torch.float32, CPU, n_fft=128, n_mels=64)
    level = plan.frames(noise(ROWS, 128))
    assert level.shape == (ROWS, 64)
    assert ((level == -10.0).all(0).numpy() == ~filters.any(axis=1)).all()


def test_few_zeros_are_multiplied():
    filters = mel_filters(sr=16000, n_fft=512, n_mels=64)
    work = sum(
        (bands.stop - bands.start) * (bins.stop - bins.start)
        for bands, bins in _split_bands(filters)
    )
    assert work < filters.size / 3


def in_a_block(plan, frames):
    out = torch.empty(len(frames), plan.n_values, dtype=plan.dtype)
    plan.block(frames.clone())(out)
    return out.clamp(min=float(np.log10(plan.amin)))


@pytest.mark.parametrize("options", FILTERS)
@pytest.mark.parametrize("power", [1.0, 2.0, 1.5])
@pytest.mark.parametrize("run", [MelPlan.frames, in_a_block])
def test_frames_equal_numpy(options, power, run):
    plan = MelPlan(torch.float64, CPU, power=power, **options)
    frames = np.random.default_rng(0).normal(size=(ROWS, options["n_fft"]))
    spectrum = np.abs(np.fft.rfft(frames)) ** power
    expected = spectrum @ mel_filters(**options).T.astype(np.float64)
    actual = run(plan, torch.from_numpy(frames))
    np.testing.assert_allclose(actual, np.log10(expected), rtol=0, atol=1e-10)


@pytest.mark.parametrize("options", FILTERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_frame_is_bit_equal_among_any_others(options, dtype):
    plan = MelPlan(dtype, CPU, **options)
    frames = noise(40 * ROWS, options["n_fft"]).to(plan.window.dtype)
    together = in_a_block(plan, frames)
    for first, count in ((0, ROWS), (5, ROWS), (33, 3 * ROWS), (100, 20 * ROWS), (7, ROWS + 1)):
        alone = in_a_block(plan, frames[first : first + count])
        assert torch.equal(alone, together[first : first + count])


@pytest.mark.parametrize("kind", ["hann", ("kaiser", 4.0), np.hamming])
def test_shorter_window_lies_in_the_middle(kind):
    values = window_values(kind, 5, 10)
    assert not values[[0, 1, 7, 8, 9]].any()
    assert values[2:7].all() or kind == "hann"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"top_db": 80.0}, torch.float32),
        ({"top_db": None}, torch.float64),
        ({"power": 1.0}, torch.float64),
        ({"top_db": 40.0, "power": 1.0}, torch.float32),
        ({"norm": None, "htk": True}, torch.float64),
        ({"decibels": False}, torch.float64),
    ],
)
def test_frames_are_computed_in_float64_where_float32_would_show(settings, expected):
    assert MelPlan(torch.float32, CPU, **settings).window.dtype == expected


@pytest.mark.parametrize("counts", [[20, 20], [20, 7]])
def test_floor_and_reference_belong_to_a_clip(counts):
    plan = MelPlan(torch.float64, CPU, top_db=20.0, ref="max")
    layout = Layout(counts)
    values = 4.0 * noise(layout.n_rows, 64).double()
    differentiable = plan.clips(values.clone().requires_grad_(), layout).detach()
    originals = [clip.clone() for clip in layout.split(values)]
    for clip, original, same in zip(
        layout.split(plan.clips(values, layout)),
        originals,
        layout.split(differentiable),
        strict=True,
    ):
        expected = (10.0 * (original - original.max())).clamp(min=-20.0)
        torch.testing.assert_close(clip, expected)
        assert torch.equal(clip, same)
