"""Errors and warnings a caller may want to catch."""

__all__ = ["AudioReadError", "DownloadError", "NoAdaptationWarning", "WeightsError"]


class AudioReadError(OSError):
    """Raised when audio files are missing or cannot be decoded; names every one."""


class DownloadError(OSError):
    """Raised when a file cannot be downloaded or is not the file that was expected."""


class WeightsError(OSError):
    """Raised when pretrained weights are absent, damaged or of another network."""


class NoAdaptationWarning(UserWarning):
    """Issued when an adaptive estimator is fitted without any target rows."""
