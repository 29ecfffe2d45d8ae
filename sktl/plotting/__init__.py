"""Displays: pictures of what the library computes, in scikit-learn's convention."""

from ._spectrogram import SpectrogramDisplay

__all__ = ["SpectrogramDisplay"]
