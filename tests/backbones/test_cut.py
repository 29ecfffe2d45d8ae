"""Users' modules cut into blocks that compute what the module computes."""

import pytest
import torch
from torch import nn

from sktl.backbones._cut import cut_module


def cut(module, *row_shape):
    module.eval()
    rows = torch.randn(3, *row_shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = module(rows)
    blocks, reason = cut_module(module, rows)
    values = rows
    with torch.no_grad():
        for block in blocks:
            values = block(values)
    torch.testing.assert_close(values, expected)
    ids = [id(p) for block in blocks for p in block.parameters()]
    assert len(ids) == len(set(ids)), "blocks share parameters"
    return blocks, reason


class Stacked(nn.Module):
    """Blocks by attribute; `mode` says what the forward does besides running them."""

    def __init__(self, mode, depth=3):
        super().__init__()
        self.mode = mode
        self.stem = nn.Linear(6, 6)
        self.blocks = nn.ModuleList(nn.Linear(6, 6) for _ in range(depth))
        self.head = nn.Linear(6, 2)
        self.mix = nn.Parameter(torch.rand(depth))

    def forward(self, x):
        if self.mode == "stem and head":
            x = self.stem(x)
        kept = []
        for block in self.blocks:
            x = nn.functional.dropout(x, 0.5, self.training and self.mode == "dropout")
            x = block(x)
            kept.append(x)
        if self.mode == "weighted sum":
            return sum(self.mix[i] * value for i, value in enumerate(kept))
        return self.head(x) if self.mode == "stem and head" else x


def test_blocks_attribute():
    module = Stacked("plain")
    blocks, reason = cut(module, 6)
    assert blocks == list(module.blocks)
    assert reason == ""


def test_blocks_with_a_stem_and_a_head_around_them():
    module = Stacked("stem and head")
    blocks, _ = cut(module, 6)
    held = [{id(p) for p in block.parameters()} for block in blocks]
    assert len(blocks) == 3
    assert {id(module.stem.weight), id(module.blocks[0].weight)} < held[0]
    assert {id(module.blocks[2].weight), id(module.head.weight)} < held[2]


def test_a_weighted_sum_of_layers_is_not_cut():
    blocks, reason = cut(Stacked("weighted sum"), 6)
    assert len(blocks) == 1
    assert "no single tensor flows from each of its `blocks`" in reason


def test_what_happens_in_training_only_is_not_lost():
    blocks, reason = cut(Stacked("dropout"), 6)
    assert len(blocks) == 1
    assert "self.training" in reason


def test_children_of_a_sequential():
    module = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Dropout(), nn.Linear(5, 4))
    blocks, reason = cut(module, 6)
    assert blocks == list(module)
    assert reason == ""


def test_shared_modules_are_joined():
    shared = nn.Linear(6, 6)
    module = nn.Sequential(nn.Linear(6, 6), shared, nn.ReLU(), shared, nn.Linear(6, 2))
    blocks, _ = cut(module, 6)
    assert [len(b) if isinstance(b, nn.Sequential) else 1 for b in blocks] == [1, 3, 1]


def test_tied_weights_are_joined():
    module = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3))
    module[1].weight = module[0].weight
    assert len(cut(module, 6)[0]) == 2


class Turn(nn.Module):
    def forward(self, x):
        return x.transpose(0, 1)


def test_no_cut_where_the_first_axis_is_not_the_rows():
    module = nn.Sequential(nn.Linear(6, 4), Turn(), nn.GELU(), Turn(), nn.Linear(4, 2))
    assert len(cut(module, 8, 6)[0]) == 3


def test_no_cut_where_a_layer_returns_a_tuple():
    class Last(nn.Module):
        def forward(self, outputs):
            return outputs[0][:, -1]

    module = nn.Sequential(nn.Linear(6, 4), nn.GRU(4, 5, batch_first=True), Last())
    assert len(cut(module, 7, 6)[0]) == 2


class Overridden(nn.Sequential):
    def forward(self, x):
        return super().forward(x) + x


def test_a_sequential_with_a_forward_of_its_own():
    blocks, reason = cut(Overridden(nn.Linear(6, 6), nn.Linear(6, 6)), 6)
    assert len(blocks) == 1
    assert reason == "no single tensor flows between its layers"


def test_buffers_are_as_before():
    module = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Linear(6, 2))
    before = {name: value.clone() for name, value in module.named_buffers()}
    cut(module, 6)
    assert all(torch.equal(module.get_buffer(name), before[name]) for name in before)


@pytest.mark.parametrize("blocks", [None, [], 3, [3]])
def test_an_attribute_named_blocks_that_holds_no_modules(blocks):
    module = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 2))
    module.blocks = blocks
    assert len(cut(module, 6)[0]) == 2
