"""Data sets: spoken digits that ship with sktl, real ones to fetch, and folders of one's own."""

from ._esc import fetch_esc50, load_esc10
from ._folder import load_audio_folder
from ._fsdd import fetch_fsdd
from ._iemocap import load_iemocap
from ._speech_commands import fetch_speech_commands
from ._voices import load_voices

__all__ = [
    "fetch_esc50",
    "fetch_fsdd",
    "fetch_speech_commands",
    "load_audio_folder",
    "load_esc10",
    "load_iemocap",
    "load_voices",
]
