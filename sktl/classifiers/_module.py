"""The network a classifier trains: scaled input, body, scaled embedding, head."""

from collections.abc import Collection, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from ..backbones import Backbone, Units
from ..backbones._lora import freeze_adapted
from ..backbones._units import Values
from ..embedding._rows import run_padded

__all__ = ["Scaler", "TransferModule", "make_discriminator", "moments"]


# In double precision at once.
ROWS = 256


class Scaler(nn.Module):
    """Fixed affine standardisation, identity until `fill` is called."""

    mean: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))

    def fill(self, mean: np.ndarray, scale: np.ndarray) -> None:
        """Take the statistics to standardise with."""
        self.mean.copy_(torch.as_tensor(mean))
        self.scale.copy_(torch.as_tensor(scale))

    def forward(self, values: Tensor) -> Tensor:
        """Standardise `values`."""
        return (values - self.mean).div_(self.scale)


def moments(
    values: np.ndarray, weight: np.ndarray, axes: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and standard deviation over rows and `axes`; constant → scale 1."""
    share = weight.astype(np.float64) / weight.sum()
    parts = [slice(start, start + ROWS) for start in range(0, len(values), ROWS)]
    sums = [np.tensordot(share[p], values[p].astype(np.float64), 1) for p in parts]
    mean = np.sum(sums, axis=0, keepdims=True)
    if axes:
        mean = mean.mean(axis=axes, keepdims=True)
    sums = [np.tensordot(share[p], np.square(values[p] - mean), 1) for p in parts]
    variance = np.sum(sums, axis=0, keepdims=True)
    if axes:
        variance = variance.mean(axis=axes, keepdims=True)
    scale = np.sqrt(variance)
    tiny = 10 * np.finfo(np.float32).eps * np.abs(mean)
    scale[(scale <= tiny) | (scale == 0)] = 1.0
    return mean[0], scale[0]


def make_discriminator(n_inputs: int, hidden: tuple[int, ...], n_outputs: int = 1) -> nn.Module:
    """Domain classifier with one logit, positive for target; or another adversary."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(n_inputs, width), nn.ReLU()]
        n_inputs = width
    return nn.Sequential(*layers, nn.Linear(n_inputs, n_outputs))


class TransferModule(nn.Module):
    """Backbone and head, of which the first `n_frozen` blocks do not move.

    Parameters
    ----------
    body : Backbone
        Network body.
    head : Module
        From the embedding to one logit per class.
    scaler_shape : tuple of int or None
        Shape of the input statistics; None leaves the input as it is.
    scale_embedding : bool
        Whether the head sees a standardised embedding.
    discriminator : Module, default=None
        Domain classifier, trained along with the rest.
    rival : Module, default=None
        Second classifier of the margin disparity, trained along with the rest.
    """

    def __init__(
        self,
        body: Backbone,
        head: nn.Module,
        scaler_shape: tuple[int, ...] | None,
        scale_embedding: bool,
        discriminator: nn.Module | None = None,
        rival: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.input_scaler = nn.Identity() if scaler_shape is None else Scaler(scaler_shape)
        self.body = body
        self.embedding_scaler = Scaler((body.embedding_size,)) if scale_embedding else nn.Identity()
        self.head = head
        self.discriminator = discriminator
        self.rival = rival
        self.n_frozen = 0
        self.frozen_names: frozenset[str] = frozenset()
        self.scales_input_as_given = False

    def freeze(self, n_frozen: int, names: Collection[str] | None = None) -> None:
        """Stop the first `n_frozen` blocks from learning; the others learn.

        So do not the parameters of the body called `names`; None for the same as before.
        """
        self.n_frozen = n_frozen
        if names is not None:
            self.frozen_names = frozenset(names)
        self.body.requires_grad_(n_frozen < len(self.body.blocks))
        self.body.blocks[:n_frozen].requires_grad_(False)
        freeze_adapted(self.body)
        for name in self.frozen_names:
            self.body.get_parameter(name).requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> "TransferModule":
        """Switch to training mode, except for what is frozen."""
        super().train(mode)
        frozen = self.body.blocks[: self.n_frozen]
        (self.body if len(frozen) == len(self.body.blocks) else frozen).eval()
        for part in self._frozen_parts():
            part.eval()
        return self

    def _frozen_parts(self) -> Iterator[nn.Module]:
        """Parts of the body of which all parameters are in `frozen_names`."""
        for path, part in self.body.named_modules() if self.frozen_names else ():
            own = [f"{path}.{name}" for name, _ in part.named_parameters()]
            if own and self.frozen_names.issuperset(own):
                yield part

    @property
    def frozen_depth(self) -> int:
        """Depth up to which nothing learns: of blocks, and one more where there is no other."""
        n_blocks = len(self.body.blocks)
        return self.n_frozen if self.n_frozen < n_blocks else n_blocks + 1

    def prefix(self, values: Tensor, stop: int, start: int = 0) -> Tensor:
        """Units of depth `start` at depth `stop`: input scaling, then ``blocks[start:stop]``.

        One more than there are blocks stands for the embedding of units.
        """
        values = self.input_scaler(values) if start == 0 else values
        values = self.body.run_blocks(values, start, stop)
        return self.body.pool(values) if start <= len(self.body.blocks) < stop else values

    def run_frozen(self, values: Tensor, start: int) -> Tensor:
        """What is frozen from depth `start` on, in full precision, as the cache holds it."""
        with torch.autocast(values.device.type, enabled=False):
            return self.prefix(values, self.frozen_depth, start)

    def embed(self, values: Values, offsets: Tensor | None = None, start: int = 0) -> Tensor:
        """Scaled embedding of rows whose units are at depth `start`."""
        if start < self.frozen_depth:
            with torch.no_grad():
                values = run_padded(partial(self.run_frozen, start=start), values)
            start = self.frozen_depth
        elif start == 0:
            values = self.input_scaler(values)
        if start > len(self.body.blocks):
            return self.embedding_scaler(Units(values, offsets).mean())
        return self.embedding_scaler(self.body(values, offsets, start))

    def forward(
        self, values: Values, offsets: Tensor | None = None, start: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Return embedding and logits, one row each."""
        embedding = self.embed(values, offsets, start)
        return embedding, self.head(embedding)

    @torch.no_grad()
    def infer(self, units: Units, start: int = 0) -> tuple[Tensor, Tensor]:
        """As forward, but no row depends on how many others there are."""
        self.eval()

        def embed_units(values: Tensor) -> Tensor:
            depth = max(start, self.frozen_depth)
            values = self.run_frozen(values, start) if start < depth else values
            return self.prefix(values, len(self.body.blocks) + 1, depth)

        pooled = Units(run_padded(embed_units, units.values), units.offsets).mean()
        if pooled.shape[1:] != (self.body.embedding_size,):
            raise ValueError(
                f"{type(self.body).__name__}.embedding_size is {self.body.embedding_size} but its "
                f"embeddings have shape {tuple(pooled.shape[1:])}; set it to the number of values "
                "that `pool` returns for each unit."
            )
        embedding = self.embedding_scaler(pooled)
        return embedding, run_padded(self.head, embedding)
