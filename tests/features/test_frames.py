"""Frames lie where librosa's lie."""

import librosa
import numpy as np
import pytest
import torch

from sktl.features._frames import FRAMES_PER_BLOCK, check_waveforms, cut_frames, frame_blocks

pytestmark = pytest.mark.filterwarnings("ignore:.*slated for removal:DeprecationWarning")


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize(("frame_length", "hop_length"), [(8, 3), (7, 7), (5, 1), (1, 2)])
def test_frames_equal_librosa_util_frame(frame_length, hop_length, center):
    y = np.arange(1.0, 41.0)
    padded = np.pad(y, frame_length // 2) if center else y
    expected = librosa.util.frame(padded, frame_length=frame_length, hop_length=hop_length)
    actual = cut_frames(torch.from_numpy(y), frame_length, hop_length, center)
    np.testing.assert_array_equal(actual, expected.T)


@pytest.mark.parametrize("n_samples", [1, 2, 39, 40, 41])
def test_number_of_centred_frames_does_not_depend_on_an_even_frame_length(n_samples):
    y = torch.zeros(n_samples)
    counts = {len(cut_frames(y, frame_length, 10, True)) for frame_length in (2, 16, 64)}
    assert counts == {1 + n_samples // 10}


def test_short_signal_is_padded_with_zeros_to_one_frame():
    frames = cut_frames(torch.ones(2, 3), 5, 1, False)
    assert frames.tolist() == [[[1, 1, 1, 0, 0]], [[1, 1, 1, 0, 0]]]


def test_blocks_are_the_frames_in_order():
    frames = torch.arange(2.0 * (FRAMES_PER_BLOCK + 5)).reshape(1, -1, 2)
    blocks = frame_blocks(frames)
    assert [block.shape[-2] for block in blocks] == [FRAMES_PER_BLOCK, 5]
    assert torch.equal(torch.cat(blocks, dim=-2), frames)


@pytest.mark.parametrize("y", [np.zeros(3), [0.0], torch.zeros(3, dtype=torch.int16)])
def test_anything_but_floating_tensors_is_refused(y):
    with pytest.raises(TypeError, match="give a floating-point torch tensor"):
        check_waveforms(y)


@pytest.mark.parametrize("y", [torch.zeros(0), torch.zeros(2, 0), torch.tensor(1.0)])
def test_waveforms_without_samples_are_refused(y):
    with pytest.raises(ValueError, match="n_samples >= 1"):
        check_waveforms(y)
