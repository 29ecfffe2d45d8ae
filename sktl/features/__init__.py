"""Features of clips, with librosa's parameters and numbers."""

from ._filters import mel_filters
from ._fusion import FeatureFusion
from ._lpc import LPC, lpc
from ._mel import MelSpectrogram, mel_spectrogram
from ._mfcc import MFCC, mfcc
from ._pcen import pcen

__all__ = [
    "LPC",
    "MFCC",
    "FeatureFusion",
    "MelSpectrogram",
    "lpc",
    "mel_filters",
    "mel_spectrogram",
    "mfcc",
    "pcen",
]
