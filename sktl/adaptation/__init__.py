"""Domain adaptation of features, without a network."""

from ._coral import CORALTransformer, coral_map

__all__ = ["CORALTransformer", "coral_map"]
