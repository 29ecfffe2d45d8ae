"""Convolutions as products of matrices against those of torch, clip by clip."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from sktl.backbones._conv1d import can_encode, conv_rows, encode, receptive_field

CLOSE = {torch.float32: {"rtol": 1e-5, "atol": 1e-5}, torch.float64: {"rtol": 0, "atol": 1e-12}}
dtypes = pytest.mark.parametrize("dtype", CLOSE)


@dtypes
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (2, 2), (10, 5), (1, 1), (5, 1), (2, 3)])
@pytest.mark.parametrize("n_windows", [1, 2, 7, 40])
def test_rows_are_convolved_as_frames(kernel, stride, n_windows, bias, dtype):
    rows = torch.randn(n_windows * stride, 6, dtype=dtype)
    weight = torch.randn(4, 6, kernel, dtype=dtype)
    offset = torch.randn(4, dtype=dtype) if bias else None
    found = conv_rows(rows, weight, offset, stride)
    assert found.shape == (n_windows, 4)
    whole = functional.pad(rows, (0, 0, 0, kernel))[: (n_windows - 1) * stride + kernel]
    expected = functional.conv1d(whole.T[None], weight, offset, stride)[0].T
    torch.testing.assert_close(found, expected, **CLOSE[dtype])


class Layer(nn.Module):
    """A convolution, a normalisation and an activation."""

    def __init__(self, n_in, n_out, kernel, stride, norm=None, **options):
        super().__init__()
        self.conv = nn.Conv1d(n_in, n_out, kernel, stride, **options)
        if norm is not None:
            self.layer_norm = norm
        self.activation = nn.GELU()

    def forward(self, states):
        states = self.conv(states)
        if hasattr(self, "layer_norm"):
            by_frame = isinstance(self.layer_norm, nn.LayerNorm)
            states = self.layer_norm(states.mT).mT if by_frame else self.layer_norm(states)
        return self.activation(states)


def group_norm(affine=True):
    norm = nn.GroupNorm(8, 8, affine=affine)
    return randomised(norm) if affine else norm


def randomised(norm):
    nn.init.uniform_(norm.weight, -1, 1)
    nn.init.uniform_(norm.bias, -1, 1)
    return norm


def layers(kind="group", **options):
    """Two strides of 2 after one of 5; the shortest clip has 30 samples."""
    norms = {
        "group": (group_norm(), None, None),
        "group, no scale": (group_norm(affine=False), None, None),
        "layer": [randomised(nn.LayerNorm(8)) for _ in range(3)],
        "none": (None, None, None),
    }[kind]
    made = nn.ModuleList(
        [
            Layer(1, 8, 10, 5, norms[0], **options),
            Layer(8, 8, 3, 2, norms[1], **options),
            Layer(8, 8, 2, 2, norms[2], **options),
        ]
    )
    return made.eval().requires_grad_(False)


def one_by_one(stack, groups):
    made = [group.unsqueeze(1) for group in groups]
    for layer in stack:
        made = [layer(group) for group in made]
    return [group.mT for group in made]


GROUPS = [(1, 30), (2, 1234), (1, 31), (3, 49), (0, 60), (1, 1300), (1, 50)]


@dtypes
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["group", "group, no scale", "layer", "none"])
def test_clips_end_to_end_are_encoded_as_each_alone(kind, bias, dtype):
    stack = layers(kind, bias=bias).to(dtype)
    groups = [torch.randn(*shape, dtype=dtype) for shape in GROUPS]
    assert can_encode(stack, groups)
    for found, expected in zip(encode(stack, groups), one_by_one(stack, groups), strict=True):
        torch.testing.assert_close(found, expected, **CLOSE[dtype])


def test_a_clip_of_silence_or_far_from_zero_is_normalised_as_by_torch():
    stack = layers("group")
    groups = [torch.zeros(1, 200), torch.ones(1, 200), 3.0 + 0.01 * torch.randn(1, 400)]
    exact = one_by_one(stack.double(), [group.double() for group in groups])
    for found, expected in zip(encode(stack.float(), groups), exact, strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("norm", ["group", "layer"])
@pytest.mark.parametrize("family", ["Wav2Vec2", "Hubert", "WavLM"])
@torch.no_grad()
def test_the_feature_encoders_of_transformers_are_known(transformers, family, norm):
    config = getattr(transformers, f"{family}Config")(
        **{"conv_dim": (8,) * 7, "feat_extract_norm": norm, "conv_bias": norm == "layer"},
        **{"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1},
        **{"intermediate_size": 8, "num_conv_pos_embedding_groups": 2},
    )
    extractor = getattr(transformers, f"{family}Model")(config).eval().feature_extractor
    groups = [torch.randn(1, 400), torch.randn(2, 16000), torch.randn(1, 5003)]
    assert can_encode(extractor.conv_layers, groups)
    found = encode(extractor.conv_layers, groups)
    for own, group in zip(found, groups, strict=True):
        torch.testing.assert_close(own, extractor(group).mT, rtol=1e-5, atol=1e-5)


def test_long_clips_are_encoded_in_pieces(monkeypatch):
    monkeypatch.setattr("sktl.backbones._conv1d.AT_ONCE", 256)
    stack = layers("group")
    groups = [torch.randn(1, n) for n in (255, 40, 3000, 31, 256, 1277)]
    for found, expected in zip(encode(stack, groups), one_by_one(stack, groups), strict=True):
        torch.testing.assert_close(found, expected, **CLOSE[torch.float32])


def test_of_no_clips_there_are_no_frames():
    [found] = encode(layers(), [torch.zeros(0, 50)])
    assert found.shape == (0, 2, 8)


def test_the_receptive_field_of_the_published_networks_is_25_ms():
    assert receptive_field((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)) == (400, 320)


def test_what_is_trained_is_not_taken_unless_nothing_is_recorded():
    stack, clip = layers(), torch.randn(1, 100)
    assert not can_encode(stack, [clip.clone().requires_grad_()])
    stack[1].conv.weight.requires_grad_(True)
    assert not can_encode(stack, [clip])
    with torch.no_grad():
        assert can_encode(stack, [clip])


@pytest.mark.parametrize("part", ["conv", "layer_norm", "activation", None])
@pytest.mark.parametrize("kind", ["forward", "forward_pre", "full_backward"])
def test_hooks_are_left_to_run(part, kind):
    stack, clip = layers(), torch.randn(1, 100)
    module = stack[0] if part is None else getattr(stack[0], part)
    handle = getattr(module, f"register_{kind}_hook")(lambda *_: None)
    assert not can_encode(stack, [clip])
    handle.remove()
    assert can_encode(stack, [clip])


class OwnConv(nn.Conv1d):
    """May compute anything."""


CHANGES = {
    "padding": lambda stack: stack.append(Layer(8, 8, 3, 1, padding=1)),
    "dilation": lambda stack: stack.append(Layer(8, 8, 3, 1, dilation=2)),
    "groups": lambda stack: stack.append(Layer(8, 8, 3, 1, groups=2)),
    "normalisation over time of a later layer": lambda stack: stack.append(
        Layer(8, 8, 3, 1, group_norm())
    ),
    "channels normalised together": lambda stack: setattr(
        stack[0], "layer_norm", nn.GroupNorm(2, 8)
    ),
    "another normalisation": lambda stack: setattr(stack[0], "layer_norm", nn.BatchNorm1d(8)),
    "another convolution": lambda stack: setattr(stack[1], "conv", OwnConv(8, 8, 3, 2)),
    "another part": lambda stack: setattr(stack[1], "dropout", nn.Dropout()),
    "several channels": lambda stack: stack.insert(0, Layer(2, 1, 3, 1)),
    "half precision": lambda stack: stack.half(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@torch.no_grad()
def test_layers_that_do_something_else_are_not_taken(change):
    stack = layers()
    change(stack)
    assert not can_encode(stack, [torch.randn(1, 100)])


def test_nothing_is_taken_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert not can_encode(layers(), [torch.randn(1, 100)])
