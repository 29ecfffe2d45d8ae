"""Where each network on spectrograms has time and frequency in its units."""

import pytest
import torch

from sktl.backbones import available_backbones, input_kind, make_backbone

WITHOUT = {"crepe", "crepe-tiny"}
NAMES = [name for name in available_backbones() if input_kind(name) == "waveform"]
SPECTROGRAMS = [name for name in NAMES if name not in WITHOUT]


def variation(units, axis):
    """How much the mean of a unit varies along an axis."""
    others = [i for i in range(units.ndim) if i != axis]
    return float(units.double().mean(others).std())


def check_axes(body):
    sr = int(body.input_spec.sr)
    seconds = torch.arange(2 * sr) / sr
    tone = 0.3 * torch.sin(2 * torch.pi * 1000 * seconds)
    # A unit lasts a second at least, so that each one is switched on and off.
    pulses = 0.3 * torch.randn(2 * sr) * (seconds % 0.4 < 0.2)
    time, frequency = body.unit_axes
    [units] = body.front_end([tone])
    assert variation(units[:1], frequency) > variation(units[:1], time)
    [units] = body.front_end([pulses])
    assert variation(units[:1], time) > variation(units[:1], frequency)


@pytest.mark.parametrize("name", SPECTROGRAMS)
def test_a_tone_varies_along_frequency_and_pulses_along_time(name):
    check_axes(make_backbone(name, weights=None))


def test_so_they_do_in_pictures(torchvision_models):
    check_axes(make_backbone("torchvision:resnet18", weights=None))


@pytest.mark.parametrize(
    ("saved", "axes"),
    [("whisper", (2, 1)), ("ast", (1, 2)), ("clap", (2, 3)), ("clap-fused", (2, 3))],
    indirect=["saved"],
)
def test_networks_of_transformers_say_which_axis_is_which(saved, axes):
    body = make_backbone(saved.name)
    assert body.unit_axes == axes
    [units] = body.front_end([torch.zeros(8000)])
    model = saved.model.config
    n_bands = model.num_mel_bins
    assert units.shape[axes[1]] == n_bands != units.shape[axes[0]]


@pytest.mark.parametrize("saved", ["wav2vec2", "wavlm"], indirect=True)
def test_networks_on_waveforms_have_none(saved):
    assert make_backbone(saved.name).unit_axes is None


@pytest.mark.parametrize("name", sorted(WITHOUT))
def test_crepe_sees_waveforms(name):
    assert make_backbone(name, weights=None).unit_axes is None
