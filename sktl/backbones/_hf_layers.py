"""Layers of transformers as blocks: one tensor in, one out, and all of them can be pickled."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = [
    "Adapter",
    "AttentionWithin",
    "LastLayer",
    "NormedConvolution",
    "TransformerLayer",
    "WavLMLayer",
    "only_states",
]

# A grouped convolution with channels last takes half as long, and 10 ms once for its shape.
COMPILED_FRAMES = 200


def only_states(output: Any) -> Tensor:
    """Hidden states, of a layer that returns something beside them or does not."""
    return output[0] if isinstance(output, tuple) else output


class TransformerLayer(nn.Module):
    """A layer that sees all of (n, n_frames, width), but for padding.

    That is where `is_frame`, (n, 1, 1, n_frames), is False; without it, nothing is.

    Parameters
    ----------
    layer : nn.Module
    *masks : None
        As many as it has to be given.
    """

    def __init__(self, layer: nn.Module, *masks: None) -> None:
        super().__init__()
        self.layer = layer
        self.masks = masks

    def forward(self, states: Tensor, is_frame: Tensor | None = None) -> Tensor:
        masks = self.masks if is_frame is None else (is_frame,)
        return only_states(self.layer(states, *masks))


class LastLayer(nn.Sequential):
    """A layer, then what follows it frame by frame."""

    def forward(self, states: Tensor, is_frame: Tensor | None = None) -> Tensor:
        layer, *others = self
        states = layer(states) if is_frame is None else layer(states, is_frame)
        for module in others:
            states = module(states)
        return states


class AttentionWithin(TorchFunctionMode):
    """Context in which layers see clips that lie end to end in (1, n_frames, width), each alone.

    Of all that layers do, only ``scaled_dot_product_attention`` connects frames.

    Parameters
    ----------
    counts : list of int
        Frames of each clip.
    """

    def __init__(self, counts: list[int]) -> None:
        super().__init__()
        self.counts = counts

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if function is not functional.scaled_dot_product_attention:
            return function(*args, **kwargs)
        alone = zip(*(values.split(self.counts, dim=2) for values in args), strict=True)
        return torch.cat([function(*own, **kwargs) for own in alone], dim=2)


class WavLMLayer(nn.Module):
    """A layer whose attention is biased by distance.

    The first layer of the network holds the table of biases of all. It stays that layer's alone,
    so that it is frozen and trained with it; the others look it up again.
    """

    def __init__(self, layer: nn.Module, first: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        # In a tuple it is no submodule of this block.
        self._first = (first,)

    def forward(self, states: Tensor) -> Tensor:
        n, n_frames = states.shape[:2]
        first: Any = self._first[0]
        bias = first.attention.compute_bias(n_frames, n_frames)
        return only_states(self.layer(states, position_bias=bias.repeat(n, 1, 1)))


class NormedConvolution(nn.Module):
    """A 1-D convolution of normed weights, as a module that can be copied and pickled.

    Parameters
    ----------
    convolution : nn.Conv1d
        After ``torch.nn.utils.parametrizations.weight_norm(dim=2)``.
    """

    def __init__(self, convolution: Any) -> None:
        super().__init__()
        weight = convolution.parametrizations.weight
        self.scale = nn.Parameter(weight.original0.detach().clone())
        self.direction = nn.Parameter(weight.original1.detach().clone())
        self.bias = nn.Parameter(convolution.bias.detach().clone())
        self.padding = int(convolution.padding[0])
        self.groups = int(convolution.groups)

    def forward(self, states: Tensor) -> Tensor:
        # Taps further away than there are frames meet nothing but padding.
        n_idle = max(0, self.padding - states.shape[2])
        reached = slice(n_idle, self.direction.shape[2] - n_idle)
        direction, scale = self.direction[..., reached], self.scale[..., reached]
        # torch.linalg.vector_norm() takes ten times as long.
        length = direction.square().sum((0, 1), keepdim=True).sqrt()
        weight = direction * (scale / length)
        padding = self.padding - n_idle
        if not _repays_compiling(states):
            return functional.conv1d(states, weight, self.bias, padding=padding, groups=self.groups)
        images = states.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        return functional.conv2d(
            images, weight.unsqueeze(2), self.bias, padding=(0, padding), groups=self.groups
        ).squeeze(2)


def _repays_compiling(states: Tensor) -> bool:
    """Whether channels last are faster, which a CPU compiles for every shape it meets."""
    n_frames = states.shape[0] * states.shape[2]
    return states.is_cpu and states.dtype == torch.float32 and n_frames >= COMPILED_FRAMES


class Adapter(nn.Module):
    """Convolutions over time after the last layer, none of them left out at random."""

    def __init__(self, adapter: Any) -> None:
        super().__init__()
        narrow = [] if adapter.proj is None else [adapter.proj, adapter.proj_layer_norm]
        self.narrow = nn.Sequential(*narrow)
        self.convolutions = nn.Sequential(*adapter.layers)

    def forward(self, states: Tensor) -> Tensor:
        return self.convolutions(self.narrow(states).transpose(1, 2)).transpose(1, 2)
