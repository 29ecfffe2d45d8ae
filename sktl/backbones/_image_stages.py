"""Image classification networks cut into stages, without their heads."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["AUXILIARY", "HEADS", "Stages", "cut_stages"]

# Of the red, green and blue of ImageNet's pictures.
PIXEL_MEAN, PIXEL_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Children that only training on ImageNet needs.
AUXILIARY = ("AuxLogits", "aux1", "aux2")
# Children whose own children are run one after another.
CONTAINERS = ("features", "layers", "trunk_output")
HEADS = ("classifier", "fc")
POOLINGS = (nn.AvgPool2d, nn.MaxPool2d)
FAMILIES = (
    "AlexNet, ConvNeXt, DenseNet, EfficientNet, GoogLeNet, Inception v3, MNASNet, MobileNet, "
    "RegNet, ResNet, ResNeXt, ShuffleNet, SqueezeNet, VGG or Wide ResNet"
)
# Inception v3 takes no smaller images than 75 × 75.
EXAMPLE_SHAPE = (1, 3, 96, 96)


class Stages(NamedTuple):
    """A network without its head."""

    blocks: list[nn.Module]
    """Run in order, from normalised images (n, 3, height, width)."""
    pool: nn.Module
    """From the last block's output to the embedding; nothing in it learns."""
    embedding_size: int


class _FromImageNet(nn.Module):
    """Images normalised with ImageNet's statistics → values in [-1, 1]."""

    scale: Tensor
    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (PIXEL_MEAN, PIXEL_STD))
        self.register_buffer("scale", std / 0.5, persistent=False)
        self.register_buffer("shift", (mean - 0.5) / 0.5, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return images * self.scale + self.shift


@torch.no_grad()
def cut_stages(model: nn.Module, name: str) -> Stages:
    """Cut a network with the children of torchvision's.

    Parameters
    ----------
    model : nn.Module
        Its last layer, a linear map or a convolution of size 1, is the head.
    name : str
        For the message.

    Returns
    -------
    Stages
        The layers of `model` itself. In eval mode they compute what its head is given.

    Raises
    ------
    ValueError
        If they do not: the network is of another family.
    """
    model.eval()
    refusal = (
        f"{name} is none of the networks that can be cut into stages and a head; give one of the "
        f"families {FAMILIES}."
    )
    children = {key: child for key, child in model.named_children() if key not in AUXILIARY}
    top = next((children.pop(key) for key in HEADS if key in children), None)
    last_layers = list(top.children()) or [top] if top is not None else []
    learning = [place for place, layer in enumerate(last_layers) if _learns(layer)]
    if not learning or not any(map(_learns, children.values())):
        raise ValueError(refusal)
    hidden, head = last_layers[: learning[-1]], last_layers[learning[-1]]
    after: list[nn.Module] = []
    while not _learns(children[last := next(reversed(children))]):
        after.insert(0, children.pop(last))
    stages = _stages(children)
    if getattr(model, "transform_input", False):
        stages[0] = nn.Sequential(_FromImageNet(), stages[0])
    images = torch.randn(EXAMPLE_SHAPE, generator=torch.Generator().manual_seed(0))
    try:
        expected = _input_of(head, model, images)
        reached = nn.Sequential(*stages)(images)
    except Exception as error:
        raise ValueError(refusal) from error
    for link in _links(after):
        upper, pool = _dense(link, hidden)
        if _gives(nn.Sequential(*upper, pool), reached, expected):
            return Stages([*stages, *upper], pool, expected.shape[1])
    raise ValueError(refusal)


def _stages(children: dict[str, nn.Module]) -> list[nn.Module]:
    """Join single layers up to a pooling; a child that has children is a stage."""
    layers = [
        layer
        for name, child in children.items()
        for layer in (child.children() if name in CONTAINERS else [child])
    ]
    groups: list[list[nn.Module]] = []
    is_open = False
    for layer in layers:
        is_single = not any(True for _ in layer.children())
        if groups and (not _learns(layer) or (is_single and is_open)):
            groups[-1].append(layer)
        else:
            groups.append([layer])
        is_open = is_single and not isinstance(layer, POOLINGS)
    return [_joined(group) for group in groups]


def _links(after: list[nn.Module]) -> Iterator[list[nn.Module]]:
    """What may lie between stages and head, parts of which only the code of `forward` tells."""
    average = after or [nn.AdaptiveAvgPool2d(1)]
    for activation in ([], [nn.ReLU()]):
        for shape in ([nn.Flatten()], []):
            yield [*activation, *average, *shape]


def _dense(link: list[nn.Module], hidden: list[nn.Module]) -> tuple[list[nn.Module], nn.Module]:
    """A block for each hidden layer; what lies above the last block."""
    groups = [[*link]]
    for layer in hidden:
        if _learns(layer) and any(map(_learns, groups[-1])):
            groups.append([])
        groups[-1].append(layer)
    if any(map(_learns, groups[0])):
        return [_joined(group) for group in groups], nn.Identity()
    return [], _joined(groups[0])


def _input_of(head: nn.Module, model: nn.Module, images: Tensor) -> Tensor:
    """What the head is given, averaged over positions."""
    seen: list[Tensor] = []
    handle = head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        model(images)
    finally:
        handle.remove()
    return seen[0].mean((2, 3)) if seen[0].ndim == 4 else seen[0]


def _gives(layers: nn.Module, images: Tensor, expected: Tensor) -> bool:
    layers.eval()
    try:
        values = layers(images.clone())
    except Exception:
        return False
    scale = float(expected.abs().max())
    return values.shape == expected.shape and torch.allclose(
        values, expected, rtol=1e-4, atol=1e-5 * scale
    )


def _learns(layer: nn.Module) -> bool:
    return any(True for _ in layer.parameters())


def _joined(layers: list[nn.Module]) -> nn.Module:
    return layers[0] if len(layers) == 1 else nn.Sequential(*layers)
