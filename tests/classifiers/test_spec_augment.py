"""Masks against numpy, their distribution, and the networks they are for."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from sktl._random import torch_seed
from sktl.backbones import Backbone, InputSpec, Ragged, make_backbone
from sktl.classifiers._module import Scaler
from sktl.classifiers._spec_augment import SpecAugment, check_spec_augment, spectrogram_axes

FRAMES, BANDS = 40, 24


def noise(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def masked(values, axes=(1, 2), seed=0, scaler=None, **settings):
    with torch_seed(seed):
        return SpecAugment(**settings)(values, axes, scaler)


def stripes(changed):
    """Frames and bands (n, n_frames), (n, n_bands) that are masked through and through."""
    return changed.all(2), changed.all(1)


def by_hand(values, n_time, time_mask, n_freq, freq_mask, seed):
    """The paper's steps in loops, with the same draws."""
    with torch_seed(seed):
        draws = [torch.rand(len(values), 2, n, dtype=torch.float64) for n in (n_time, n_freq)]
    expected = values.numpy().copy()
    for i, unit in enumerate(values.numpy()):
        for axis, (draw, share) in enumerate(zip(draws, (time_mask, freq_mask), strict=True)):
            size = unit.shape[axis]
            for first, second in draw[i].T.numpy():
                width = int(first * (round(share * size) + 1))
                start = int(second * (size - width + 1))
                place = [slice(None)] * 2
                place[axis] = slice(start, start + width)
                expected[i][tuple(place)] = unit.mean()
    return expected


@pytest.mark.parametrize("settings", [(2, 0.2, 2, 0.2), (1, 1.0, 0, 0.5), (0, 0.1, 3, 0.34)])
def test_masks_are_the_papers_steps_filled_with_the_mean_of_the_unit(settings):
    values = noise(30, FRAMES, BANDS)
    names = ("n_time_masks", "time_mask", "n_freq_masks", "freq_mask")
    found = masked(values, **dict(zip(names, settings, strict=True)), seed=5)
    np.testing.assert_allclose(found, by_hand(values, *settings, seed=5), rtol=1e-12, atol=1e-14)


def test_what_is_not_masked_keeps_every_bit():
    values = noise(50, FRAMES, BANDS)
    found = masked(values)
    changed = found != values
    frames, bands = stripes(changed)
    assert torch.equal(changed, frames[:, :, None] | bands[:, None])
    assert 0.05 < changed.double().mean() < 0.5


@pytest.mark.parametrize(("axes", "shape"), [((2, 1), (24, 40)), ((2, 3), (1, 40, 24))])
def test_axes_say_where_time_and_frequency_are(axes, shape):
    values = noise(20, *shape)
    moved = values.transpose(1, 2) if axes == (2, 1) else values[:, 0]
    found = masked(values, axes)
    expected = masked(moved.contiguous())
    expected = expected.transpose(1, 2) if axes == (2, 1) else expected[:, None]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_every_unit_has_masks_of_its_own():
    found = masked(noise(1, FRAMES, BANDS).expand(200, -1, -1))
    assert len({unit.numpy().tobytes() for unit in found}) > 190


def one_mask(axis, share, n=6000):
    """Widths and first places of one mask over each of many units."""
    names = ("n_time_masks", "n_freq_masks")
    settings = {names[axis]: 1, names[1 - axis]: 0, ("time_mask", "freq_mask")[axis]: share}
    values = noise(n, FRAMES, BANDS)
    inside = stripes(masked(values, seed=1, **settings) != values)[axis].numpy()
    return inside.sum(1), inside.argmax(1)


@pytest.mark.parametrize(("axis", "size"), [(0, FRAMES), (1, BANDS)])
def test_widths_are_uniform_and_so_are_places(axis, size):
    widest = 6
    widths, starts = one_mask(axis, widest / size)
    counts = np.bincount(widths, minlength=widest + 1)
    assert len(counts) == widest + 1
    assert stats.chisquare(counts).pvalue > 0.01
    for width in (1, widest):
        counts = np.bincount(starts[widths == width], minlength=size - width + 1)
        assert len(counts) == size - width + 1
        assert stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize(
    "settings",
    [{"n_time_masks": 0, "n_freq_masks": 0}, {"time_mask": 0.0, "freq_mask": 0}],
)
def test_no_masks_change_nothing(settings):
    values = noise(4, FRAMES, BANDS)
    assert torch.equal(masked(values, **settings), values)


def test_units_of_one_frame_and_no_units_work():
    assert masked(noise(3, 1, 5), time_mask=1.0).shape == (3, 1, 5)
    assert masked(noise(0, 4, 5)).shape == (0, 4, 5)


def test_a_unit_of_a_list_is_masked_as_in_one_tensor():
    values = noise(12, FRAMES, BANDS)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(2))
    ragged = Ragged([values[order[:5]], values[order[5:]]], order.argsort())
    found = torch.cat(masked(ragged).one_by_one())
    assert torch.equal(found, masked(values))


def test_units_of_several_lengths_are_masked_each_by_its_own():
    ragged = Ragged.concat([noise(1, n, BANDS, seed=n) for n in (10, 40, 10, 25)])
    found = masked(ragged, time_mask=0.5)
    assert [group.shape for group in found.groups] == [group.shape for group in ragged.groups]
    for unit, own in zip(found.one_by_one(), ragged.one_by_one(), strict=True):
        changed = unit != own
        frames, bands = stripes(changed)
        assert torch.equal(changed, frames[:, :, None] | bands[:, None])
        torch.testing.assert_close(unit[changed], own.mean().expand(int(changed.sum())))


def test_bands_of_different_level_are_masked_alike_once_standardised():
    values = noise(10, BANDS, FRAMES) * torch.arange(1, BANDS + 1)[:, None] ** 2 + 300.0
    scaler = Scaler((BANDS, 1)).double()
    scaler.fill(values.mean((0, 2))[:, None].numpy(), values.std((0, 2))[:, None].numpy())
    found, own = scaler(masked(values, (2, 1), scaler=scaler)), scaler(values)
    for unit, before in zip(found, own, strict=True):
        changed = (unit - before).abs() > 1e-9
        assert changed.any()
        torch.testing.assert_close(unit[changed], before.mean().expand(int(changed.sum())))


def test_units_are_not_changed_and_gradients_pass_what_is_not_masked():
    values = noise(6, FRAMES, BANDS)
    before = values.clone()
    values.requires_grad_()
    found = masked(values)
    kept = (found == values).double()
    (found * kept).sum().backward()
    assert torch.equal(values.detach(), before)
    torch.testing.assert_close(values.grad * kept, kept)
    assert found.dtype == torch.float64
    assert masked(before.float()).dtype == torch.float32


def test_draws_follow_from_torchs_generator(device):
    values = noise(6, FRAMES, BANDS).to(device)
    again = [masked(values, seed=seed).cpu() for seed in (3, 3, 4)]
    assert torch.equal(again[0], again[1])
    assert not torch.equal(again[0], again[2])
    torch.testing.assert_close(again[0], masked(values.cpu(), seed=3))


def test_settings_come_from_the_parameter():
    assert SpecAugment.of(True) == SpecAugment.of({}) == SpecAugment()
    assert SpecAugment.of(False) is SpecAugment.of(None) is None
    given = {"n_time_masks": np.int64(1), "freq_mask": np.float32(0.5)}
    assert SpecAugment.of(given) == SpecAugment(n_time_masks=1, freq_mask=0.5)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (3, ["spec_augment=3", "True, False", "n_time_masks"]),
        ("on", ["spec_augment='on'", "True, False"]),
        ({"F": 27, "time_mask": 0.1}, ["'F'", "n_time_masks, time_mask, n_freq_masks, freq_mask"]),
        ({"n_time_masks": -1}, ["n_time_masks=-1", "0 or more"]),
        ({"n_freq_masks": 1.5}, ["n_freq_masks=1.5", "0 or more"]),
        ({"n_freq_masks": True}, ["n_freq_masks=True", "0 or more"]),
        ({"time_mask": 30}, ["time_mask=30", "from 0 to 1"]),
        ({"freq_mask": -0.1}, ["freq_mask=-0.1", "from 0 to 1"]),
        ({"freq_mask": float("nan")}, ["freq_mask=nan", "from 0 to 1"]),
        ({"time_mask": "wide"}, ["time_mask='wide'", "from 0 to 1"]),
        ({"time_mask": None}, ["time_mask=None", "from 0 to 1"]),
    ],
)
def test_settings_out_of_range_are_refused(given, words):
    with pytest.raises(ValueError, match="spec_augment") as refused:
        SpecAugment.of(given)
    assert all(word in str(refused.value) for word in words)


def network(name, row_shape=None):
    with torch_seed(0):
        return make_backbone(name, weights=None, row_shape=row_shape)


class Images(nn.Sequential):
    input_spec = InputSpec("spectrogram")


class Envelope(Backbone):
    """A front end of its own, bands before frames."""

    input_spec = InputSpec("waveform", sr=8000)
    unit_axes = (2, 1)


def test_networks_say_their_axes():
    assert spectrogram_axes(network("cnn", (24, 31))) == (2, 1)
    assert spectrogram_axes(network("speech-mini")) == (1, 2)
    assert spectrogram_axes(Envelope()) == (2, 1)
    own = make_backbone(Images(nn.Flatten(), nn.Identity()), row_shape=(3, 4))
    assert spectrogram_axes(own) == (2, 1)


def test_settings_are_passed_where_there_are_spectrograms():
    assert check_spec_augment({"time_mask": 0.1}, Envelope(), "Envelope").time_mask == 0.1
    assert check_spec_augment(False, network("mlp", (6,)), "'mlp'") is None


@pytest.mark.parametrize(
    ("name", "shape", "units"), [("mlp", (6,), "features"), ("crepe-tiny", None, "waveforms")]
)
def test_networks_without_spectrograms_are_refused(name, shape, units):
    with pytest.raises(ValueError, match=f"spec_augment=True .*='{name}' works on {units}"):
        check_spec_augment(True, network(name, shape), repr(name))
