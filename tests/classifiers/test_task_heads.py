"""Several heads as one module."""

import pytest
import torch
from torch import nn

from sktl.classifiers._task_heads import TaskHeads


@pytest.fixture
def linear():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [nn.Linear(5, size) for size in (3, 1, 4)]


def test_logits_are_those_of_the_heads_side_by_side(linear):
    heads = TaskHeads(linear, (3, 1, 4), uncertain=False)
    embedding = torch.ones(2, 5)
    logits = heads(embedding)
    assert logits.shape == (2, 8)
    for part, head in zip(heads.split(logits), linear, strict=True):
        torch.testing.assert_close(part, head(embedding))


@pytest.mark.parametrize("uncertain", [False, True])
def test_variances_are_there_if_they_are_to_be_learned(linear, uncertain):
    heads = TaskHeads(linear, (3, 1, 4), uncertain)
    assert hasattr(heads, "log_variances") is uncertain
    assert ("log_variances" in heads.state_dict()) is uncertain
    if uncertain:
        assert heads.log_variances.tolist() == [0, 0, 0]
