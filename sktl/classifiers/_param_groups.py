"""Learning rate of each part of the network."""

from typing import Any

__all__ = ["param_groups"]


# An adversary that lags behind the body it judges makes training diverge: it is given the
# longer steps (two time-scale update rule, Heusel et al., 2017).
DISCRIMINATOR_FACTOR = 10.0


def param_groups(
    n_blocks: int, lr: float, layer_decay: float, adversary: bool = False
) -> list[tuple[str, dict[str, Any]]]:
    """Name patterns and rates: block i learns at ``lr * layer_decay ** (n_blocks - i)``.

    Discriminative fine-tuning (Howard and Ruder, 2018). An adversary learns at ten times
    `lr`; whatever matches no pattern, the head among it, at `lr`.
    """
    groups: list[tuple[str, dict[str, Any]]] = []
    if adversary:
        groups.append(("discriminator.*", {"lr": lr * DISCRIMINATOR_FACTOR}))
    if layer_decay != 1.0:
        rates = [lr * layer_decay ** (n_blocks - i) for i in range(n_blocks)]
        groups += [(f"body.blocks.{i}.*", {"lr": rate}) for i, rate in enumerate(rates)]
    return groups
