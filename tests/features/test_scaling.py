"""Blocks are scaled as scikit-learn scales columns."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from sktl.features._scaling import apply_scaling, check_block, learn_scaling, to_numpy


@pytest.fixture
def rows():
    scales = np.array([1e-3, 1.0, 50.0, 1e4])
    return scales * np.random.default_rng(0).normal(loc=3.0, size=(40, 4))


@pytest.mark.parametrize("weighted", [False, True])
def test_standard_is_that_of_scikit_learn(rows, weighted):
    sample_weight = np.arange(40) % 3 if weighted else None
    scaled = apply_scaling(rows, *learn_scaling(rows, "standard", sample_weight))
    expected = StandardScaler().fit(rows, sample_weight=sample_weight).transform(rows)
    np.testing.assert_allclose(scaled, expected, atol=1e-12)


def test_variances_of_a_scaled_block_sum_to_one(rows):
    mean, factors = learn_scaling(rows, "block")
    assert len(set(factors)) == 1
    scaled = apply_scaling(rows, mean, factors)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)
    assert scaled.var(axis=0).sum() == pytest.approx(1)


def test_without_a_scale_nothing_changes(rows):
    np.testing.assert_array_equal(apply_scaling(rows, *learn_scaling(rows, None)), rows)


@pytest.mark.parametrize("scale", ["standard", "block"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("noise", [0, 1])
def test_a_constant_column_is_not_blown_up(rows, scale, dtype, noise):
    rows = rows.astype(dtype)
    rows[:, 2] = 37.123
    rows[::3, 2] *= 1 + noise * np.finfo(dtype).eps
    mean, factors = learn_scaling(rows, scale)
    scaled = apply_scaling(rows, mean, factors)
    assert scaled.dtype == dtype
    assert np.abs(scaled[:, 2]).max() < 1e-5
    without = learn_scaling(np.delete(rows, 2, axis=1), scale)
    np.testing.assert_allclose(np.delete(factors, 2), without[1])


@pytest.mark.parametrize("scale", ["standard", "block"])
def test_rows_of_nan_do_not_count(rows, scale):
    expected = learn_scaling(rows, scale)
    broken = np.insert(rows, [0, 7, 40], np.nan, axis=0)
    np.testing.assert_allclose(learn_scaling(broken, scale), expected)
    assert np.isnan(apply_scaling(broken, *expected)).sum() == 3 * 4
    mean, factors = learn_scaling(np.full((3, 2), np.nan), scale)
    np.testing.assert_array_equal(mean, 0)
    np.testing.assert_array_equal(factors, 1)


def test_weights_that_sum_to_zero_are_refused(rows):
    with pytest.raises(ValueError, match="sample_weight sums to zero"):
        learn_scaling(rows, "standard", np.zeros(40))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_tensor_is_scaled_as_an_array_is(rows, dtype, device):
    rows = rows.astype(dtype)
    learned = learn_scaling(rows, "standard")
    tensor = apply_scaling(torch.from_numpy(rows).to(device), *learned)
    assert tensor.device.type == device
    np.testing.assert_allclose(to_numpy(tensor), apply_scaling(rows, *learned), rtol=1e-6)
    assert to_numpy(rows) is rows


def test_large_means_are_subtracted_without_loss():
    rows = (1e4 + np.random.default_rng(0).normal(size=(50, 1))).astype(np.float32)
    scaled = apply_scaling(rows, *learn_scaling(rows, "standard"))
    exact = StandardScaler().fit_transform(rows.astype(np.float64))
    np.testing.assert_allclose(scaled, exact, atol=1e-6)


class Mel:
    pooling = None


@pytest.mark.parametrize(
    ("block", "values", "message"),
    [
        (
            Mel(),
            np.zeros((3, 4, 5)),
            r"'mel' \(Mel\) gives .* \(3, 4, 5\).*mel__pooling='mean_std'",
        ),
        (object(), np.zeros(3), r"'mel' \(object\) gives .* \(3,\), but a block must .* clip\.$"),
        (object(), torch.zeros(3, 4, 5), r"shape \(3, 4, 5\)"),
        (object(), np.full((3, 2), np.inf), "block 'mel' contains infinity"),
    ],
)
def test_what_is_no_row_per_clip_is_refused(block, values, message):
    with pytest.raises(ValueError, match=message):
        check_block("mel", block, values)
