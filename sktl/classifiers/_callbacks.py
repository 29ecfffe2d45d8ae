"""What happens at the start of an epoch, and at its end."""

from collections.abc import Mapping
from typing import Any

from skorch.callbacks import Callback, EarlyStopping, PrintLog
from skorch.utils import noop

from .._random import seed_torch

__all__ = ["Log", "Patience", "Reseed", "UnfreezeBlocks"]


class Log(PrintLog):
    """A line for each epoch, made only where it is printed: it takes as long as some batches."""

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Print the line."""
        if net.verbose:
            super().on_epoch_end(net, **kwargs)


class Reseed(Callback):
    """Seed torch from (seed, epoch), so that an epoch does not depend on those before."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Seed the generators that `torch_seed` isolates."""
        weight = next(net.module_.parameters())
        seed_torch(self.seed + len(net.history), weight.device)


class UnfreezeBlocks(Callback):
    """Let the head learn alone at first, then release the blocks, all at once or one by one.

    Linear probing, then fine-tuning (Kumar et al., 2022), and gradual unfreezing from the top
    (Howard and Ruder, 2018).

    Parameters
    ----------
    every : int or None
        Epochs between two blocks; None releases them together.
    lowest : int
        Blocks that stay frozen for good.
    head_epochs : int, default=0
        Epochs before that.
    """

    def __init__(self, every: int | None, lowest: int, head_epochs: int = 0) -> None:
        self.every = every
        self.lowest = lowest
        self.head_epochs = head_epochs

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Freeze what is not yet due."""
        n_blocks = len(net.module_.body.blocks)
        epoch = len(net.history) - 1 - self.head_epochs
        if epoch < 0:
            n_frozen = n_blocks
        elif self.every is None:
            n_frozen = self.lowest
        else:
            n_frozen = max(self.lowest, n_blocks - epoch // self.every)
        if n_frozen != net.module_.n_frozen:
            net.module_.freeze(n_frozen)


class Patience(EarlyStopping):
    """Stop when the loss of held-out rows falls no more, and keep the best weights."""

    _STATE = ("misses_", "dynamic_threshold_", "best_epoch_", "best_model_weights_")

    def __init__(self, patience: int, verbose: bool = False) -> None:
        super().__init__(
            monitor="valid_loss",
            patience=patience,
            threshold=0,
            load_best=True,
            sink=print if verbose else noop,
        )

    def state_dict(self) -> dict[str, Any]:
        """What a training that goes on from here needs to know."""
        return {name: getattr(self, name) for name in self._STATE}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from that state."""
        for name in self._STATE:
            setattr(self, name, state[name])
