"""Classifiers that train a network, alone or across domains."""

from ._adaptive import DomainAdaptiveClassifier
from ._dann import DANNClassifier
from ._distilled import DistilledClassifier
from ._fine_tuned import FineTunedClassifier
from ._mmd import MMDAligner
from ._multi_task import MultiTaskClassifier

__all__ = [
    "DANNClassifier",
    "DistilledClassifier",
    "DomainAdaptiveClassifier",
    "FineTunedClassifier",
    "MMDAligner",
    "MultiTaskClassifier",
]
