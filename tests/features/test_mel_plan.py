"""Mel bands are those of numpy, compiled or not."""

import numpy as np
import pytest
import torch

from sktl.features import _mel_plan, mel_filters
from sktl.features._layout import Layout
from sktl.features._mel_plan import MelPlan, window_values

CPU = torch.device("cpu")
FILTERS = [
    {"sr": 16000, "n_fft": 512, "n_mels": 64},
    {"sr": 16000, "n_fft": 1024, "n_mels": 128},
    {"sr": 8000, "n_fft": 256, "n_mels": 32, "htk": True, "norm": None},
    {"sr": 16000, "n_fft": 400, "n_mels": 80, "fmin": 125.0, "fmax": 7500.0},
    {"sr": 16000, "n_fft": 16, "n_mels": 2, "fmin": 1000.0},
    {"sr": 16000, "n_fft": 8, "n_mels": 1},
    {"sr": 16000, "n_fft": 441, "n_mels": 20},
    {"sr": 16000, "n_fft": 506, "n_mels": 20},
]


def noise(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) - 0.5


@pytest.mark.filterwarnings("ignore:.* bands hold no FFT bin:UserWarning")
def test_bands_without_a_bin_are_kept_as_zeros():
    filters = mel_filters(sr=16000, n_fft=128, n_mels=64)
    assert not filters.any(axis=1).all()
    plan = MelPlan(torch.float32, CPU, n_fft=128, n_mels=64)
    level = plan.frames(noise(16, 128))
    assert level.shape == (16, 64)
    assert ((level == -10.0).all(0).numpy() == ~filters.any(axis=1)).all()


def computed(plan, *clips):
    """What `rows` gives for clips, one array each."""
    dtype = str(plan.dtype)[6:]
    clips = [clip.astype(dtype) for clip in clips]
    counts = plan.framing.counts(map(len, clips))
    outs = [np.full((count, plan.n_coefficients), np.nan, dtype=dtype) for count in counts]
    energies = plan.rows(clips, outs)
    expected = [np.sum(clip.astype(np.float64) ** 2) for clip in clips]
    np.testing.assert_allclose(energies, expected, rtol=1e-4)
    return outs


@pytest.mark.parametrize("options", FILTERS)
@pytest.mark.parametrize("power", [1.0, 2.0, 1.5])
def test_bands_equal_numpy(options, power):
    plan = MelPlan(torch.float64, CPU, power=power, hop_length=3, center=False, **options)
    clip = np.random.default_rng(0).normal(size=options["n_fft"] + 60)
    frames = np.lib.stride_tricks.sliding_window_view(clip, options["n_fft"])[::3]
    spectrum = np.abs(np.fft.rfft(frames * plan.window.numpy())) ** power
    levels = 10 * np.log10(spectrum @ mel_filters(**options).T.astype(np.float64))
    expected = np.maximum(levels, levels.max() - 80.0)
    np.testing.assert_allclose(computed(plan, clip)[0], expected, rtol=0, atol=1e-9)
    windowed = torch.from_numpy(frames * plan.window.numpy())
    np.testing.assert_allclose(10 * plan.frames(windowed), levels, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ref": "max"},
        {"ref": 7.0, "top_db": 20.0},
        {"top_db": None},
        {"power": 1.0},
        {"decibels": False},
        {"basis": np.eye(64)[:, 3:9]},
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiled_bands_equal_those_of_torch(options, dtype, monkeypatch):
    clips = [0.1 * noise(n).double().numpy() for n in (9000, 100, 2000)]
    clips[0][4000:6000] = 0.0
    compiled = computed(MelPlan(dtype, CPU, **options), *clips)
    monkeypatch.setattr(_mel_plan, "LONGEST", 0)
    plan = MelPlan(dtype, CPU, **options)
    assert not plan.is_compiled
    tolerance = 1e-4 if dtype == torch.float32 else 1e-9
    for actual, expected in zip(compiled, computed(plan, *clips), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=tolerance)


@pytest.mark.parametrize("options", FILTERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_clip_is_bit_equal_among_any_others(options, dtype):
    plan = MelPlan(dtype, CPU, hop_length=7, **options)
    clips = [noise(n).double().numpy() for n in (1, 900, 333, 90, 112)]
    for clip, together in zip(clips, computed(plan, *clips), strict=True):
        np.testing.assert_array_equal(computed(plan, clip)[0], together)


@pytest.mark.parametrize(
    ("settings", "compiled"),
    [
        ({}, True),
        ({"n_fft": 400, "n_mels": 40}, True),
        ({"n_fft": 441, "n_mels": 40}, True),
        ({"n_fft": 524, "n_mels": 40}, False),
        ({"power": 1.0}, True),
        ({"power": 1.5}, False),
        ({"power": 1.0, "amin": 1e-20}, False),
        ({"hop_length": 513}, False),
        ({"amin": 1e-39}, False),
    ],
)
def test_usual_settings_are_compiled(settings, compiled):
    assert MelPlan(torch.float32, CPU, **settings).is_compiled == compiled


@pytest.mark.parametrize("kind", ["hann", ("kaiser", 4.0), np.hamming])
def test_shorter_window_lies_in_the_middle(kind):
    values = window_values(kind, 5, 10)
    assert not values[[0, 1, 7, 8, 9]].any()
    assert values[2:7].all() or kind == "hann"


def test_window_of_zeros_is_refused():
    with pytest.raises(ValueError, match="window is zero everywhere"):
        window_values(np.zeros(5), None, 5)


def test_window_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="window holds NaN or infinity"):
        window_values(np.full(5, np.nan), None, 5)


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
