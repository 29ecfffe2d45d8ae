"""MixVal: whether predictions stay the same where target rows are mixed."""

from typing import Any

import numpy as np

from ..audio import is_clips, load_audio
from ..audio._clips import is_path
from ._calls import call
from ._outputs import Outputs

__all__ = ["mixval_score"]


def mixval_score(outputs: Outputs, mix: float = 0.55, random_state: int = 0) -> float:
    """Share of target rows that keep their class in a mixture (Hu et al., NeurIPS 2023).

    Each target row, with weight `mix`, is mixed with one of its own predicted class and with one
    of another. The score is the mean of the two shares; of one of them where there are no such
    pairs.

    Parameters
    ----------
    outputs : Outputs
        Of the estimator.
    mix : float, default=0.55
        Weight of the row whose class is to stay, in (0.5, 1).
    random_state : int, default=0
        Seed of the pairs.
    """
    rows = np.flatnonzero(outputs.target)
    predicted = outputs.predicted[rows]
    generator = np.random.default_rng(random_state)
    shares = []
    for same in (True, False):
        first, second = _pairs(predicted, same, generator)
        if len(first):
            mixed = _mix(outputs, rows[first], rows[second], mix)
            found = call(outputs.estimator, "predict", mixed, outputs.domain[rows[first]])
            shares.append(np.mean(np.asarray(found) == predicted[first]))
    return float(np.mean(shares)) if shares else 0.0


def _pairs(
    predicted: np.ndarray, same: bool, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Rows that have one, and for each another row of the same class, or of another class."""
    first, second = [], []
    for label in np.unique(predicted):
        own = np.flatnonzero(predicted == label)
        if same:
            order = generator.permutation(own)
            partners = np.roll(order, 1) if len(own) > 1 else own[:0]
            own = order[: len(partners)]
        else:
            others = np.flatnonzero(predicted != label)
            partners = generator.choice(others, len(own)) if len(others) else others
            own = own[: len(partners)]
        first.append(own)
        second.append(partners)
    return np.concatenate(first), np.concatenate(second)


def _mix(outputs: Outputs, first: np.ndarray, second: np.ndarray, mix: float) -> Any:
    X = outputs.X
    if is_clips(X):
        clips = _waveforms(outputs, sorted({*first.tolist(), *second.tolist()}))
        return [
            _mix_clips(clips[i], clips[j], mix)
            for i, j in zip(first.tolist(), second.tolist(), strict=True)
        ]
    if hasattr(X, "iloc"):
        values = X.to_numpy()
        mixed = mix * values[first] + (1 - mix) * values[second]
        return type(X)(mixed, columns=X.columns, index=X.index[first])
    if not hasattr(X, "shape"):
        X = np.asarray(X)
    if len(X.shape) == 2 and hasattr(X, "tocsr"):
        X = X.tocsr()
    return mix * X[first] + (1 - mix) * X[second]


def _waveforms(outputs: Outputs, wanted: list[int]) -> dict[int, np.ndarray]:
    clips = {i: _element(outputs.X, i) for i in wanted}
    if not is_path(clips[wanted[0]]):
        return {i: np.asarray(clip) for i, clip in clips.items()}
    sr = _rate(outputs.estimator)
    return {i: load_audio(clip, sr) for i, clip in clips.items()}


def _element(X: Any, i: int) -> Any:
    return X.iloc[i] if hasattr(X, "iloc") else X[i]


def _rate(estimator: Any) -> float:
    """Sample rate at which the first step that has one reads files."""
    steps = [step for _, step in getattr(estimator, "steps", [("", estimator)])]
    for step in steps:
        spec = getattr(getattr(step, "backbone_", None), "input_spec", None)
        for sr in (getattr(step, "sr", None), getattr(spec, "sr", None)):
            if sr is not None:
                return float(sr)
    raise ValueError(
        f"mixval mixes waveforms, but {type(estimator).__name__} does not say at which sample "
        "rate it reads files; give clips instead of paths."
    )


def _mix_clips(clip: np.ndarray, other: np.ndarray, mix: float) -> np.ndarray:
    """Mix with another clip, cut or padded with zeros to the length of the first."""
    mixed = mix * clip
    n = min(len(clip), len(other))
    mixed[:n] += (1 - mix) * other[:n]
    return np.asarray(mixed)
