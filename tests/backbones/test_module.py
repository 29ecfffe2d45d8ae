"""A user's own module as a backbone."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import weight_norm

from sktl.backbones import Backbone, InputSpec, fingerprint, make_backbone
from sktl.backbones._module import reinitialize


def rows_of(*shape, n=4):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(0))


def normed():
    with pytest.warns(FutureWarning, match="weight_norm"):
        return nn.Sequential(weight_norm(nn.Linear(6, 4)), nn.ReLU())


def chain():
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))


def test_it_computes_what_the_module_computes():
    module = chain().eval()
    body = make_backbone(module, row_shape=(6,)).eval()
    assert isinstance(body, Backbone)
    assert body.embedding_size == 3
    assert body.cuttable
    assert torch.equal(body(rows_of(6)), module(rows_of(6)))


def test_the_module_is_left_alone():
    module = chain()
    module[0].eval()
    before = fingerprint(module), [part.training for part in module.modules()]
    body = make_backbone(module, row_shape=(6,), dtype=torch.float64)
    for value in body.parameters():
        nn.init.zeros_(value)
    assert (fingerprint(module), [part.training for part in module.modules()]) == before
    assert module[0].weight.dtype == torch.float32


def test_statistics_and_the_generator_are_left_as_they_were():
    module = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Dropout(), nn.Linear(5, 3))
    before = torch.get_rng_state()
    body = make_backbone(module, row_shape=(6,))
    assert torch.equal(torch.get_rng_state(), before)
    assert int(body.blocks[1].num_batches_tracked) == 0


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))])
def test_copies_and_pickles(twin_of):
    body = make_backbone(chain(), row_shape=(6,)).eval()
    assert torch.equal(twin_of(body)(rows_of(6)), body(rows_of(6)))


def test_prefix_then_suffix_at_every_depth():
    module = chain().eval()
    body = make_backbone(module, row_shape=(6,)).eval()
    for depth in range(len(body.blocks) + 1):
        prefix = body.run_blocks(rows_of(6), stop=depth)
        assert torch.equal(body(prefix, start=depth), module(rows_of(6)))


class ByValue(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 6)

    def forward(self, x):
        return self.a(x) if x.sum() > 0 else x


def test_a_module_that_cannot_be_cut_is_one_block_and_says_why():
    body = make_backbone(ByValue(), row_shape=(6,))
    assert len(body.blocks) == 1
    assert not body.cuttable
    assert body.uncut_reason.startswith("its forward cannot be traced")


def test_output_of_several_axes_is_flattened():
    body = make_backbone(nn.Sequential(nn.Conv1d(2, 4, 3)), row_shape=(2, 10))
    assert body.embedding_size == 32
    assert body(rows_of(2, 10)).shape == (4, 32)


def test_rows_are_arrays_of_any_shape_unless_the_module_says_otherwise():
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    assert make_backbone(module, row_shape=(3, 4)).input_spec == InputSpec("features")
    module.input_spec = InputSpec("spectrogram")
    assert make_backbone(module, row_shape=(3, 4)).input_spec.kind == "spectrogram"


class OnClips(nn.Module):
    input_spec = InputSpec("waveform", sr=8000, min_samples=100)

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 4, 9)

    def forward(self, clips):
        return self.conv(clips.unsqueeze(1)).mean(2)


@pytest.mark.parametrize("row_shape", [None, (4000,), (1,)])
def test_a_module_on_clips(row_shape):
    module = OnClips()
    body = make_backbone(module, row_shape=row_shape)
    units = body.front_end([torch.ones(500), torch.zeros(500)])
    assert [tuple(unit.shape) for unit in units] == [(1, 500), (1, 500)]
    assert torch.allclose(body(torch.cat(units)), module(torch.cat(units)))


def test_short_clips_are_padded_and_uneven_ones_refused():
    body = make_backbone(OnClips())
    [unit] = body.front_end([torch.ones(3)])
    assert unit.sum() == 3
    assert unit.shape == (1, 100)
    with pytest.raises(ValueError, match=r"Clips of 200 to 300 samples.*front_end"):
        body.front_end([torch.ones(200), torch.ones(300)])


def test_a_backbone_of_ones_own_is_taken_as_it_is():
    class Own(Backbone):
        input_spec = InputSpec("features")
        embedding_size = 2

        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList([nn.Linear(6, 2)])

    own = Own()
    body = make_backbone(own)
    assert type(body) is Own
    assert body is not own


def test_old_weight_norm_is_copied_by_other_means():
    module = normed()
    body = make_backbone(module, row_shape=(6,))
    assert torch.allclose(body(rows_of(6)), module(rows_of(6)))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Linear(7, 2), r"Linear does not take rows of shape \(6,\): mat1 and mat2"),
        (nn.GRU(6, 2), "GRU returns tuple; it must return one tensor"),
        (nn.Flatten(0), r"Flatten returns a tensor of shape \(18,\) for 3 rows"),
    ],
)
def test_modules_that_do_not_fit(module, message):
    with pytest.raises(ValueError, match=message):
        make_backbone(module, row_shape=(6,))


def test_an_unknown_row_shape_says_what_to_give():
    with pytest.raises(ValueError, match=r"Linear takes arrays.*input_spec"):
        make_backbone(nn.Linear(6, 2))


def test_reinitialize_draws_every_layer_anew():
    module = chain()
    module[1].running_mean.add_(3)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    reinitialize(module)
    after = module.state_dict()
    assert not torch.equal(after["0.weight"], before["0.weight"])
    assert not torch.equal(after["3.bias"], before["3.bias"])
    assert torch.equal(after["1.running_mean"], torch.zeros(5))


class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.rand(6))

    def forward(self, x):
        return x * self.scale


@pytest.mark.parametrize(("make", "name"), [(Bare, "scale"), (normed, "weight_")])
def test_reinitialize_refuses_what_it_cannot_draw(make, name):
    with pytest.raises(ValueError, match=f"weights=None asks for random weights.*{name}"):
        reinitialize(make())
