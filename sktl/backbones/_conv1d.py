"""Convolutions over time as products of matrices, for clips of several lengths at once."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ._products import linear, prefers_onednn

__all__ = ["can_encode", "conv_rows", "encode", "receptive_field"]

# Samples whose frames are about the largest block that an allocator keeps for the next ones.
AT_ONCE = 2**16
# Windows copied at once, which stay in the cache.
WINDOWS = 512
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def receptive_field(kernels: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """Samples that a frame sees, and from one frame to the next."""
    field, hop = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * hop
        hop *= stride
    return field, hop


def conv_rows(rows: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """``conv1d`` of frames as rows, as many windows as there are strides; not differentiable.

    Windows that reach beyond the last row lack some of their sum.

    Parameters
    ----------
    rows : Tensor of shape (n_windows * stride, channels)
        Contiguous.
    weight : Tensor of shape (n_out, channels, kernel)
    bias : Tensor of shape (n_out,) or None
    stride : int

    Returns
    -------
    Tensor of shape (n_windows, n_out)
    """
    channels = rows.shape[1]
    strides = rows.view(len(rows) // stride, stride * channels)
    taps = weight.transpose(1, 2).flatten(1)
    if prefers_onednn():  # which takes no matrices with gaps
        made = rows.new_empty(len(strides), len(taps))
        for start in range(0, len(strides), WINDOWS):
            windows = _windows(strides[start:], taps.shape[1], WINDOWS)
            made[start : start + WINDOWS] = linear(windows, taps, bias)
        return made
    first, *others = taps.T.split(stride * channels)
    begin = strides[:, : len(first)]
    made = begin @ first if bias is None else torch.addmm(bias, begin, first)
    for shift, part in enumerate(others, start=1):
        made[:-shift].addmm_(strides[shift:, : len(part)], part)
    return made


def _windows(strides: Tensor, width: int, n_most: int) -> Tensor:
    """The first `n_most` rows, each with those after it: `width` numbers, zeros after the last."""
    n, step = min(n_most, len(strides)), strides.shape[1]
    windows = strides.new_zeros(n, width)
    for shift in range(-(-width // step)):
        part = strides[shift : shift + n, : width - shift * step]
        windows[: len(part), shift * step : (shift + 1) * step] = part
    return windows


def encode(layers: Sequence[Any], groups: Sequence[Tensor]) -> list[Tensor]:
    """Frames (n_i, n_frames_i, width) that `layers` make of clips (n_i, n_samples_i).

    What the layers may be, `can_encode` says.
    """
    convs = [layer.conv for layer in layers]
    field, hop = receptive_field(
        [conv.kernel_size[0] for conv in convs], [conv.stride[0] for conv in convs]
    )
    pieces = [
        piece for group in groups for clip in group for piece in _cut(layers[0], clip, field, hop)
    ]
    made = [groups[0].new_empty(0, convs[-1].out_channels)]
    made += [_encode(layers, part) for part in _parts(pieces)]
    counts = [1 + (group.shape[1] - field) // hop for group in groups]
    sizes = [len(group) * count for group, count in zip(groups, counts, strict=True)]
    return [
        rows.view(len(group), count, rows.shape[1])
        for rows, group, count in zip(torch.cat(made).split(sizes), groups, counts, strict=True)
    ]


def can_encode(layers: Sequence[Any], groups: Sequence[Tensor]) -> bool:
    """Whether `encode` gives what `layers` do, one after another, and nothing else is asked.

    They are a convolution, a normalisation or none, and an activation each, as transformers'
    feature encoders have them; on a CPU, and nothing is recorded for gradients.
    """
    tensors = [*groups, *(p for layer in layers for p in layer.parameters())]
    trained = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    plain = all(t.is_cpu and t.dtype in (torch.float32, torch.float64) for t in tensors)
    if trained or not plain or torch.is_autocast_enabled("cpu"):
        return False
    first, *others = layers
    return (
        all(map(_is_known, layers))
        and first.conv.in_channels == 1
        and not any(map(_is_normed_over_time, others))
    )


def _is_known(layer: Any) -> bool:
    parts = dict(layer.named_children())
    conv, norm = parts.get("conv"), parts.get("layer_norm")
    if parts.keys() - {"layer_norm"} != {"conv", "activation"} or type(conv) is not nn.Conv1d:
        return False
    each_channel = type(norm) is nn.GroupNorm and norm.num_groups == norm.num_channels
    return (
        (norm is None or each_channel or type(norm) is nn.LayerNorm)
        and (conv.padding, conv.dilation, conv.groups) == ((0,), (1,), 1)
        and not any(getattr(module, name) for module in layer.modules() for name in HOOKS)
    )


def _is_normed_over_time(layer: Any) -> bool:
    return isinstance(getattr(layer, "layer_norm", None), nn.GroupNorm)


class _Piece(NamedTuple):
    """Samples of a clip, and what the first layer makes of a window: weight.T (window - mean)."""

    samples: Tensor
    mean: Tensor
    weight: Tensor
    bias: Tensor | None


def _cut(layer: Any, clip: Tensor, field: int, hop: int) -> Iterator[_Piece]:
    """Pieces whose frames, one after another, are those of the clip."""
    linear = _linear(layer, clip)
    n_frames, most = 1 + (len(clip) - field) // hop, max(1, AT_ONCE // hop)
    for start in range(0, n_frames, most):
        n = min(most, n_frames - start)
        yield _Piece(clip[start * hop :][: (n - 1) * hop + field], *linear)


def _parts(pieces: list[_Piece]) -> Iterator[list[_Piece]]:
    """As many at once as there is room for."""
    part: list[_Piece] = []
    n_samples = 0
    for piece in pieces:
        if part and n_samples + len(piece.samples) > AT_ONCE:
            yield part
            part, n_samples = [], 0
        part.append(piece)
        n_samples += len(piece.samples)
    if part:
        yield part


def _encode(layers: Sequence[Any], pieces: list[_Piece]) -> Tensor:
    """Frames of all pieces (n_frames, width).

    They lie end to end in one matrix; windows that reach from one into the next are computed and
    left out.
    """
    first, *others = layers
    counts = [_n_windows(first.conv, len(piece.samples)) for piece in pieces]
    # A piece begins where windows of every further layer do.
    hop = math.prod(layer.conv.stride[0] for layer in others)
    hops = [-(-count // hop) for count in counts]
    rows = pieces[0].samples.new_empty(sum(hops) * hop, first.conv.out_channels)
    parts = rows.split([n * hop for n in hops])
    for piece, own, count in zip(pieces, parts, counts, strict=True):
        _first_layer(first, piece, own[:count])
        own[count:] = 0.0
    rows = first.activation(_normed_by_frame(first, rows))
    for layer in others:
        conv = layer.conv
        rows = conv_rows(rows, conv.weight, conv.bias, conv.stride[0])
        rows = layer.activation(_normed_by_frame(layer, rows))
        counts = [_n_windows(conv, count) for count in counts]
    return torch.cat([own[:count] for own, count in zip(rows.split(hops), counts, strict=True)])


def _n_windows(conv: nn.Conv1d, n_frames: int) -> int:
    return 1 + (n_frames - conv.kernel_size[0]) // conv.stride[0]


def _normed_by_frame(layer: Any, rows: Tensor) -> Tensor:
    norm = getattr(layer, "layer_norm", None)
    return norm(rows) if isinstance(norm, nn.LayerNorm) else rows


def _first_layer(layer: Any, piece: _Piece, out: Tensor) -> None:
    windows = piece.samples.unfold(0, layer.conv.kernel_size[0], layer.conv.stride[0])
    torch.mm((windows - piece.mean).to(out.dtype), piece.weight, out=out)
    if piece.bias is not None:
        out += piece.bias


def _linear(layer: Any, clip: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """Mean in float64, weight (kernel, width) and bias of the first layer for a clip.

    Where it normalises over time, its values' variance is that of the windows, weighted.
    """
    conv = layer.conv
    weight = conv.weight[:, 0].T
    if not _is_normed_over_time(layer):
        return weight.new_zeros(len(weight), dtype=torch.float64), weight, conv.bias
    norm = layer.layer_norm
    windows = clip.unfold(0, conv.kernel_size[0], conv.stride[0]).double()
    mean = windows.mean(0)
    windows = windows - mean
    taps = weight.double()
    variance = (taps * (windows.T @ windows @ taps)).sum(0) / len(windows)
    taps = taps / (variance + norm.eps).sqrt()
    taps = taps if norm.weight is None else taps * norm.weight
    return mean, taps.to(weight.dtype), norm.bias
