"""Clips: what counts as a list of recordings, and how files become waveforms."""

from ._clips import Clips, is_clips
from ._read import load_audio
from ._validate import validate_clips

__all__ = ["Clips", "is_clips", "load_audio", "validate_clips"]
