"""The sum over tasks against numpy."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import nn

from sktl.backbones import MLP, Units
from sktl.classifiers._batches import RowSet
from sktl.classifiers._mixup import mix_rows
from sktl.classifiers._module import TransferModule
from sktl.classifiers._task_heads import TaskHeads
from sktl.classifiers._task_objective import TaskObjective

SIZES = (3, 2, 1)
N = 8


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(N, 4, generator=generator, dtype=torch.float64)
    y = torch.stack([torch.randint(size, (N,), generator=generator) for size in SIZES], dim=1)
    weight = torch.rand(N, 3, generator=generator, dtype=torch.float64) + 0.1
    weight[::3, 0] = 0  # not known
    return RowSet(Units(values), y, weight, torch.ones(N, dtype=torch.bool))


@pytest.fixture
def module():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        heads = TaskHeads([nn.Linear(5, size) for size in SIZES], SIZES, uncertain=True)
        return TransferModule(MLP(4, hidden=(5,)), heads, None, False).double()


def run(objective, module, batch):
    embedding, logits = module(batch.units.values)
    terms = objective.terms(module, embedding, logits, batch, 0.5)
    return terms, np.split(logits.detach().numpy(), np.cumsum(SIZES)[:-1], axis=1)


def losses(logits, batch, task, label_smoothing=0.0):
    logs = log_softmax(logits[task], axis=1)
    own = logs[np.arange(N), batch.y[:, task]]
    return -(1 - label_smoothing) * own - label_smoothing * logs.mean(1)


@pytest.mark.parametrize("weights", [None, (1.0, 0.5, 0.0)])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_a_task_is_the_weighted_mean_of_its_known_labels(module, batch, weights, label_smoothing):
    objective = TaskObjective(task_weights=weights, label_smoothing=label_smoothing)
    terms, logits = run(objective, module, batch)
    assert list(terms) == ["task_0", "task_1", "task_2"]
    for task, factor in enumerate(weights or (1, 1, 1)):
        weight = batch.weight[:, task].numpy()
        expected = factor * (losses(logits, batch, task, label_smoothing) * weight).mean()
        assert float(terms[f"task_{task}"].detach()) == pytest.approx(expected)


def test_uncertain_tasks_are_weighted_by_their_variances(module, batch):
    s = torch.tensor([0.3, -0.7, 5.0], dtype=torch.float64)
    with torch.no_grad():
        module.head.log_variances.copy_(s)
    terms, logits = run(TaskObjective(uncertain=True), module, batch)
    for task in (0, 1):
        weight = batch.weight[:, task].numpy()
        variance = np.exp(s[task].item())
        each = losses(logits, batch, task) / variance + np.log(np.sqrt(variance))
        assert float(terms[f"task_{task}"].detach()) == pytest.approx((each * weight).mean())
    assert float(terms["task_2"].detach()) == 0  # of one class


def test_the_best_variance_is_twice_the_loss(module, batch):
    """The derivative of exp(-s) L + s / 2 is 0 where exp(s) = 2 L."""
    batch.weight /= batch.weight.mean(0)
    terms, _ = run(TaskObjective(), module, batch)
    with torch.no_grad():
        for task in (0, 1):
            module.head.log_variances[task] = torch.log(2 * terms[f"task_{task}"])
    sum(run(TaskObjective(uncertain=True), module, batch)[0].values()).backward()
    np.testing.assert_allclose(module.head.log_variances.grad, 0, atol=1e-12)


def test_mixed_rows_count_for_both_labels_of_each_task(module, batch):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        mixed, mixed.mix = mix_rows(batch, 0.5)
    terms, logits = run(TaskObjective(), module, mixed)
    share, partner = mixed.mix.share.numpy(), mixed.mix.partner.numpy()
    for task in range(3):
        weight = batch.weight[:, task].numpy()
        own = losses(logits, batch, task) * weight
        logs = log_softmax(logits[task], axis=1)
        other = -logs[np.arange(N), batch.y[partner, task]] * weight[partner]
        expected = (share * own + (1 - share) * other).mean()
        assert float(terms[f"task_{task}"].detach()) == pytest.approx(expected)


def test_held_out_accuracy_is_that_of_known_labels(module, batch):
    _, logits = run(TaskObjective(), module, batch)
    parts = torch.as_tensor(np.concatenate(logits, axis=1))
    objective = TaskObjective(label_smoothing=0.5, task_weights=(2.0, 1.0, 1.0))
    held_out = objective.held_out(module, parts, batch)
    right = np.stack([part.argmax(1) for part in logits], 1) == batch.y.numpy()
    known = batch.weight.numpy() > 0
    accuracy = float(held_out["accuracy"] / held_out["known"])
    assert accuracy == pytest.approx(right[known].mean())
    expected = 2 * (losses(logits, batch, 0) * batch.weight[:, 0].numpy()).mean()
    assert float(held_out["task_0"]) == pytest.approx(expected)


@pytest.mark.parametrize(("uncertain", "obstacles"), [(False, ()), (True, ("task_weights",))])
def test_weights_that_are_learned_leave_nothing_to_solve(uncertain, obstacles):
    assert TaskObjective(uncertain=uncertain).obstacles == obstacles
