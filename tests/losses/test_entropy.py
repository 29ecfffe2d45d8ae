import numpy as np
import pytest
import torch

from sktl.losses import entropy


def logits(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=shape))


def test_equals_the_formula(device):
    scores = logits(6, 4)
    p = np.exp(scores.numpy())
    p /= p.sum(axis=1, keepdims=True)
    expected = np.mean([-sum(q * np.log(q) for q in row) for row in p])
    value = entropy(scores.to(device))
    assert value.shape == ()
    assert value.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n_classes", [1, 2, 10])
def test_is_largest_for_equal_scores(n_classes):
    assert entropy(torch.zeros(3, n_classes)).item() == pytest.approx(np.log(n_classes))


def test_does_not_change_with_the_offset_of_a_row():
    scores = logits(6, 4)
    torch.testing.assert_close(entropy(scores), entropy(scores + 100))


def test_certain_predictions_have_none_and_no_nan():
    scores = torch.tensor([[1e4, 0.0, -1e4]], requires_grad=True)
    value = entropy(scores)
    value.backward()
    assert value == 0
    assert scores.grad.isfinite().all()


def test_gradient_is_that_of_the_value(device):
    assert torch.autograd.gradcheck(entropy, logits(5, 3).to(device).requires_grad_())


def test_half_precision_is_computed_in_single():
    value = entropy(logits(5, 3).bfloat16())
    assert value.dtype == torch.float32


def test_flat_scores_are_named():
    with pytest.raises(ValueError, match=r"logits has shape \(5,\); give a 2-D tensor"):
        entropy(logits(5))
