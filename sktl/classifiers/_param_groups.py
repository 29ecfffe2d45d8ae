"""Learning rate of each part of the network."""

from collections.abc import Iterable
from typing import Any

__all__ = ["param_groups"]


# An adversary that lags behind the body it judges makes training diverge: it is given the
# longer steps (two time-scale update rule, Heusel et al., 2017).
DISCRIMINATOR_FACTOR = 10.0


def param_groups(
    n_blocks: int, lr: float, layer_decay: float, adversaries: Iterable[str] = ()
) -> list[tuple[str, dict[str, Any]]]:
    """Name patterns and rates: block i learns at ``lr * layer_decay ** (n_blocks - i)``.

    Discriminative fine-tuning (Howard and Ruder, 2018). `adversaries`, parts of the network by
    name, learn at ten times `lr`; whatever matches no pattern, the head among it, at `lr`.
    """
    groups = [(f"{name}.*", {"lr": lr * DISCRIMINATOR_FACTOR}) for name in adversaries]
    if layer_decay != 1.0:
        rates = [lr * layer_decay ** (n_blocks - i) for i in range(n_blocks)]
        groups += [(f"body.blocks.{i}.*", {"lr": rate}) for i, rate in enumerate(rates)]
    return groups
