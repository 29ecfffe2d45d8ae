"""Training rows whose clips pass a function of the user's in every epoch."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import Tensor

from .._random import seed_torch
from ..audio import Clips
from ..backbones import Backbone, Units
from ..embedding._rows import Rows, iter_units
from ._batches import RowSet

__all__ = ["AugmentedRows", "BeginEpoch", "check_augment", "isolated_generators"]

Augment = Callable[[np.ndarray, int | float], Any]
# Seed, epoch, row, and how often the row was taken before in that epoch.
Visit = tuple[int, int, int, int]


class AugmentedRows(RowSet):
    """Rows whose units are made of augmented clips whenever they are taken.

    What comes of a clip depends on the seed, the epoch, the row and how often the row was taken
    before in that epoch, not on the rows it is taken with.

    Parameters
    ----------
    rows : RowSet
        Labels, weights and domains of the clips. Its units are not read.
    clips : Clips
        The clips of the same rows, which are not changed.
    body : Backbone
        Its front end turns augmented clips into units.
    augment : callable
        From ``(samples, sample_rate)`` to samples; what it keeps of that is kept by a copy.
    seed : int
        Seed of whatever `augment` draws from the global generators of Python, numpy and torch.
    """

    def __init__(
        self, rows: RowSet, clips: Clips, body: Backbone, augment: Augment, seed: int
    ) -> None:
        nothing = Units(rows.weight.new_zeros(0))
        super().__init__(nothing, rows.y, rows.weight, rows.source)
        for name, values in rows.further.items():
            setattr(self, name, values)
        self.clips = clips
        self.body = body
        self.augment = deepcopy(augment)
        self.seed = seed
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        """Let another epoch begin; it need not follow the last."""
        self.epoch = epoch
        self.n_taken = np.zeros(len(self), dtype=np.int64)

    def take(self, index: Tensor, n_source: int | None = None) -> RowSet:
        """Rows `index` in that order, augmented."""
        with isolated_generators():
            augmented = list(self._augmented(index.tolist()))
        clips = Clips(augmented, self.clips.sr, dtype=self.clips.dtype)
        device, dtype = self.weight.device, self.weight.dtype
        units = Units.concat(list(iter_units(clips, self.body, device=device, dtype=dtype)))
        return self.at(index, units, n_source)

    def _augmented(self, numbers: list[int]) -> Iterator[np.ndarray]:
        clips = self.clips.take(numbers)
        read = (clip for chunk in clips.chunks(len(numbers)) for clip in chunk)
        for number, clip in zip(numbers, read, strict=True):
            visit = (self.seed, self.epoch, number, int(self.n_taken[number]))
            self.n_taken[number] += 1
            yield _augmented(self.augment, clip, self.clips.sr, visit)


class BeginEpoch(Callback):
    """Tell `AugmentedRows` of every epoch."""

    def on_epoch_begin(self, net: Any, dataset_train: Any = None, **kwargs: Any) -> None:
        """Count from the history, which a resumed training has as well."""
        if isinstance(dataset_train, AugmentedRows):
            dataset_train.begin_epoch(len(net.history))


def check_augment(augment: Any, rows: Rows, seed: int) -> None:
    """Refuse rows that are no clips, and what does not work on the first clip."""
    if augment is None:
        return
    if not isinstance(rows, Clips):
        raise ValueError(
            f"augment={_name(augment)} changes the samples of clips, but X is an array that the "
            "network takes as it is; give augment=None, or clips and a network that takes them "
            "(spec_augment and mixup work on arrays)."
        )
    [first] = next(rows.take([0]).chunks(1))
    with isolated_generators():
        _augmented(deepcopy(augment), first, rows.sr, (seed, 0, 0, 0))


@contextmanager
def isolated_generators() -> Iterator[None]:
    """Put the global generators of Python, numpy and torch back at the end."""
    python, numpy, of_torch = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(of_torch)


def _augmented(augment: Augment, clip: np.ndarray, sr: float, visit: Visit) -> np.ndarray:
    """What `augment` makes of a copy of `clip`, with the global generators seeded for the visit."""
    words = np.random.SeedSequence(visit).generate_state(4)
    random.seed(words.tobytes())
    np.random.seed(words)  # noqa: NPY002
    seed_torch(int(words[0]))
    made = augment(clip.copy(), int(sr) if sr == int(sr) else sr)
    return _checked(augment, made, clip.dtype)


def _checked(augment: Augment, made: Any, dtype: np.dtype) -> np.ndarray:
    """Samples as an array; say what came instead."""
    if isinstance(made, Tensor):
        made = made.detach().cpu().numpy()
    if not isinstance(made, np.ndarray):
        problem = "None" if made is None else f"a {type(made).__name__}"
    elif made.ndim != 1:
        problem = f"an array of shape {made.shape}"
    elif made.dtype.kind != "f":
        problem = f"an array of dtype {made.dtype}"
    elif made.size == 0:
        problem = "an empty array"
    else:
        with np.errstate(over="ignore"):
            samples = made.astype(dtype)  # a copy, as the next call may use that memory again
        if np.isfinite(samples).all():
            return samples
        problem = "samples that are not finite"
    raise ValueError(
        f"augment={_name(augment)} returned {problem}; it has to return the samples of one clip, "
        "a 1-D array of finite floats in [-1, 1] such as it is given."
    )


def _name(augment: Any) -> str:
    return getattr(augment, "__name__", type(augment).__name__)
