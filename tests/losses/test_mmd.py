import numpy as np
import pytest
import torch

from sktl.losses import mmd2


def rows(*shape, seed=0, shift=0.0, dtype=torch.float64):
    values = np.random.default_rng(seed).normal(size=shape) + shift
    return torch.tensor(values, dtype=dtype)


def squared_distance(x, y):
    return sum((a - b) ** 2 for a, b in zip(x, y, strict=True))


def mmd2_from_the_paper(source, target, sigmas, weight=None):
    """Gretton et al. 2012, equation 5, pair by pair."""
    source, target = source.tolist(), target.tolist()
    p = np.full(len(source), 1 / len(source)) if weight is None else weight / weight.sum()
    q = np.full(len(target), 1 / len(target))

    def kernel(x, y):
        distance = squared_distance(x, y)
        return np.mean([np.exp(-distance / (2 * sigma**2)) for sigma in sigmas])

    def expectation(left, a, right, b):
        return sum(
            a[i] * b[j] * kernel(left[i], right[j])
            for i in range(len(left))
            for j in range(len(right))
        )

    return (
        expectation(source, p, source, p)
        + expectation(target, q, target, q)
        - 2 * expectation(source, p, target, q)
    )


def sigmas_from_the_paper(source, target):
    """Long et al. 2015: 2 sigma² from 2^-8 to 2^8 medians in steps of sqrt(2)."""
    pooled = source.tolist() + target.tolist()
    distances = sorted(
        squared_distance(x, y) for i, x in enumerate(pooled) for y in pooled[i + 1 :]
    )
    median = distances[(len(distances) - 1) // 2]
    return np.sqrt(2.0 ** (np.arange(-16, 17) / 2) * median / 2)


def test_equals_the_formula_for_given_bandwidths(device):
    source, target = rows(7, 3), rows(5, 3, seed=1, shift=0.5)
    sigmas = (0.3, 1.0, 4.0)
    value = mmd2(source.to(device), target.to(device), bandwidths=sigmas)
    assert value.shape == ()
    assert value.item() == pytest.approx(mmd2_from_the_paper(source, target, sigmas), rel=1e-12)


def test_a_single_bandwidth_may_be_a_number():
    source, target = rows(4, 2), rows(3, 2, seed=1)
    assert mmd2(source, target, bandwidths=2) == mmd2(source, target, bandwidths=[2.0])


@pytest.mark.parametrize("n_target", [4, 5])
def test_median_takes_33_kernels_around_the_median_distance(device, n_target):
    source, target = rows(7, 3), rows(n_target, 3, seed=1, shift=0.5)
    expected = mmd2_from_the_paper(source, target, sigmas_from_the_paper(source, target))
    assert mmd2(source.to(device), target.to(device)).item() == pytest.approx(expected, rel=1e-12)


def test_squares_the_distance():
    near = mmd2(torch.zeros(1, 1), torch.full((1, 1), 2.0), bandwidths=1.0)
    assert near.item() == pytest.approx(2 - 2 * np.exp(-2), rel=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_float32_is_close_to_float64(device, scale):
    source = (rows(64, 32) * scale).to(device)
    target = (rows(64, 32, seed=1, shift=0.3) * scale).to(device)
    single = mmd2(source.float(), target.float())
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(mmd2(source, target).item(), abs=1e-6)


def test_a_common_offset_costs_no_digits():
    source, target = rows(64, 8), rows(64, 8, seed=1, shift=0.3)
    moved = mmd2((source + 1000).float(), (target + 1000).float())
    assert moved.item() == pytest.approx(mmd2(source, target).item(), rel=1e-2)


def test_source_weights_enter_the_source_mean(device):
    source, target = rows(6, 3), rows(5, 3, seed=1)
    weight = torch.tensor([1.0, 2.0, 0.0, 3.0, 1.0, 0.5], dtype=torch.float64)
    expected = mmd2_from_the_paper(source, target, (1.0,), weight.numpy())
    value = mmd2(source.to(device), target.to(device), 1.0, source_weight=weight.to(device))
    assert value.item() == pytest.approx(expected, rel=1e-12)


def test_weights_count_like_repeated_rows():
    source, target = rows(3, 2), rows(5, 2, seed=1)
    weight = torch.tensor([1.0, 2.0, 3.0])
    repeated = source.repeat_interleave(weight.long(), dim=0)
    weighted = mmd2(source, target, (0.5, 2.0), source_weight=weight)
    torch.testing.assert_close(weighted, mmd2(repeated, target, (0.5, 2.0)))


def test_all_weights_zero_gives_zero_without_gradient():
    source = rows(3, 2).requires_grad_()
    target = rows(3, 2, seed=1).requires_grad_()
    value = mmd2(source, target, source_weight=torch.zeros(3))
    value.backward()
    assert value == 0
    assert not source.grad.any()
    assert not target.grad.any()


def test_equal_sets_give_zero_and_a_shift_gives_more():
    source = rows(20, 4)
    values = [mmd2(source, source + shift, 2.0).item() for shift in (0, 0.5, 1, 2)]
    assert values[0] == pytest.approx(0, abs=1e-15)
    assert values == sorted(values)
    assert mmd2(source, source.flip(0)).item() == pytest.approx(0, abs=1e-15)


def test_is_symmetric():
    source, target = rows(6, 3), rows(5, 3, seed=1)
    torch.testing.assert_close(mmd2(source, target), mmd2(target, source))


@pytest.mark.parametrize("bandwidths", ["median", 1.0])
def test_one_row_per_domain_is_finite(bandwidths):
    source = rows(1, 3).requires_grad_()
    value = mmd2(source, rows(1, 3, seed=1), bandwidths)
    value.backward()
    assert value > 0
    assert source.grad.isfinite().all()
    assert source.grad.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_identical_points_give_zero_and_no_nan(dtype):
    source = torch.ones(4, 3, dtype=dtype, requires_grad=True)
    value = mmd2(source, torch.ones(5, 3, dtype=dtype))
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-6)
    assert not source.grad.any()


def test_zero_median_falls_back_to_the_mean_distance():
    source, target = torch.zeros(9, 1), torch.zeros(9, 1)
    target[0] = 3.0
    source.requires_grad_()
    value = mmd2(source, target)
    value.backward()
    mean = 9 * 17 / (18 * 17 / 2)
    sigmas = np.sqrt(2.0 ** (np.arange(-16, 17) / 2) * mean / 2)
    expected = mmd2_from_the_paper(source.detach(), target, sigmas)
    assert value.item() == pytest.approx(expected, rel=1e-5)
    assert source.grad.isfinite().all()


def test_outliers_leave_gradients_finite():
    source = rows(8, 3, dtype=torch.float32)
    source[0] = 1e6
    source.requires_grad_()
    mmd2(source, rows(8, 3, seed=1, dtype=torch.float32)).backward()
    assert source.grad.isfinite().all()


@pytest.mark.parametrize("bandwidths", [(0.7,), (0.5, 1.0, 3.0)])
def test_gradient_is_that_of_the_value(device, bandwidths):
    source = rows(5, 3).to(device).requires_grad_()
    target = rows(4, 3, seed=1).to(device).requires_grad_()
    weight = torch.tensor([1.0, 2.0, 1.0, 0.5, 0.1], dtype=torch.float64, device=device)
    assert torch.autograd.gradcheck(lambda s, t: mmd2(s, t, bandwidths), (source, target))
    assert torch.autograd.gradcheck(
        lambda s, t: mmd2(s, t, bandwidths, source_weight=weight), (source, target)
    )


def test_no_gradient_flows_through_the_median():
    source, target = rows(7, 3), rows(5, 3, seed=1, shift=0.5)
    sigmas = sigmas_from_the_paper(source, target)
    gradients = []
    for bandwidths in ("median", sigmas):
        leaf = source.clone().requires_grad_()
        mmd2(leaf, target, bandwidths).backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)


def test_descent_along_the_gradient_aligns_two_sets():
    source, target = rows(40, 2), rows(40, 2, seed=1, shift=3.0)
    shift = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([shift], lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        mmd2(source + shift, target).backward()
        optimizer.step()
    np.testing.assert_allclose(
        (source + shift).mean(0).detach(), target.mean(0), atol=0.3, err_msg="not aligned"
    )


def test_half_precision_is_computed_in_single(device):
    source = rows(6, 3).to(device, torch.bfloat16)
    target = rows(6, 3, seed=1).to(device, torch.bfloat16)
    expected = mmd2(source.float(), target.float())
    with torch.autocast(device, dtype=torch.bfloat16):
        value = mmd2(source, target)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, expected)


@pytest.mark.parametrize(
    ("source", "target", "options", "message"),
    [
        (rows(3, 2), rows(3, 4), {}, "source has 2 columns but target has 4"),
        (rows(3), rows(3, 4), {}, r"source has shape \(3,\); give a 2-D tensor"),
        (rows(3, 2), rows(0, 2), {}, r"target has shape \(0, 2\); give at least one row"),
        (rows(3, 2), rows(3, 2), {"source_weight": torch.ones(2)}, "source has 3 rows"),
        (rows(3, 2), rows(3, 2), {"bandwidths": "mean"}, "bandwidths='mean'; give 'median'"),
        (rows(3, 2), rows(3, 2), {"bandwidths": []}, r"bandwidths=\[\]; give 'median'"),
        (rows(3, 2), rows(3, 2), {"bandwidths": (1.0, 0.0)}, "positive, finite"),
    ],
)
def test_bad_input_is_named(source, target, options, message):
    with pytest.raises(ValueError, match=message):
        mmd2(source, target, **options)
