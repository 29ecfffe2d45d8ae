"""Labels and teacher, weighted, against numpy."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from sktl.backbones import MLP, Units
from sktl.classifiers._batches import RowSet
from sktl.classifiers._distilled_objective import DistilledObjective
from sktl.classifiers._heads import make_head
from sktl.classifiers._mixup import mix_rows
from sktl.classifiers._module import TransferModule

N_SOURCE, N_TARGET = 6, 4
N = N_SOURCE + N_TARGET


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(N, 4, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (N,), generator=generator)
    weight = torch.rand(N, generator=generator, dtype=torch.float64) + 0.1
    rows = RowSet(Units(values), y, weight, torch.arange(N) < N_SOURCE, n_source=N_SOURCE)
    rows.teacher = torch.randn(N, 3, generator=generator, dtype=torch.float64)
    return rows


@pytest.fixture
def module():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TransferModule(MLP(4, hidden=(5,)), make_head("linear", 5, 3), None, False).double()


def run(objective, module, batch):
    embedding, logits = module(batch.units.values)
    terms = objective.terms(module, embedding, logits, batch, 0.5)
    numbers = {name: float(value.detach()) for name, value in terms.items()}
    return numbers, logits.detach().numpy()


def divergences(logits, teacher, temperature):
    p = softmax(np.asarray(teacher) / temperature, axis=1)
    q = softmax(logits / temperature, axis=1)
    return temperature**2 * (p * np.log(p / q)).sum(1)


def cross_entropies(logits, y):
    return -log_softmax(logits, axis=1)[np.arange(len(y)), y]


@pytest.mark.parametrize("alpha", [0.3, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_labels_count_for_source_rows_and_the_teacher_for_all(module, batch, alpha, temperature):
    terms, logits = run(DistilledObjective(alpha=alpha, temperature=temperature), module, batch)
    assert set(terms) == {"cls", "distillation"}
    weight, y = batch.weight.numpy(), batch.y.numpy()[:N_SOURCE]
    labels = (cross_entropies(logits[:N_SOURCE], y) * weight[:N_SOURCE]).mean()
    assert terms["cls"] == pytest.approx((1 - alpha) * labels)
    taught = (divergences(logits, batch.teacher, temperature) * weight).mean()
    assert terms["distillation"] == pytest.approx(alpha * taught)


def test_without_a_share_the_teacher_is_not_heard(module, batch):
    batch.teacher = None
    terms, _ = run(DistilledObjective(alpha=0.0), module, batch)
    assert set(terms) == {"cls"}


def test_of_mixed_rows_the_teacher_says_what_it_says_of_both(module, batch):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        mixed, mixed.mix = mix_rows(batch, 0.5)
    terms, logits = run(DistilledObjective(alpha=1.0, temperature=2.0), module, mixed)
    weight, teacher = batch.weight.numpy(), batch.teacher.numpy()
    losses = divergences(logits, teacher, 2.0) * weight
    partner, share = mixed.mix.partner.numpy(), mixed.mix.share.numpy()
    other = divergences(logits[:N_SOURCE], teacher[partner], 2.0) * weight[partner]
    losses[:N_SOURCE] = share * losses[:N_SOURCE] + (1 - share) * other
    assert terms["distillation"] == pytest.approx(losses.mean())


def test_a_part_of_a_mixed_batch_has_its_own_rows(module, batch):
    source = batch.take(torch.arange(N_SOURCE))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        mixed, mixed.mix = mix_rows(source, 0.5)
    objective = DistilledObjective()
    whole, _ = run(objective, module, mixed)
    parts = [run(objective, module, part)[0] for part in mixed.split(3)]
    for name, value in whole.items():
        assert np.mean([part[name] for part in parts]) == pytest.approx(value)


def test_both_terms_are_watched_on_rows_held_out(module, batch):
    rows = batch.take(torch.arange(N_SOURCE))
    logits = module(rows.units.values)[1].detach()
    held_out = DistilledObjective(alpha=0.25, label_smoothing=0.5).held_out(module, logits, rows)
    weight, y = rows.weight.numpy(), rows.y.numpy()
    expected = {
        "cls": 0.75 * (cross_entropies(logits.numpy(), y) * weight).mean(),
        "distillation": 0.25 * (divergences(logits.numpy(), rows.teacher, 2.0) * weight).mean(),
        "accuracy": (logits.numpy().argmax(1) == y).mean(),
    }
    assert {name: float(value) for name, value in held_out.items()} == pytest.approx(expected)


@pytest.mark.parametrize(("alpha", "expected"), [(0.0, False), (0.1, True)])
def test_rows_without_labels_are_of_use_if_the_teacher_is_heard(alpha, expected):
    objective = DistilledObjective(alpha=alpha)
    assert objective.takes_target is expected
    assert objective.obstacles == (("alpha",) if expected else ())
    assert not objective.adapts
