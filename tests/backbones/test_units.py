"""Units of one shape and of several: nothing is lost, mixed up or padded."""

import pytest
import torch

from sktl.backbones import Ragged, Units, segment_mean
from sktl.backbones._units import over_groups

LENGTHS = (3, 5, 3, 2, 5, 5)


def parts():
    """One unit of each length, filled with its number."""
    return [torch.full((1, length, 2), float(i)) for i, length in enumerate(LENGTHS)]


def numbers(ragged):
    return [unit.flatten()[0].item() for unit in ragged.one_by_one()]


def test_units_of_one_shape_lie_together_and_keep_their_order():
    ragged = Ragged.concat(parts())
    assert [tuple(group.shape) for group in ragged.groups] == [(1, 2, 2), (2, 3, 2), (3, 5, 2)]
    assert len(ragged) == 6
    assert numbers(ragged) == [0, 1, 2, 3, 4, 5]
    assert [unit.shape[1] for unit in ragged.one_by_one()] == list(LENGTHS)


def test_ragged_parts_are_joined_in_order():
    first, second = Ragged.concat(parts()[:4]), Ragged.concat(parts()[4:])
    joined = Ragged.concat([first.index_select(torch.tensor([3, 0])), second, parts()[2]])
    assert numbers(joined) == [3, 0, 4, 5, 2]


@pytest.mark.parametrize("index", [[0], [5, 0], [1, 1, 4], [2, 3, 0, 5]])
def test_selection_keeps_its_order(index):
    ragged = Ragged.concat(parts()).index_select(torch.tensor(index))
    assert numbers(ragged) == index
    assert all(len(group) for group in ragged.groups)


def test_results_of_one_shape_are_one_tensor_in_order():
    ragged = Ragged.concat(parts())
    made = ragged.map(lambda group: group.mean(1))
    assert torch.equal(made[:, 0], torch.arange(6.0))
    assert numbers(ragged.map(lambda group: group + 1)) == [1, 2, 3, 4, 5, 6]
    assert torch.equal(over_groups(lambda group: group.amax((1, 2)), ragged), torch.arange(6.0))
    assert torch.equal(over_groups(torch.neg, torch.ones(2)), -torch.ones(2))


def test_groups_are_the_same_whichever_the_shapes_before_were():
    units = [torch.full((1, length), float(i)) for i, length in enumerate([7, 4, 6, 3, 5, 2])]
    halved = [unit[:, : unit.shape[1] // 2] for unit in units]
    direct = Ragged.concat(halved)
    for index in ([0, 1, 2, 3, 4, 5], [2, 0, 1], [3, 4, 1]):
        chosen = Ragged.concat([units[i] for i in index])
        mapped = chosen.map(lambda group: group[:, : group.shape[1] // 2])
        selected = direct.index_select(torch.tensor(index))
        assert numbers(mapped) == index
        for a, b in zip(mapped.groups, selected.groups, strict=True):
            assert torch.equal(a, b)


def test_gradients_reach_every_unit():
    leaves = [part.requires_grad_() for part in parts()]
    made = Ragged.concat(leaves).map(lambda group: group.sum((1, 2)))
    (made * torch.arange(6.0)).sum().backward()
    assert [leaf.grad.flatten()[0].item() for leaf in leaves] == [0, 1, 2, 3, 4, 5]


def test_rows_of_several_units_and_of_none():
    rows = [torch.zeros(2, 3), torch.ones(0, 3), torch.ones(1, 4), torch.full((3, 3), 2.0)]
    units = Units.from_rows(rows, varying=True)
    assert len(units) == 4
    for row, expected in zip(units.rows(), rows, strict=True):
        assert len(row) == len(expected)
        assert torch.equal(row, expected) or not len(expected)
    taken = units.take(torch.tensor([3, 2, 1]))
    assert [len(row) for row in taken.rows()] == [3, 1, 0]
    means = Units(taken.values.map(lambda group: group.mean(1, keepdim=True)), taken.offsets).mean()
    assert torch.equal(means[:2], torch.tensor([[2.0], [1.0]]))
    assert means[2].isnan().all()


def test_varying_units_of_equal_shapes_stay_ragged():
    units = Units.from_rows([torch.zeros(1, 3), torch.ones(1, 3)], varying=True)
    assert isinstance(units.values, Ragged)
    joined = Units.concat([units, units])
    assert len(joined) == 4
    assert numbers(joined.values) == [0, 1, 0, 1]


def test_the_mean_of_varying_units_of_one_shape():
    units = Units.from_rows([torch.zeros(2, 3), torch.ones(1, 3)], varying=True)
    assert torch.equal(units.mean(), torch.tensor([[0.0] * 3, [1.0] * 3]))


def test_only_unreadable_rows():
    units = Units.from_rows([torch.zeros(0, 3, 2), torch.zeros(0, 3, 2)], varying=True)
    assert len(units) == 2
    assert [len(row) for row in units.rows()] == [0, 0]


def test_segment_mean_of_uneven_rows():
    values = torch.arange(12.0).reshape(6, 2)
    offsets = torch.tensor([0, 1, 4, 4, 6])
    expected = torch.stack(
        [values[:1].mean(0), values[1:4].mean(0), torch.full((2,), torch.nan), values[4:].mean(0)]
    )
    torch.testing.assert_close(segment_mean(values, offsets), expected, equal_nan=True)


def test_units_from_rows_and_back():
    rows = [torch.zeros(2, 3), torch.ones(1, 3)]
    units = Units.from_rows(rows)
    assert len(units) == 2
    assert all(torch.equal(a, b) for a, b in zip(units.rows(), rows, strict=True))
    swapped = units.take(torch.tensor([1, 0]))
    assert [len(row) for row in swapped.rows()] == [1, 2]
    assert torch.equal(swapped.values, torch.cat(rows[::-1]))
