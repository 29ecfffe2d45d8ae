"""Classifiers that train a network, alone or across domains."""

from ._adaptive import DomainAdaptiveClassifier
from ._dann import DANNClassifier
from ._fine_tuned import FineTunedClassifier
from ._mmd import MMDAligner

__all__ = ["DANNClassifier", "DomainAdaptiveClassifier", "FineTunedClassifier", "MMDAligner"]
