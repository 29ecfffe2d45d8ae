import numpy as np
import pytest
import torch
from scipy.special import softmax

from sktl.losses import class_confusion


def logits(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=shape))


def confusion_from_the_paper(scores, temperature):
    """Jin et al. 2020, equations 2 to 7, class by class."""
    p = softmax(scores / temperature, axis=1)
    n, n_classes = p.shape
    certainty = 1 + np.exp((p * np.log(p)).sum(1))
    w = n * certainty / certainty.sum()
    c = np.array(
        [
            [sum(w[i] * p[i, j] * p[i, k] for i in range(n)) for k in range(n_classes)]
            for j in range(n_classes)
        ]
    )
    c /= c.sum(1, keepdims=True)
    return sum(c[j, k] for j in range(n_classes) for k in range(n_classes) if j != k) / n_classes


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_equals_the_formula(device, temperature):
    scores = 3 * logits(9, 4)
    value = class_confusion(scores.to(device), temperature)
    assert value.shape == ()
    assert value.item() == pytest.approx(confusion_from_the_paper(scores.numpy(), temperature))


@pytest.mark.parametrize("n_classes", [1, 2, 10])
def test_is_largest_for_equal_scores(n_classes):
    expected = 1 - 1 / n_classes
    assert class_confusion(torch.zeros(3, n_classes)).item() == pytest.approx(expected)


def test_certain_predictions_of_all_classes_have_none_and_no_nan():
    scores = (1e4 * torch.eye(3)).requires_grad_()
    value = class_confusion(scores)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-6)
    assert scores.grad.isfinite().all()


def test_a_class_that_is_never_predicted_does_no_harm():
    scores = torch.tensor([[300.0, 0.0, -300.0]] * 4, requires_grad=True)
    value = class_confusion(scores, temperature=1.0)
    value.backward()
    assert value.isfinite()
    assert scores.grad.isfinite().all()


def test_half_precision_is_computed_in_single():
    assert class_confusion(logits(5, 3).bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("inf"), float("nan")])
def test_a_temperature_that_means_nothing_is_refused(temperature):
    with pytest.raises(ValueError, match=r"temperature=.*; give a finite number above 0"):
        class_confusion(logits(5, 3), temperature)


def test_flat_scores_are_named():
    with pytest.raises(ValueError, match=r"logits has shape \(5,\); give a 2-D tensor"):
        class_confusion(logits(5))
