"""Modules cut along their traced graph."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional

from sktl.backbones._fx import CannotCut, cut_graph


class Residual(nn.Module):
    def __init__(self, n_in, n_out, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.shortcut = nn.Conv2d(n_in, n_out, 1, stride) if stride > 1 else None

    def forward(self, x):
        identity = x if self.shortcut is None else self.shortcut(x)
        x = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        x = self.bn2(self.conv2(x))
        x += identity
        return functional.relu(x)


class ResNet(nn.Module):
    """The structure of torchvision's, small."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(Residual(4, 4), Residual(4, 4))
        self.layer2 = nn.Sequential(Residual(4, 8, 2), Residual(8, 8))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8, 5)

    def forward(self, x, mask=None):
        x = self.maxpool(functional.relu(self.bn1(self.conv1(x.unsqueeze(1)))))
        x = self.layer2(self.layer1(x))
        x = self.avgpool(x)
        x = x.view(x.size(0), -1)
        return self.fc(x)


def rows_of(*shape):
    return torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))


def run(blocks, values):
    for block in blocks:
        values = block(values)
    return values


@pytest.fixture
def resnet():
    return ResNet().eval()


def test_a_residual_network_is_cut_between_its_residual_blocks(resnet):
    blocks = cut_graph(resnet, rows_of(20, 30))
    names = [sorted({name.split(".weight")[0] for name in b.state_dict()}) for b in blocks]
    assert len(blocks) == 6
    assert "conv1" in names[0]
    assert all(any(n.startswith("layer1.0") for n in names[1]) for _ in [0])
    assert any(n.startswith("layer2.1") for n in names[4])
    assert names[5] == ["fc", "fc.bias"]


@pytest.mark.parametrize("training", [False, True])
def test_segments_compute_what_the_module_computes(resnet, training):
    blocks = cut_graph(resnet, rows_of(20, 30))
    twin = copy.deepcopy(resnet)
    for module in (twin, *blocks):
        module.train(training)
    values = rows_of(16, 16)
    assert torch.equal(run(blocks, values), twin(values))
    assert torch.equal(resnet.bn1.running_mean, twin.bn1.running_mean)


def test_segments_hold_the_parameters_of_the_module(resnet):
    blocks = cut_graph(resnet, rows_of(20, 30))
    held = [id(p) for block in blocks for p in block.parameters()]
    assert sorted(held) == sorted(id(p) for p in resnet.parameters())


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))])
def test_segments_can_be_copied_and_pickled(resnet, twin_of):
    blocks = cut_graph(resnet, rows_of(20, 30))
    twins = twin_of(blocks)
    values = rows_of(20, 30)
    assert torch.equal(run(twins, values), run(blocks, values))
    assert not {id(p) for b in twins for p in b.parameters()} & {
        id(p) for b in blocks for p in b.parameters()
    }


def test_segments_run_in_float64(resnet):
    blocks = [block.double() for block in cut_graph(resnet, rows_of(20, 30))]
    assert run(blocks, rows_of(20, 30).double()).dtype == torch.float64


class ByValue(nn.Module):
    """Its layers' order depends on the values it is given."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 6)
        self.b = nn.Linear(6, 6)

    def forward(self, x):
        return self.b(self.a(x)) if x.sum() > 0 else self.a(self.b(x))


def test_control_flow_on_values_cannot_be_cut():
    with pytest.raises(CannotCut, match="cannot be traced"):
        cut_graph(ByValue().eval(), rows_of(6))


class Around(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.middle = ByValue()
        self.last = nn.Linear(6, 2)

    def forward(self, x):
        return self.last(torch.relu(self.middle(self.first(x))))


def test_control_flow_inside_a_child_keeps_the_child_whole():
    module = Around().eval()
    blocks = cut_graph(module, rows_of(6))
    assert len(blocks) == 3
    assert torch.equal(run(blocks, rows_of(6)), module(rows_of(6)))


class Mixed(nn.Module):
    """A learned mixture of layers: every layer's output is needed at the end."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))
        self.mix = nn.Parameter(torch.rand(3))
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        weights = self.mix.softmax(0)
        kept = []
        for layer in self.layers:
            x = torch.tanh(layer(x))
            kept.append(x)
        x = sum(weights[i] * value for i, value in enumerate(kept))
        return self.head(x)


def test_a_weighted_sum_of_layers_is_cut_only_around_it():
    module = Mixed().eval()
    blocks = cut_graph(module, rows_of(6))
    held = [{name for name, _ in block.named_parameters()} for block in blocks]
    first, middle, last = held
    assert first == {"layers.0.weight", "layers.0.bias"}
    assert {"layers.1.weight", "layers.2.weight", "mix"} < middle
    assert last == {"head.weight", "head.bias"}
    assert torch.equal(run(blocks, rows_of(6)), module(rows_of(6)))


class Sized(nn.Module):
    """Passes a size across what would be a cut."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 6)
        self.b = nn.Linear(6, 6)

    def forward(self, x):
        n, t, d = x.shape
        x = self.a(x.reshape(n * t, d))
        return self.b(x).reshape(n, t * d)


def test_a_size_that_is_needed_later_forbids_the_cut():
    module = Sized().eval()
    blocks = cut_graph(module, rows_of(4, 6))
    assert len(blocks) == 1
    assert torch.equal(run(blocks, rows_of(4, 6)), module(rows_of(4, 6)))


class Pair(nn.Module):
    def forward(self, x):
        return x, x


def test_two_outputs_cannot_be_cut():
    with pytest.raises(CannotCut, match="does not return one tensor"):
        cut_graph(Pair().eval(), rows_of(6))


def test_the_module_is_left_in_eval_mode(resnet):
    cut_graph(resnet, rows_of(20, 30))
    assert not any(module.training for module in resnet.modules())
