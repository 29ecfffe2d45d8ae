"""What is computed of weights alone, kept from one batch to the next."""

from collections.abc import Callable
from threading import Lock
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

__all__ = ["Kept"]

# Of all that is kept: VGGish's convolutions take a third of it.
MOST_BYTES = 2**28


class Kept:
    """A function of a layer's weights, whose results live as long as the layer and its weights.

    Weights are compared number by number: a step of an optimizer, a file that is loaded or any
    other change is noticed. What would not fit into the memory set aside is computed each time.

    Parameters
    ----------
    make : callable
        From weights to a tensor.
    most_bytes : int
        Of results and weights.
    """

    def __init__(self, make: Callable[[Tensor], Tensor], most_bytes: int = MOST_BYTES) -> None:
        self._make, self._most_bytes = make, most_bytes
        self._found: WeakKeyDictionary[nn.Module, tuple[Tensor, Tensor]] = WeakKeyDictionary()
        self._lock = Lock()

    def __call__(self, owner: nn.Module, weight: Tensor) -> Tensor:
        """What is made of the weights of `owner`."""
        known = self._found.get(owner)
        if known is not None and torch.equal(known[0], weight):
            return known[1]
        made = self._make(weight)
        with self._lock:
            self._found.pop(owner, None)
            in_use = sum(_n_bytes(*pair) for pair in self._found.values())
            if in_use + _n_bytes(weight, made) <= self._most_bytes:
                self._found[owner] = weight.detach().clone(), made
        return made


def _n_bytes(*tensors: Tensor) -> int:
    return sum(tensor.numel() * tensor.itemsize for tensor in tensors)
