"""The numbers every competitor is compared with: librosa in float64, clip by clip."""

from collections.abc import Iterable
from functools import cache

import librosa
import numpy as np
from _cases import Case

TOLERANCES = {"mel": 2e-3, "mfcc": 2e-3, "lpc": 1e-6}
TOP_DB = 80.0


class Reference:
    """librosa's numbers for one case.

    A competitor may pad its clips in another way ("reflect"), or floor the levels relative to
    the loudest value of the "batch" instead of the "clip", or not at all ("none"); it is
    compared with librosa doing the same.
    """

    def __init__(self, case: Case, clips: np.ndarray | list[np.ndarray]) -> None:
        self.case = case
        self._clips = clips
        self._levels = cache(self._compute_levels)
        self._lpc = cache(self._compute_lpc)

    def values(self, pad_mode: str = "constant", floor: str = "clip") -> list[np.ndarray]:
        """Arrays (n_values, n_frames), one per clip."""
        if self.case.feature == "lpc":
            return self._lpc()
        levels = self._levels(pad_mode)
        loudest = max(level.max() for level in levels)
        if floor != "none":
            tops = [level.max() if floor == "clip" else loudest for level in levels]
            levels = [np.maximum(y, top - TOP_DB) for y, top in zip(levels, tops, strict=True)]
        if self.case.feature == "mel":
            return levels
        return [librosa.feature.mfcc(S=level, n_mfcc=self.case.n_mfcc) for level in levels]

    def _compute_levels(self, pad_mode: str) -> list[np.ndarray]:
        case = self.case
        powers = (
            librosa.feature.melspectrogram(
                y=clip.astype(np.float64),
                sr=case.sr,
                n_fft=case.n_fft,
                hop_length=case.hop_length,
                n_mels=case.n_mels,
                pad_mode=pad_mode,
            )
            for clip in self._clips
        )
        return [librosa.power_to_db(power, top_db=None) for power in powers]

    def _compute_lpc(self) -> list[np.ndarray]:
        return [lpc_of_clip(self.case, clip.astype(np.float64)) for clip in self._clips]


def lpc_of_clip(case: Case, clip: np.ndarray) -> np.ndarray:
    """librosa's coefficients (order, n_frames) of centred frames, in the clip's dtype."""
    padded = np.pad(clip, case.n_fft // 2)
    frames = librosa.util.frame(padded, frame_length=case.n_fft, hop_length=case.hop_length)
    return librosa.lpc(frames, order=case.order, axis=0)[1:]


def worst_error(case: Case, actual: Iterable[np.ndarray], expected: list[np.ndarray]) -> float:
    """Largest difference in dB; for LPC relative to 1 + the coefficient. Other shapes: inf."""
    worst = 0.0
    for ours, truth in zip(actual, expected, strict=True):
        if ours.shape != truth.shape:
            return np.inf
        difference = np.abs(ours - truth)
        if case.feature == "lpc":
            difference /= 1.0 + np.abs(truth)
        worst = max(worst, float(difference.max()))
    return worst


def agrees(case: Case, error: float) -> bool:
    """Whether the competitor computes what librosa does."""
    return error <= TOLERANCES[case.feature]
