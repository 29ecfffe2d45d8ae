"""Files cut short: what their headers announce against what is there."""

import os
import re
from typing import Any

from ._flac import contradiction_in_flac
from ._mp3 import missing_from_mp3
from ._ogg import missing_from_ogg
from ._wav_header import UNKNOWN_SIZE, contradiction_in_wav

__all__ = ["missing_part"]

# The sizes that libsndfile corrects without an error; another line may quote a tag.
DATA_SIZE = re.compile(r"^ *data *: (\d+) \(should be (\d+)\)", re.M)
ANY_SIZE = re.compile(r"^ *[\w ]{4,10} *: (\d+) \(should be (\d+)\)", re.M)
LARGEST_FRAME = 64


def missing_part(path: str | os.PathLike[str], file: Any, n_found: int) -> str | None:
    """What the file announces and lacks, or contradicts; None when it is whole.

    Parameters
    ----------
    path : str or PathLike
        Of a regular file.
    file : soundfile.SoundFile
        The same, opened.
    n_found : int
        Samples decoded from it.
    """
    if file.format == "MP3":
        return missing_from_mp3(path, file.frames, n_found)
    damage = missing_from_ogg(path, n_found) if file.format == "OGG" else None
    if damage:
        return damage
    if n_found < file.frames:
        return _cut_short(file.frames, n_found)
    if file.format == "FLAC":
        return contradiction_in_flac(path)
    if file.format == "OGG":
        return None
    wav = file.format in ("WAV", "WAVEX")
    contradiction = contradiction_in_wav(path) if wav else None
    if contradiction:
        return contradiction
    sizes = (DATA_SIZE if wav else ANY_SIZE).findall(file.extra_info)
    for announced, found in ((int(a), int(b)) for a, b in sizes):
        if found < announced < UNKNOWN_SIZE:
            frame_size = found // n_found if wav and n_found > LARGEST_FRAME else 0
            if frame_size:
                return _cut_short(announced // frame_size, n_found)
            return f"is cut short: its header announces {announced} bytes, it has {found}"
    return None


def _cut_short(n_announced: int, n_found: int) -> str:
    return f"is cut short: its header announces {n_announced} samples, it holds {n_found}"
