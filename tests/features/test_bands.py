"""Bands of a clip's frames by the compiled loop are those of torch's transform."""

import numpy as np
import pytest
import torch

from sktl.features._bands import FilterBank

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("n_samples", [400, 559, 560, 16001])
def test_equals_a_sum_over_the_bins(power, dtype, tolerance, n_samples):
    window, filters = np.hanning(400), RNG.uniform(0.1, 1, (24, 257))
    clip = torch.from_numpy(RNG.normal(size=n_samples)).to(dtype)
    found = FilterBank(window, filters, 160, power)(clip)
    frames = np.lib.stride_tricks.sliding_window_view(clip.double().numpy(), 400)[::160]
    bins = np.abs(np.fft.rfft(frames * window, n=512)) ** power
    np.testing.assert_allclose(found, bins @ filters.T, rtol=tolerance)
    assert found.dtype == dtype


def test_gradients_reach_the_clip():
    bank = FilterBank(np.hanning(400), RNG.uniform(0.1, 1, (24, 257)), 160)
    clip = torch.from_numpy(RNG.normal(size=1000)).float().requires_grad_()
    bands = bank(clip)
    torch.testing.assert_close(bands.detach(), bank(clip.detach()), rtol=1e-4, atol=1e-4)
    bands.sum().backward()
    assert clip.grad.abs().sum() > 0


def test_transforms_of_odd_length_are_left_to_torch():
    """Half of 14 is 7, of which the compiled transform knows no factor."""
    window, filters = np.ones(14), np.eye(8)
    clip = torch.from_numpy(RNG.normal(size=50))
    expected = np.abs(np.fft.rfft(np.lib.stride_tricks.sliding_window_view(clip.numpy(), 14)[::7]))
    np.testing.assert_allclose(
        FilterBank(window, filters, 7, 1)(clip), expected, rtol=1e-4, atol=1e-4
    )
