"""Losses of transfer learning: pure, differentiable functions on torch tensors."""

from ._adversarial import (
    dann_schedule,
    domain_cross_entropy,
    gradient_reversal,
    multilinear_map,
)
from ._coral import coral_loss
from ._distillation import distillation_loss
from ._entropy import entropy
from ._mmd import mmd2

__all__ = [
    "coral_loss",
    "dann_schedule",
    "distillation_loss",
    "domain_cross_entropy",
    "entropy",
    "gradient_reversal",
    "mmd2",
    "multilinear_map",
]
