import numpy as np
import pytest
import torch

from sktl.losses import coral_loss


def rows(*shape, seed=0, scale=1.0):
    return torch.tensor(scale * np.random.default_rng(seed).normal(size=shape))


def coral_from_the_paper(source, target):
    """Sun and Saenko 2016, equations 1 to 3, as printed."""
    d = source.shape[1]
    covariances = []
    for data in (source.numpy(), target.numpy()):
        n = len(data)
        total = np.ones((1, n)) @ data
        covariances.append((data.T @ data - total.T @ total / n) / (n - 1))
    return np.linalg.norm(covariances[0] - covariances[1], "fro") ** 2 / (4 * d**2)


def test_equals_the_formula(device):
    source, target = rows(9, 4), rows(7, 4, seed=1, scale=2.0)
    value = coral_loss(source.to(device), target.to(device))
    assert value.shape == ()
    assert value.item() == pytest.approx(coral_from_the_paper(source, target), rel=1e-12)


def test_uses_the_covariance_of_numpy():
    source, target = rows(9, 4), rows(7, 4, seed=1, scale=2.0)
    difference = np.cov(source, rowvar=False) - np.cov(target, rowvar=False)
    assert coral_loss(source, target).item() == pytest.approx((difference**2).sum() / 64)


def test_float32_is_close_to_float64(device):
    source, target = rows(64, 32).to(device), rows(64, 32, seed=1, scale=2.0).to(device)
    single = coral_loss(source.float(), target.float())
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(coral_loss(source, target).item(), rel=1e-5)


def test_is_zero_for_equal_sets_whatever_their_means():
    source = rows(8, 3)
    assert coral_loss(source, source) == 0
    assert coral_loss(source, source + 5).item() == pytest.approx(0, abs=1e-20)


def test_is_symmetric():
    source, target = rows(6, 3), rows(5, 3, seed=1)
    torch.testing.assert_close(coral_loss(source, target), coral_loss(target, source))


def test_gradient_is_that_of_the_value(device):
    source = rows(5, 3).to(device).requires_grad_()
    target = rows(4, 3, seed=1).to(device).requires_grad_()
    assert torch.autograd.gradcheck(coral_loss, (source, target))


def test_a_single_row_has_no_covariance():
    source = rows(1, 3).requires_grad_()
    target = rows(6, 3, seed=1)
    value = coral_loss(source, target)
    value.backward()
    assert value.item() == pytest.approx((np.cov(target, rowvar=False) ** 2).sum() / 36)
    assert not source.grad.any()


def test_half_precision_is_computed_in_single(device):
    source, target = rows(6, 3).to(device), rows(6, 3, seed=1).to(device)
    source, target = source.bfloat16(), target.bfloat16()
    expected = coral_loss(source.float(), target.float())
    with torch.autocast(device, dtype=torch.bfloat16):
        value = coral_loss(source, target)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, expected)


def test_different_sizes_are_named():
    with pytest.raises(ValueError, match="source has 2 columns but target has 3"):
        coral_loss(rows(4, 2), rows(4, 3))
