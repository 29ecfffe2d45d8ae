"""Frames lie where librosa's lie."""

import librosa
import numpy as np
import pytest
import torch

from sktl.features import lpc, mel_spectrogram, mfcc
from sktl.features._frames import Framing, check_waveforms

pytestmark = pytest.mark.filterwarnings("ignore:.*slated for removal:DeprecationWarning")


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize(("frame_length", "hop_length"), [(8, 3), (7, 7), (5, 1), (1, 2)])
@pytest.mark.parametrize("n_samples", [8, 9, 11, 40])
def test_frames_equal_librosa_util_frame(frame_length, hop_length, center, n_samples):
    y = np.arange(1.0, n_samples + 1)
    padded = np.pad(y, frame_length // 2 if center else 0)
    expected = librosa.util.frame(padded, frame_length=frame_length, hop_length=hop_length)
    framing = Framing(frame_length, hop_length, center)
    (n_frames,) = framing.counts([n_samples])
    np.testing.assert_array_equal(framing.cut(torch.from_numpy(y)[None], n_frames)[0], expected.T)


@pytest.mark.parametrize("n_samples", [1, 2, 39, 40, 41])
def test_number_of_centred_frames_does_not_depend_on_an_even_frame_length(n_samples):
    for length in (2, 16, 64):
        assert Framing(length, 10, True).counts([n_samples]) == [1 + n_samples // 10]


def test_clip_is_padded_with_zeros_to_the_frames_asked_for():
    frames = Framing(5, 2, False).cut(torch.ones(2, 3), 2)
    assert frames.tolist() == [[[1, 1, 1, 0, 0], [1, 0, 0, 0, 0]]] * 2


@pytest.mark.parametrize("y", [np.zeros(3), [0.0], torch.zeros(3, dtype=torch.int16)])
def test_anything_but_floating_tensors_is_refused(y):
    with pytest.raises(TypeError, match="give a floating-point torch tensor"):
        check_waveforms(y)


@pytest.mark.parametrize("y", [torch.zeros(0), torch.zeros(2, 0), torch.tensor(1.0)])
def test_waveforms_without_samples_are_refused(y):
    with pytest.raises(ValueError, match="n_samples >= 1"):
        check_waveforms(y)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("function", [mel_spectrogram, mfcc, lpc])
def test_half_precision_is_computed_in_float32(function, dtype):
    y = torch.randn(1200, generator=torch.Generator().manual_seed(0)).to(dtype)
    made = function(y)
    assert made.dtype == torch.float32
    assert torch.equal(made, function(y.float()))
