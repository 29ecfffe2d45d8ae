"""What happens at the start of an epoch."""

from typing import Any

from skorch.callbacks import Callback

from .._random import seed_torch

__all__ = ["Reseed", "UnfreezeBlocks"]


class Reseed(Callback):
    """Seed torch from (seed, epoch), so that an epoch does not depend on those before."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Seed the generators that `torch_seed` isolates."""
        weight = next(net.module_.parameters())
        seed_torch(self.seed + len(net.history), weight.device)


class UnfreezeBlocks(Callback):
    """Gradual unfreezing (Howard and Ruder, 2018): one more block from the top at a time.

    Parameters
    ----------
    every : int
        Epochs between two blocks.
    lowest : int
        Blocks that stay frozen for good.
    """

    def __init__(self, every: int, lowest: int) -> None:
        self.every = every
        self.lowest = lowest

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Freeze what is not yet due."""
        n_blocks = len(net.module_.body.blocks)
        unfrozen = (len(net.history) - 1) // self.every
        net.module_.freeze(max(self.lowest, n_blocks - unfrozen))
