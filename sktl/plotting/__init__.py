"""Displays: pictures of what the library computes, in scikit-learn's convention."""

from ..model_selection._display import TransferDisplay
from ._spectrogram import SpectrogramDisplay
from ._training import TrainingDisplay

__all__ = ["SpectrogramDisplay", "TrainingDisplay", "TransferDisplay"]
