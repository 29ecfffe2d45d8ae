"""The distillation term against numpy, written from the paper."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from sktl.losses import distillation_loss


def logits(*shape, seed=0, scale=2.0):
    return torch.tensor(scale * np.random.default_rng(seed).normal(size=shape))


def divergences(student, teacher, temperature):
    """Hinton et al. 2014, equation 1; scipy's `entropy` of two is the divergence."""
    p, q = (softmax(np.asarray(z) / temperature, axis=1) for z in (teacher, student))
    return temperature**2 * entropy(p, q, axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 20.0])
def test_equals_the_formula(device, temperature):
    student, teacher = logits(6, 4), logits(6, 4, seed=1)
    value = distillation_loss(student.to(device), teacher.to(device), temperature)
    assert value.shape == ()
    assert value.item() == pytest.approx(divergences(student, teacher, temperature).mean())
    each = distillation_loss(student.to(device), teacher.to(device), temperature, reduction="none")
    np.testing.assert_allclose(each.cpu(), divergences(student, teacher, temperature))


def test_the_gradient_is_that_of_equation_2_times_the_squared_temperature():
    student, teacher = logits(5, 3).requires_grad_(), logits(5, 3, seed=1)
    distillation_loss(student, teacher, 4.0).backward()
    p, q = (softmax(z.detach().numpy() / 4, axis=1) for z in (teacher, student))
    np.testing.assert_allclose(student.grad, 16 * (q - p) / 4 / 5)


def test_at_a_high_temperature_logits_are_matched():
    """Equation 4: the gradient is (z - v) / N for zero-mean logits."""
    student, teacher = logits(5, 3), logits(5, 3, seed=1)
    student, teacher = (z - z.mean(1, keepdim=True) for z in (student, teacher))
    student.requires_grad_()
    distillation_loss(student, teacher, 1e4, reduction="none").sum().backward()
    np.testing.assert_allclose(student.grad, (student - teacher).detach() / 3, atol=1e-3)


def test_is_zero_for_the_same_predictions_alone():
    student = logits(6, 4)
    assert distillation_loss(student, student + 3.0).item() == pytest.approx(0, abs=1e-15)
    assert distillation_loss(student, logits(6, 4, seed=1)) > 0


def test_probabilities_of_zero_are_allowed_in_the_teacher():
    student = logits(2, 3).requires_grad_()
    teacher = torch.tensor([[0.0, -torch.inf, 0.0], [-torch.inf, -torch.inf, 1.0]]).double()
    value = distillation_loss(student, teacher, 3.0)
    value.backward()
    assert value.item() == pytest.approx(divergences(student.detach(), teacher, 3.0).mean())
    assert student.grad.isfinite().all()


def test_gradient_is_that_of_the_value(device):
    student = logits(4, 3).to(device).requires_grad_()
    teacher = logits(4, 3, seed=1).to(device)
    assert torch.autograd.gradcheck(lambda z: distillation_loss(z, teacher, 3.0), student)


def test_half_precision_is_computed_in_single():
    value = distillation_loss(logits(5, 3).bfloat16(), logits(5, 3, seed=1).bfloat16())
    assert value.dtype == torch.float32


@pytest.mark.parametrize(
    ("student", "arguments", "message"),
    [
        (torch.zeros(5, 2), {}, r"logits has shape \(5, 2\) but teacher_logits has \(5, 3\)"),
        (torch.zeros(5), {}, r"logits has shape \(5,\); give a 2-D tensor"),
        (torch.zeros(5, 3), {"temperature": 0.0}, r"temperature=0\.0; give a number above 0"),
        (torch.zeros(5, 3), {"temperature": float("inf")}, "temperature=inf"),
        (torch.zeros(5, 3), {"reduction": "sum"}, "reduction='sum'; give 'mean' or 'none'"),
    ],
)
def test_what_means_nothing_is_refused(student, arguments, message):
    with pytest.raises(ValueError, match=message):
        distillation_loss(student, torch.zeros(5, 3), **arguments)
