"""Learning rate of each block."""

from typing import Any

__all__ = ["param_groups"]


def param_groups(n_blocks: int, lr: float, layer_decay: float) -> list[tuple[str, dict[str, Any]]]:
    """Name patterns and rates: block i learns at ``lr * layer_decay ** (n_blocks - i)``.

    Discriminative fine-tuning (Howard and Ruder, 2018). Whatever matches no pattern, the
    head among it, learns at `lr`.
    """
    if layer_decay == 1.0:
        return []
    rates = [lr * layer_decay ** (n_blocks - i) for i in range(n_blocks)]
    return [(f"body.blocks.{i}.*", {"lr": rate}) for i, rate in enumerate(rates)]
