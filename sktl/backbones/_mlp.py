"""Dense layers on rows of features."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from ._base import Backbone, InputSpec

__all__ = ["MLP"]


class MLP(Backbone):
    """Linear layers with ReLU; one block each.

    Parameters
    ----------
    n_features : int
        Values of a row; a row of more than one axis is flattened.
    hidden : sequence of int, default=(256, 256)
        Width of each layer; the last one is the embedding.

    Examples
    --------
    >>> import torch
    >>> from sktl.backbones import MLP
    >>> MLP(20, hidden=(64, 32))(torch.zeros(5, 20)).shape
    torch.Size([5, 32])
    """

    input_spec = InputSpec("features")

    def __init__(self, n_features: int, hidden: Sequence[int] = (256, 256)) -> None:
        super().__init__()
        widths = [n_features, *hidden]
        layers = [
            nn.Sequential(nn.Linear(n_in, n_out), nn.ReLU()) for n_in, n_out in pairwise(widths)
        ]
        layers[0].insert(0, nn.Flatten())
        self.blocks = nn.ModuleList(layers)
        self.embedding_size = widths[-1]
