"""Statistics of batch normalisation: kept, updated in training, or estimated again afterwards."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from ..backbones import Backbone, Ragged, Units
from ..backbones._units import Values, over_groups
from ._module import TransferModule

__all__ = [
    "BATCH_NORM",
    "adapt_from_source",
    "adapt_statistics",
    "hold_statistics",
    "in_batches",
    "set_batch_norm",
    "updated_layers",
]

BATCH_NORM = ("auto", "frozen", "update", "adapt")
# Values of the input that a batch holds at most; activations take some ten times as many.
BATCH_VALUES = 2**20


def set_batch_norm(body: Backbone, mode: str) -> None:
    """Choose what training does to the statistics of batch normalisation.

    Parameters
    ----------
    body : Backbone
        Its `fixed_statistics` is set.
    mode : {"auto", "frozen", "update", "adapt"}
        Leave it to the backbone; keep them; move them with every batch; or keep them in training,
        after which :func:`adapt_statistics` estimates them again.
    """
    if mode not in BATCH_NORM:
        raise ValueError(
            f"batch_norm={mode!r} is unknown; give one of {', '.join(map(repr, BATCH_NORM))}."
        )
    if mode != "auto":
        body.fixed_statistics = mode != "update"
        body.train(body.training)


def updated_layers(module: TransferModule) -> list[_BatchNorm]:
    """Layers whose statistics move in training, the head's among them."""
    parts: list[Any] = [module.head]
    if not module.body.fixed_statistics:
        parts += module.body.blocks[module.n_frozen :]
    return [layer for part in parts for layer in part.modules() if _has_statistics(layer)]


def in_batches(units: Units, n_values: int = BATCH_VALUES) -> Iterator[Units]:
    """Rows in order, in batches that are as equal as can be, of about `n_values` numbers."""
    groups = units.values.groups if isinstance(units.values, Ragged) else (units.values,)
    total = sum(group.numel() for group in groups)
    n_batches = max(1, min(len(units), -(-total // n_values)))
    index = torch.arange(len(units), device=units.values.device)
    for part in index.tensor_split(n_batches):
        yield units.take(part)


@torch.no_grad()
def adapt_statistics(
    module: TransferModule,
    parts: Iterable[Units],
    start: int = 0,
    layers: Collection[_BatchNorm] | None = None,
) -> None:
    """Estimate the statistics of batch normalisation again, on the rows given (AdaBN).

    Y. Li et al., "Revisiting batch normalization for practical domain adaptation", ICLR 2017
    workshops: mean and variance of every neuron over all rows of the target domain replace those
    of training. Rows pass the network once, in batches. Within a batch each
    layer normalises by the batch's own mean and variance, as in training and in
    :func:`torch.optim.swa_utils.update_bn`; what the batches have seen is then put together as
    the mean and the variance over all of them, which `update_bn` only averages. So the figures
    are those of all rows at once for the first layer whatever the batches are, and for every
    layer where there is one batch; else a later layer sees rows normalised by their batch instead
    of by all.

    Dropout is off, no generator is drawn from, and all units count alike, whatever the weights of
    their rows. Layers that these rows do not pass (those before `start`, a discriminator's) keep
    what they have.

    Parameters
    ----------
    module : TransferModule
        Its frozen blocks take part as the others do.
    parts : iterable of Units
        Rows that have passed ``blocks[:start]``, such as :func:`in_batches` yields.
    start : int, default=0
        Depth that they have passed.
    layers : collection of layers, default=None
        Those to estimate; None for all of the body and the head.

    Raises
    ------
    ValueError
        If a layer sees fewer than two values of a neuron, which have no variance.
    """
    body, head = module.body, module.head
    found = (layer for part in (body, head) for layer in part.modules() if _has_statistics(layer))
    chosen: Any = list(dict.fromkeys(found)) if layers is None else list(layers)
    if not chosen:
        return
    seen = _moments(module, parts, start, chosen, by_batch=True)
    few = [moments.count for moments in seen.values() if moments.count == 1]
    if few:
        raise ValueError(
            "Batch normalisation has seen one value of a neuron, which has no variance; give two "
            "rows or more, or batch_norm='frozen'."
        )
    for layer, moments in seen.items():
        if moments.count:
            layer.running_mean.copy_(moments.mean)
            layer.running_var.copy_(moments.squares / (moments.count - 1))


@torch.no_grad()
def adapt_from_source(
    module: TransferModule, source: Iterable[Units], target: Iterable[Units]
) -> None:
    """Give the target's activations the statistics that the source's have, layer by layer.

    AdaBN (see :func:`adapt_statistics`) for networks that were not normalised by the statistics of
    the source: those that keep the ones they were pretrained with, or of which these were folded
    into the weights. Values become (x - m_T) s_S / s_T + m_S before the layer does with them
    what it did, which is AdaBN where the layer's own statistics are m_S and s_S. Only mean and
    variance of a layer change.

    Parameters
    ----------
    module : TransferModule
        Layers without scale and shift are adapted by the plain rule.
    source, target : iterable of Units
        Rows, such as :func:`in_batches` yields.
    """
    layers = _scaled_layers(module)
    before = [[value.clone() for value in _state(layer)] for layer in layers]
    hold_statistics(module, source)
    held = [(layer.running_mean.clone(), layer.running_var.clone()) for layer in layers]
    adapt_statistics(module, target)
    for layer, old, (mean, variance) in zip(layers, before, held, strict=True):
        ratio = ((layer.running_var + layer.eps) / (variance + layer.eps)).sqrt()
        weight, bias, old_mean, old_variance = old
        layer.running_mean.sub_((mean - old_mean) * ratio)
        layer.running_var.copy_((old_variance + layer.eps) * ratio.square() - layer.eps)
        layer.running_var.clamp_(min=0)
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)


def _scaled_layers(module: TransferModule) -> list[Any]:
    layers: Any = module.modules()
    return [layer for layer in layers if _has_statistics(layer) and layer.affine]


def _state(layer: Any) -> tuple[Tensor, ...]:
    return layer.weight, layer.bias, layer.running_mean, layer.running_var


@torch.no_grad()
def hold_statistics(module: TransferModule, parts: Iterable[Units]) -> None:
    """Make the stored statistics those of the rows given, without changing what a layer returns.

    Scale and shift of a layer are changed to make up for its new mean and variance.

    Parameters
    ----------
    module : TransferModule
        Its layers without scale and shift are left as they are.
    parts : iterable of Units
        Rows, such as :func:`in_batches` yields.
    """
    layers = _scaled_layers(module)
    for layer, moments in _moments(module, parts, 0, layers, by_batch=False).items():
        if moments.count > 1:
            mean = moments.mean.to(layer.running_mean.dtype)
            variance = (moments.squares / (moments.count - 1)).to(layer.running_var.dtype)
            factor = layer.weight * (layer.running_var + layer.eps).rsqrt()
            layer.bias.add_(factor * (mean - layer.running_mean))
            layer.weight.copy_(factor * (variance + layer.eps).sqrt())
            layer.running_mean.copy_(mean)
            layer.running_var.copy_(variance)


def _moments(
    module: TransferModule,
    parts: Iterable[Units],
    start: int,
    layers: Collection[Any],
    by_batch: bool,
) -> dict[Any, "_Moments"]:
    """What layers see in one pass, each normalising by the batch or by what it has stored."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    seen = {layer: _Moments() for layer in layers}
    try:
        with _recording(seen, by_batch):
            for units in parts:
                _pass(module, units, start)
    finally:
        for part, mode in modes.items():
            part.training = mode
    return seen


class _Moments:
    """Mean and sum of squared deviations, in float64, of batch after batch.

    Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
    variances", COMPSTAT 1982.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: Any = 0.0
        self.squares: Any = 0.0

    def add(self, count: int, mean: Tensor, variance: Tensor) -> None:
        """Take in `count` values of that mean and that variance over `count`."""
        total = self.count + count
        shift = mean.double() - self.mean
        self.squares = self.squares + variance.double() * count
        self.squares = self.squares + shift.square() * (self.count * count / total)
        self.mean = self.mean + shift * (count / total)
        self.count = total


@contextmanager
def _recording(seen: dict[Any, _Moments], by_batch: bool) -> Iterator[None]:
    """Note each batch's mean and variance, and with `by_batch` normalise by them.

    A hook on the output: a layer that has one is not joined with the convolution before it.
    """

    def normalise(layer: Any, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        values = inputs[0]
        count = values.numel() // values.shape[1]
        if not count:
            return output
        axes = [axis for axis in range(values.ndim) if axis != 1]
        variance, mean = torch.var_mean(values.to(layer.running_mean.dtype), axes, correction=0)
        seen[layer].add(count, mean, variance)
        if not by_batch:
            return output
        weights = (layer.weight, layer.bias)
        return functional.batch_norm(values, mean, variance, *weights, eps=layer.eps)

    hooks = [layer.register_forward_hook(normalise) for layer in seen]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _pass(module: TransferModule, units: Units, start: int) -> None:
    """Rows through body and head, as they are: padding rows would count."""
    values: Values = module.input_scaler(units.values) if start == 0 else units.values
    # Backbone.run_blocks may take a few images at a time, which would make other batches.
    for block in module.body.blocks[start:]:
        values = values.map(block) if isinstance(values, Ragged) else block(values)
    pooled = Units(over_groups(module.body.pool, values), units.offsets).mean()
    module.head(module.embedding_scaler(pooled))


def _has_statistics(layer: Any) -> bool:
    return isinstance(layer, _BatchNorm) and layer.running_mean is not None
