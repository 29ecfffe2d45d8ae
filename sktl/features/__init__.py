"""Features of clips, with librosa's parameters and numbers."""

from ._filters import mel_filters
from ._lpc import LPC, lpc
from ._mel import MelSpectrogram, mel_spectrogram
from ._mfcc import MFCC, mfcc

__all__ = ["LPC", "MFCC", "MelSpectrogram", "lpc", "mel_filters", "mel_spectrogram", "mfcc"]
