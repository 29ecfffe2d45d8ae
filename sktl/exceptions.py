"""Errors and warnings a caller may want to catch."""

__all__ = [
    "AudioReadError",
    "DownloadError",
    "NoAdaptationWarning",
    "TrainingDivergedError",
    "WeightsError",
]


class AudioReadError(OSError):
    """Raised when audio files are missing or cannot be decoded; names every one."""


class DownloadError(OSError):
    """Raised when a file cannot be downloaded or is not the file that was expected."""


class WeightsError(OSError):
    """Raised when pretrained weights are absent, damaged or of another network."""


class TrainingDivergedError(ArithmeticError):
    """Raised when the loss of a network is no longer a finite number."""


class NoAdaptationWarning(UserWarning):
    """Issued when an adaptive estimator is fitted without any target rows."""
