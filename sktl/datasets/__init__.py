"""Data sets: spoken digits that ship with sktl, real ones to fetch, and folders of one's own."""

from ._folder import load_audio_folder
from ._fsdd import fetch_fsdd
from ._voices import load_voices

__all__ = ["fetch_fsdd", "load_audio_folder", "load_voices"]
