"""Spoken digits by synthetic voices, clean and over the telephone; shipped with sktl."""

import csv

import numpy as np
from sklearn.utils import Bunch

from .._validation import check_sr
from ._base import DIGIT_NAMES, SHIPPED, description

__all__ = ["load_voices"]

# skada counts domains by magnitude: 1 and -1 would be one domain in two roles.
_SAMPLE_DOMAIN = {"clean": 1, "telephone": -2}


def load_voices(*, sr: float = 16000, return_X_y: bool = False) -> Bunch | tuple:
    """Load spoken digits of synthetic voices: clean source, telephone target.

    The ten English digits by 28 voices of the speech synthesiser espeak-ng, three takes each that
    differ in pitch, speed and loudness. Fourteen voices are the source domain: clean speech. The
    other fourteen are the target domain: each in a small room of its own, with noise, over a
    telephone line. The data ship with sktl; nothing is downloaded.

    =================   ==================
    Classes                             10
    Clips                              840
    Voices              14 source, 14 target
    Length of a clip    0.18 s to 0.70 s
    =================   ==================

    Parameters
    ----------
    sr : float, default=16000
        Sample rate of the clips in hertz. They were made at 16000; another rate is resampled to.
    return_X_y : bool, default=False
        Return ``(data, target, sample_domain)`` instead of a Bunch.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with attributes

        data : list of 840 ndarrays of float32
            Clips: one-dimensional, of unequal length, values in [-1, 1], source before target.
        target : ndarray of int of shape (840,)
            Digit spoken.
        target_names : list of str
            Word spoken for each value of `target`.
        speaker, groups : ndarray of str of shape (840,)
            Voice: accent and variant of espeak-ng, e.g. "en-gb-scotland+klatt2"; for
            cross-validation over voices.
        take : ndarray of int of shape (840,)
            Take, 0 to 2.
        sample_domain : ndarray of int of shape (840,)
            1 for the clean source, -2 for the telephone target.
        domain_names : dict of int to str
            Name for each value of `sample_domain`.
        sr : float
            Sample rate of the clips in hertz.
        DESCR : str
            Description of the data set.
    (data, target, sample_domain) : tuple if `return_X_y` is True
        The three attributes of these names.

    Raises
    ------
    ValueError
        When `sr` is no sample rate in hertz.

    Examples
    --------
    >>> from sktl.datasets import load_voices
    >>> voices = load_voices()
    >>> len(voices.data), voices.target.shape, voices.domain_names
    (840, (840,), {1: 'clean', -2: 'telephone'})
    >>> voices.data[0].dtype, voices.target_names[voices.target[0]], str(voices.speaker[0])
    (dtype('float32'), 'zero', 'en-us+f2')
    >>> X, y, sample_domain = load_voices(return_X_y=True)
    >>> int((sample_domain >= 0).sum()), int((sample_domain < 0).sum())
    (420, 420)
    """
    check_sr(sr)
    with open(SHIPPED / "voices" / "index.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    clips = _read_clips(rows, float(sr))
    target = np.array([int(row["digit"]) for row in rows])
    sample_domain = np.array([_SAMPLE_DOMAIN[row["domain"]] for row in rows])
    if return_X_y:
        return clips, target, sample_domain
    speaker = np.array([row["speaker"] for row in rows])
    return Bunch(
        data=clips,
        target=target,
        target_names=list(DIGIT_NAMES),
        speaker=speaker,
        groups=speaker,
        take=np.array([int(row["take"]) for row in rows]),
        sample_domain=sample_domain,
        domain_names={number: name for name, number in _SAMPLE_DOMAIN.items()},
        sr=sr,
        DESCR=description("voices"),
    )


def _read_clips(rows: list[dict[str, str]], sr: float) -> list[np.ndarray]:
    """Cut the clips out of the two files, at `sr`."""
    import soundfile
    import soxr

    files = {
        domain: soundfile.read(SHIPPED / "voices" / f"{domain}.flac", dtype="float32")
        for domain in _SAMPLE_DOMAIN
    }
    clips = []
    for row in rows:
        samples, native = files[row["domain"]]
        start = int(row["start"])
        clip = samples[start : start + int(row["n_samples"])]
        clips.append(clip.copy() if sr == native else soxr.resample(clip, native, sr, quality="HQ"))
    return clips
