import numpy as np
import pytest
import torch
from scipy.special import softmax

from sktl.losses import margin_disparity

SOURCE = torch.tensor([True, False, True, True, False, False, False])


def scores(n_classes=4, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=(len(SOURCE), n_classes)))


def disparity_from_the_paper(logits, rival, margin, weight):
    """Zhang et al. 2019, equations 27 to 30, row by row."""
    chosen = logits.numpy().argmax(1)
    p = softmax(rival.numpy(), axis=1)[np.arange(len(chosen)), chosen]
    source = SOURCE.numpy()
    agree = np.average(-np.log(p[source]), weights=weight[source])
    disagree = np.average(-np.log(1 - p[~source]), weights=weight[~source])
    return margin * agree + disagree


@pytest.mark.parametrize("margin", [1.0, 4.0])
def test_equals_the_formula(device, margin):
    logits, rival = scores(), scores(seed=1)
    weight = np.linspace(0.5, 2, len(SOURCE))
    on_device = [value.to(device) for value in (logits, rival, SOURCE)]
    value = margin_disparity(*on_device, margin, torch.tensor(weight, device=device))
    assert value.shape == ()
    expected = disparity_from_the_paper(logits, rival, margin, weight)
    assert value.item() == pytest.approx(expected)


def test_rows_count_alike_without_weights():
    value = margin_disparity(scores(), scores(seed=1), SOURCE)
    assert torch.equal(
        value, margin_disparity(scores(), scores(seed=1), SOURCE, 4.0, torch.ones(7))
    )


def test_gradient_is_that_of_the_value_and_does_not_reach_the_classifier(device):
    logits = scores().to(device).requires_grad_()
    rival, source = scores(seed=1).to(device).requires_grad_(), SOURCE.to(device)
    assert torch.autograd.gradcheck(lambda r: margin_disparity(logits, r, source), rival)
    margin_disparity(logits, rival, source).backward()
    assert logits.grad is None


def test_a_rival_that_is_certain_gives_no_nan():
    rival = (1e4 * torch.eye(7)[:, :4]).requires_grad_()
    value = margin_disparity(scores().float(), rival, SOURCE)
    value.backward()
    assert value.isfinite()
    assert rival.grad.isfinite().all()


def test_a_domain_without_rows_adds_nothing():
    everywhere = torch.ones(7, dtype=torch.bool)
    value = margin_disparity(scores(), scores(seed=1), everywhere, margin=1.0)
    p = softmax(scores(seed=1).numpy(), axis=1)[np.arange(7), scores().numpy().argmax(1)]
    assert value.item() == pytest.approx(-np.log(p).mean())


def test_what_means_nothing_is_refused():
    with pytest.raises(ValueError, match=r"rival has shape \(7, 3\) but logits has \(7, 4\)"):
        margin_disparity(scores(), scores(3), SOURCE)
    for margin in (0.0, float("nan")):
        with pytest.raises(ValueError, match=f"margin={margin}; give a finite number above 0"):
            margin_disparity(scores(), scores(), SOURCE, margin)
