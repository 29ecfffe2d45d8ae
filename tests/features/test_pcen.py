"""PCEN is librosa's."""

import librosa
import numpy as np
import pytest
import torch

from sktl.features._pcen import pcen

OPTIONS = [
    {},
    {"bias": 0},
    {"power": 0},
    {"power": 0, "bias": 0},
    {"gain": 0},
    {"gain": 0.8, "bias": 10, "power": 0.25, "time_constant": 0.06},
    {"sr": 8000, "hop_length": 80, "eps": 1e-3},
    {"b": 0.1},
    {"b": 1},
]


@pytest.fixture(scope="module")
def spectrogram(speech):
    """Mel magnitudes of three clips at the scale of 32-bit integers, (3, 40, n_frames)."""
    clips = np.stack([clip[:2000] for clip in speech[:3]]).astype(np.float64)
    options = {"sr": 8000, "n_fft": 256, "hop_length": 80, "n_mels": 40, "power": 1}
    return 2.0**31 * np.stack([librosa.feature.melspectrogram(y=y, **options) for y in clips])


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("differentiable", [False, True])
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 1e-5), (np.float64, 1e-9)])
def test_speech_equals_librosa(spectrogram, options, differentiable, dtype, rtol, device):
    S = spectrogram.astype(dtype)
    tensor = torch.from_numpy(S).to(device).requires_grad_(differentiable)
    actual = pcen(tensor, **options)
    assert actual.dtype == tensor.dtype
    assert actual.requires_grad == differentiable
    for one, clip in zip(actual.detach().cpu(), S, strict=True):
        expected = librosa.pcen(clip, **{"sr": 16000, "hop_length": 160, **options})
        np.testing.assert_allclose(one, expected, rtol=rtol)


@pytest.mark.parametrize("options", [{}, {"bias": 0}, {"power": 0}], ids=str)
def test_silence_gives_zeros(options):
    assert not pcen(torch.zeros(2, 30), **options).any()


def test_a_clip_does_not_depend_on_its_batch(spectrogram):
    S = torch.from_numpy(spectrogram).float()
    batch = pcen(S)
    for clip, expected in zip(S, batch, strict=True):
        assert torch.equal(pcen(clip), expected)


def test_it_can_be_differentiated():
    S = torch.from_numpy(1.0 + np.random.default_rng(0).random((2, 6))).requires_grad_()
    assert torch.autograd.gradcheck(lambda values: pcen(values, b=0.2), S)
    with torch.no_grad():
        assert not pcen(S).requires_grad


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gain": -1}, "gain=-1 is negative"),
        ({"bias": -0.5}, "bias=-0.5 is negative"),
        ({"power": float("nan")}, "power=nan is negative or no number"),
        ({"eps": 0}, "eps=0 is not positive"),
        ({"time_constant": 0}, "time_constant=0 s is not positive"),
        ({"b": 1.5}, "b=1.5 is no weight"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        pcen(torch.ones(2, 3), **options)


def test_integers_are_refused():
    with pytest.raises(ValueError, match=r"dtype torch\.int64 and shape"):
        pcen(torch.ones(2, 3, dtype=torch.int64))
