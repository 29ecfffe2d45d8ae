"""The order in which rows are visited, on the domains' sides and over epochs."""

from itertools import chain

import numpy as np
import pytest
import torch

from sktl.backbones import Units
from sktl.classifiers._batches import Batches, RowSet


def make_rows(n_source, n_target=0):
    """Row i has the value i; source rows are those of even place as long as there are any."""
    n = n_source + n_target
    source = torch.zeros(n, dtype=torch.bool)
    source[torch.randperm(n, generator=torch.Generator().manual_seed(0))[:n_source]] = True
    index = torch.arange(n)
    return RowSet(Units(index[:, None].double()), index, index.double(), source)


def values(batches):
    return [batch.units.values[:, 0].long().tolist() for batch in batches]


@pytest.mark.parametrize("n", [1, 2, 3, 15, 16, 17, 31, 32, 33, 50])
def test_every_row_is_visited_once_per_epoch_and_never_alone(n):
    batches = Batches(make_rows(n), batch_size=16, seed=0)
    for _ in range(3):
        seen = values(batches)
        assert len(seen) == len(batches)
        assert sorted(chain(*seen)) == list(range(n))
        assert max(map(len, seen)) <= 17
        assert min(map(len, seen)) > 1 or n == 1


def test_a_batch_of_one_row_is_made_only_when_asked_for():
    assert [len(rows) for rows in values(Batches(make_rows(3), batch_size=1, seed=0))] == [1, 1, 1]


def test_a_batch_size_above_n_gives_one_batch_of_all_rows():
    assert [sorted(rows) for rows in values(Batches(make_rows(5), 1000, seed=0))] == [[*range(5)]]


@pytest.mark.parametrize(("n_source", "n_target"), [(40, 7), (7, 40), (20, 20), (1, 9), (33, 2)])
@pytest.mark.parametrize("batch_size", [2, 8, 9, 500])
def test_half_of_each_batch_is_source_and_half_target(n_source, n_target, batch_size):
    rows = make_rows(n_source, n_target)
    long_is_source = n_source >= n_target
    batches = Batches(rows, batch_size, seed=0)
    sides = {True: [], False: []}
    for batch in batches:
        assert len(batch) == 2 * batch.n_source
        assert batch.source[: batch.n_source].all()
        assert not batch.source[batch.n_source :].any()
        if batch_size > 3:
            assert batch.n_source > 1
        sides[True] += batch.y[: batch.n_source].tolist()
        sides[False] += batch.y[batch.n_source :].tolist()
    assert sorted(sides[long_is_source]) == torch.where(rows.source == long_is_source)[0].tolist()
    counts = np.bincount(sides[not long_is_source], minlength=len(rows))
    shorter = counts[(rows.source != long_is_source).numpy()]
    assert shorter.max() - shorter.min() <= 1
    assert shorter.min() >= 1


def test_the_shorter_side_is_reshuffled_in_every_round():
    batches = Batches(make_rows(60, 20), batch_size=40, seed=0)
    rounds = [batch.y[20:].tolist() for batch in batches]
    assert len(rounds) == 3
    assert len({tuple(order) for order in rounds}) == 3
    assert len({tuple(sorted(order)) for order in rounds}) == 1


def test_the_order_follows_from_seed_and_epoch():
    rows = make_rows(50)
    first, second = Batches(rows, 16, seed=3), Batches(rows, 16, seed=3)
    epochs = [values(first) for _ in range(3)]
    assert [values(second) for _ in range(3)] == epochs
    assert epochs[0] != epochs[1] != epochs[2]
    assert values(Batches(rows, 16, seed=4)) != epochs[0]


def test_without_a_seed_rows_stay_in_order():
    batches = Batches(make_rows(20), 16, seed=None)
    for _ in range(2):
        assert list(chain(*values(batches))) == list(range(20))


@pytest.mark.global_state("would draw from torch's generator if the order did")
def test_the_order_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    list(Batches(make_rows(20, 5), 8, seed=0))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_taken_row_keeps_its_units_label_weight_and_domain():
    parts = [torch.full((k, 2), float(k)) for k in (3, 1, 2)]
    rows = RowSet(
        Units.from_rows(parts),
        torch.tensor([7, 8, 9]),
        torch.tensor([0.7, 0.8, 0.9]),
        torch.tensor([True, False, True]),
        start=4,
    )
    taken = rows.take(torch.tensor([2, 0, 2]), n_source=2)
    assert [len(units) for units in taken.units.rows()] == [2, 3, 2]
    assert [float(units[0, 0]) for units in taken.units.rows()] == [2.0, 3.0, 2.0]
    assert taken.y.tolist() == [9, 7, 9]
    assert taken.weight.tolist() == pytest.approx([0.9, 0.7, 0.9])
    assert taken.source.tolist() == [True, True, True]
    assert (len(taken), taken.start, taken.n_source) == (3, 4, 2)


def test_batches_lie_where_the_rows_lie(device):
    rows = make_rows(10, 4)
    moved = RowSet(
        Units(rows.units.values.to(device)),
        rows.y.to(device),
        rows.weight.to(device),
        rows.source.to(device),
    )
    on_device = [batch.y.cpu().tolist() for batch in Batches(moved, 4, seed=0)]
    assert on_device == [batch.y.tolist() for batch in Batches(rows, 4, seed=0)]
    assert next(iter(Batches(moved, 4, seed=0))).units.values.device.type == device
