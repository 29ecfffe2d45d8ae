"""What decoding and resampling cost, by format, beside the computation."""

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import soundfile
import soxr
from _cases import SR, Case, speech_like
from _peers import transformer_of
from _timing import Run, Times, interleave

FORMATS = {
    "WAV, 16 bit": {"format": "WAV", "subtype": "PCM_16"},
    "FLAC, 16 bit": {"format": "FLAC", "subtype": "PCM_16"},
    "MP3": {"format": "MP3", "subtype": "MPEG_LAYER_III"},
    "OGG Vorbis": {"format": "OGG", "subtype": "VORBIS"},
}
RATES = (SR, 44100)
SECONDS = 4.0


@dataclass(frozen=True)
class FormatCost:
    """Times of all clips of one format; the last is the log-mel of decoded clips."""

    name: str
    n_clips: int
    seconds: float
    times: Times


def measure_formats(rounds: int, quick: bool) -> list[FormatCost]:
    """Decode the same clips, mono, from every format and rate; all come out at 16 kHz."""
    clips = speech_like(3 if quick else 25, SECONDS)
    transformer = transformer_of(Case("", "", "mel"), device="cpu", n_jobs=1)
    runs: dict[Any, tuple[Run, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, options in FORMATS.items():
            for rate in RATES:
                paths = _write(clips, Path(folder, f"{name}-{rate}"), rate, options)
                title = f"{name}, {rate / 1000:g} kHz"
                runs[title + (" to 16 kHz" if rate != SR else "")] = (partial(_load, paths), 1)
        runs["log-mel 512/64 of decoded clips"] = (lambda: transformer.transform(clips), 1)
        times = interleave(runs, rounds)
    return [FormatCost(str(name), len(clips), SECONDS, times[name]) for name in runs]


def _load(paths: list[Path]) -> list:
    from sktl.audio import load_audio

    return [load_audio(path, SR) for path in paths]


def _write(clips: Any, folder: Path, rate: int, options: dict[str, str]) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{index}.{options['format'].lower()}" for index in range(len(clips))]
    for path, clip in zip(paths, clips, strict=True):
        soundfile.write(path, soxr.resample(clip, SR, rate), rate, **options)
    return paths
