"""Losses of transfer learning: pure, differentiable functions on torch tensors."""

from ._adversarial import (
    dann_schedule,
    domain_cross_entropy,
    gradient_reversal,
    multilinear_map,
)
from ._confusion import class_confusion
from ._coral import coral_loss
from ._disparity import margin_disparity
from ._distillation import distillation_loss
from ._entropy import entropy
from ._jmmd import jmmd2, pairwise_jmmd2
from ._mmd import mmd2

__all__ = [
    "class_confusion",
    "coral_loss",
    "dann_schedule",
    "distillation_loss",
    "domain_cross_entropy",
    "entropy",
    "gradient_reversal",
    "jmmd2",
    "margin_disparity",
    "mmd2",
    "multilinear_map",
    "pairwise_jmmd2",
]
