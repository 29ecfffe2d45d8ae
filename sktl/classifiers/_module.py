"""The network a classifier trains: scaled input, body, scaled embedding, head."""

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from ..backbones import Backbone, Units
from ..backbones._units import Values
from ..embedding._rows import run_padded

__all__ = ["Scaler", "TransferModule", "make_discriminator", "make_head", "moments"]


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
        return (values - self.mean) / self.scale


def moments(
    values: np.ndarray, weight: np.ndarray, axes: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and standard deviation over rows and `axes`; constant → scale 1."""
    share = (weight / weight.sum()).reshape(-1, *[1] * (values.ndim - 1))
    values = values.astype(np.float64, copy=False)
    mean = (values * share).sum(axis=0, keepdims=True)
    if axes:
        mean = mean.mean(axis=axes, keepdims=True)
    variance = (np.square(values - mean) * share).sum(axis=0, keepdims=True)
    if axes:
        variance = variance.mean(axis=axes, keepdims=True)
    scale = np.sqrt(variance)
    tiny = 10 * np.finfo(np.float32).eps * np.abs(mean)
    scale[(scale <= tiny) | (scale == 0)] = 1.0
    return mean[0], scale[0]


def make_head(head: str, n_inputs: int, n_outputs: int) -> nn.Module:
    """Classification head: one linear layer, or one hidden layer before it."""
    if head == "linear":
        return nn.Linear(n_inputs, n_outputs)
    hidden = min(256, n_inputs)
    return nn.Sequential(nn.Linear(n_inputs, hidden), nn.ReLU(), nn.Linear(hidden, n_outputs))


def make_discriminator(n_inputs: int, hidden: tuple[int, ...]) -> nn.Module:
    """Domain classifier with one logit, positive for target."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(n_inputs, width), nn.ReLU()]
        n_inputs = width
    return nn.Sequential(*layers, nn.Linear(n_inputs, 1))


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
    """

    def __init__(
        self,
        body: Backbone,
        head: nn.Module,
        scaler_shape: tuple[int, ...] | None,
        scale_embedding: bool,
        discriminator: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.input_scaler = nn.Identity() if scaler_shape is None else Scaler(scaler_shape)
        self.body = body
        self.embedding_scaler = Scaler((body.embedding_size,)) if scale_embedding else nn.Identity()
        self.head = head
        self.discriminator = discriminator
        self.n_frozen = 0
        self.scales_input_as_given = False

    def freeze(self, n_frozen: int) -> None:
        """Stop the first `n_frozen` blocks from learning; the others learn."""
        self.n_frozen = n_frozen
        self.body.requires_grad_(n_frozen < len(self.body.blocks))
        self.body.blocks[:n_frozen].requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> "TransferModule":
        """Switch to training mode, except for what is frozen."""
        super().train(mode)
        frozen = self.body.blocks[: self.n_frozen]
        (self.body if len(frozen) == len(self.body.blocks) else frozen).eval()
        return self

    def prefix(self, values: Tensor, stop: int) -> Tensor:
        """Input scaling and ``blocks[:stop]``, on units."""
        return self.body.run_blocks(self.input_scaler(values), 0, stop)

    def run_frozen(self, values: Tensor, start: int) -> Tensor:
        """The frozen blocks from `start` on, in full precision, as the cache holds them."""
        with torch.autocast(values.device.type, enabled=False):
            return self.body.run_blocks(values, start, self.n_frozen)

    def embed(self, values: Values, offsets: Tensor | None = None, start: int = 0) -> Tensor:
        """Scaled embedding of rows whose units have passed ``blocks[:start]``."""
        if start == 0:
            values = self.input_scaler(values)
        if start < self.n_frozen:
            with torch.no_grad():
                values = run_padded(partial(self.run_frozen, start=start), values)
            start = self.n_frozen
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
            values = self.input_scaler(values) if start == 0 else values
            values = self.run_frozen(values, start)
            return self.body.pool(self.body.run_blocks(values, max(start, self.n_frozen)))

        pooled = Units(run_padded(embed_units, units.values), units.offsets).mean()
        embedding = self.embedding_scaler(pooled)
        return embedding, run_padded(self.head, embedding)
