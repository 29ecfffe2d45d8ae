"""Displays: pictures of what the library computes, in scikit-learn's convention."""

from ..model_selection._adaptation_display import AdaptationDisplay
from ..model_selection._display import TransferDisplay
from ._domain_shift import DomainShiftDisplay
from ._spectrogram import SpectrogramDisplay
from ._training import TrainingDisplay

__all__ = [
    "AdaptationDisplay",
    "DomainShiftDisplay",
    "SpectrogramDisplay",
    "TrainingDisplay",
    "TransferDisplay",
]
