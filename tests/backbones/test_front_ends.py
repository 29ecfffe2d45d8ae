"""Log-mel patches against a transcription of the published parameters."""

from functools import cache

import numpy as np
import pytest
import torch

from sktl.backbones import LogMelPatches
from sktl.backbones._front_ends import mel_weights


def hz_to_mel(hz):
    """Mel of the hidden Markov model toolkit, natural logarithm."""
    return 1127.0 * np.log(1.0 + hz / 700.0)


@cache
def published_mel_matrix():
    """64 bands from 125 to 7500 Hz over the 257 bins of a 512-point FFT at 16 kHz."""
    edges = np.linspace(hz_to_mel(125.0), hz_to_mel(7500.0), 66)
    matrix = np.zeros((257, 64))
    for k in range(1, 257):
        mel = hz_to_mel(k * 16000 / 512)
        for band in range(64):
            left, centre, right = edges[band : band + 3]
            if left < mel <= centre:
                matrix[k, band] = (mel - left) / (centre - left)
            elif centre < mel < right:
                matrix[k, band] = (right - mel) / (right - centre)
    return matrix


def published_log_mel(samples, offset):
    """Frames of 25 ms every 10 ms, not centred, periodic Hann, magnitude, log(x + offset)."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    n_frames = 1 + (len(samples) - 400) // 160
    rows = []
    for i in range(n_frames):
        magnitude = np.abs(np.fft.rfft(samples[160 * i : 160 * i + 400] * window, 512))
        rows.append(np.log(magnitude @ published_mel_matrix() + offset))
    return np.array(rows)


@pytest.fixture
def clip():
    rng = np.random.default_rng(0)
    time = np.arange(20000) / 16000
    return 0.3 * np.sin(2 * np.pi * 440 * time) + 0.01 * rng.standard_normal(20000)


def test_mel_weights_are_the_published_triangles():
    np.testing.assert_allclose(
        mel_weights(16000, 512, 64, 125.0, 7500.0), published_mel_matrix(), atol=1e-12
    )


@pytest.mark.parametrize("offset", [0.001, 0.01])
def test_log_mel_equals_the_published_one(clip, offset):
    mel = LogMelPatches(offset=offset).log_mel(torch.from_numpy(clip))
    np.testing.assert_allclose(mel, published_log_mel(clip, offset), atol=1e-9)


def test_float32_is_close(clip):
    mel = LogMelPatches().log_mel(torch.from_numpy(clip).float())
    assert mel.dtype == torch.float32
    np.testing.assert_allclose(mel, published_log_mel(clip, 0.001), atol=1e-3)


def test_patches_of_96_frames_every_48(clip):
    patches = LogMelPatches()(torch.from_numpy(clip))
    mel = published_log_mel(clip, 0.001)
    assert len(mel) == 123
    np.testing.assert_allclose(patches, mel[None, :96], atol=1e-9)
    longer = np.concatenate([clip, clip])
    mel = published_log_mel(longer, 0.001)
    expected = [mel[start : start + 96] for start in range(0, len(mel) - 95, 48)]
    np.testing.assert_allclose(LogMelPatches()(torch.from_numpy(longer)), expected, atol=1e-9)


@pytest.mark.parametrize("n_samples", [1, 399, 15599])
def test_a_short_clip_is_padded_with_zeros(clip, n_samples):
    front_end = LogMelPatches()
    assert front_end.patch_samples == 15600
    padded = np.zeros(15600)
    padded[:n_samples] = clip[:n_samples]
    patches = front_end(torch.from_numpy(clip[:n_samples]))
    np.testing.assert_allclose(patches, published_log_mel(padded, 0.001)[None], atol=1e-9)


def test_patches_without_overlap(clip):
    front_end = LogMelPatches(patch_hop=96)
    assert len(front_end(torch.from_numpy(np.tile(clip, 3)))) == 3
