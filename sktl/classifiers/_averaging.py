"""Mean of the weights over the last epochs of training."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from skorch.callbacks import Callback, EarlyStopping
from torch import Tensor

__all__ = ["AverageWeights", "check_average_epochs"]


def check_average_epochs(estimator: Any) -> None:
    """Raise unless as many epochs as `average_epochs` are sure to be trained.

    Parameters
    ----------
    estimator : NetworkClassifier
        Of which `average_epochs`, `max_epochs`, `early_stopping` and `callbacks` are looked at.
    """
    n_epochs = estimator.average_epochs
    if not n_epochs:
        return
    if n_epochs > estimator.max_epochs:
        raise ValueError(
            f"average_epochs={n_epochs} but max_epochs={estimator.max_epochs}; give at most "
            f"{estimator.max_epochs}, or train longer."
        )
    own = any(isinstance(_callback(given), EarlyStopping) for given in estimator.callbacks or [])
    if estimator.early_stopping or own:
        given = "callbacks=[EarlyStopping(…)]" if own else "early_stopping=True"
        raise ValueError(
            f"average_epochs={n_epochs} does not go with {given}: which epochs are the last is not "
            "known beforehand, and the weights of the best one are kept. Give average_epochs=0, "
            "or train without early stopping."
        )


def _callback(given: Any) -> Any:
    """A callback, of one given alone or as a pair with its name."""
    return given[1] if isinstance(given, tuple) else given


class AverageWeights(Callback):
    """Stochastic weight averaging: at the end, the mean over the ends of the last epochs.

    P. Izmailov et al., "Averaging weights leads to wider optima and better generalization", UAI
    2018, algorithm 1 with a cycle of one epoch. The weights are summed in float64. Comes after
    callbacks that freeze or release blocks.

    Parameters
    ----------
    n_epochs : int
        Epochs to average over.
    restore : callable, default=None
        Called with the net once it has the mean weights: statistics of batch normalisation, which
        belong to other weights, are estimated again there.
    """

    def __init__(self, n_epochs: int, restore: Callable[[Any], None] | None = None) -> None:
        self.n_epochs = n_epochs
        self.restore = restore

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Forget earlier fits."""
        self.n_averaged_ = 0
        self.sum_: dict[str, Tensor] = {}

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Note what a weight that is released late has been all along."""
        if self._is_late(net):
            for name, weight in net.module_.named_parameters():
                if weight.requires_grad and name not in self.sum_:
                    self.sum_[name] = weight.detach().double() * self.n_averaged_

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Take in the weights of one of the last epochs."""
        if not self._is_late(net):
            return
        self.n_averaged_ += 1
        weights = dict(net.module_.named_parameters())
        for name, total in self.sum_.items():
            total += weights[name].detach()

    @torch.no_grad()
    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Put the mean into the network."""
        if not self.n_averaged_:
            return
        weights = dict(net.module_.named_parameters())
        for name, total in self.sum_.items():
            weights[name].copy_(total / self.n_averaged_)
        if self.restore is not None:
            self.restore(net)

    def _is_late(self, net: Any) -> bool:
        """Whether the epoch, which the history already has, is one of the last."""
        return len(net.history) > net.max_epochs - self.n_epochs

    def state_dict(self) -> dict[str, Any]:
        """What a training that goes on from here needs to know; tensors are not copied."""
        return {"n_averaged": self.n_averaged_, "sum": dict(self.sum_)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from that state, after `on_train_begin`."""
        self.n_averaged_ = int(state["n_averaged"])
        self.sum_ = {name: total.clone() for name, total in state["sum"].items()}
