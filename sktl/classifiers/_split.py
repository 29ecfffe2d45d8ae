"""Which rows are held out for validation."""

from collections.abc import Iterator

import numpy as np

from ._data import Data

__all__ = ["split_rows"]


def split_rows(data: Data, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices to train on, and of source rows to validate on.

    Without groups a share of each class is held out, of each task where there are several; with
    them whole groups, so many as come nearest to that share of the rows.

    Raises
    ------
    ValueError
        If rows or groups are too few for every class to be on both sides.
    """
    generator = np.random.default_rng(seed)
    parts = _by_group
    if data.groups is None:
        parts = _by_class if data.y.ndim == 1 else _by_classes
    held_out = np.sort(np.concatenate(list(parts(data, fraction, generator))))
    train = np.setdiff1d(np.flatnonzero(data.source), held_out)
    for what, index in (("train on", train), ("validate on", held_out)):
        if name := _missing_class(data, index):
            whole = "" if data.groups is None else f" in {len(_source_groups(data))} groups"
            raise ValueError(
                f"validation_fraction={fraction} of {int(data.source.sum())} source rows{whole} "
                f"leaves no row of class {name} to {what}; give another fraction, more rows, "
                "or early_stopping=False."
            )
    return np.setdiff1d(np.arange(len(data.y)), held_out), held_out


def _missing_class(data: Data, index: np.ndarray) -> str | None:
    """Name of a class of source rows that none of the rows `index` is of."""
    if not isinstance(data.classes, list):
        missing = sorted(set(data.y[data.source].tolist()) - set(data.y[index].tolist()))
        return repr(data.classes.tolist()[missing[0]]) if missing else None
    for task, classes in enumerate(data.classes):
        known = data.source & (data.weight[:, task] > 0)
        some = index[known[index]]
        if missing := sorted(set(data.y[known, task].tolist()) - set(data.y[some, task].tolist())):
            return f"{classes.tolist()[missing[0]]!r} of column {task}"
    return None


def _by_class(data: Data, fraction: float, generator: np.random.Generator) -> Iterator[np.ndarray]:
    for label in np.unique(data.y[data.source]):
        index = generator.permutation(np.flatnonzero(data.source & (data.y == label)))
        n_held_out = min(max(1, round(fraction * len(index))), len(index) - 1)
        yield index[:n_held_out]


def _by_classes(
    data: Data, fraction: float, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    """Iterative stratification (Sechidis, Tsoumakas and Vlahavas, 2011): rarest labels first."""
    rows = generator.permutation(np.flatnonzero(data.source))
    known = data.weight[rows] > 0
    has = np.concatenate(
        [
            (data.y[rows, task] == np.arange(len(classes))[:, None]) & known[:, task]
            for task, classes in enumerate(data.classes)
        ]
    )
    counts = has.sum(1)
    held_out = np.minimum(np.maximum(1, np.round(fraction * counts)), counts - 1)
    wanted = np.stack([counts - held_out, held_out])
    room = np.array([1.0 - fraction, fraction]) * len(rows)
    left = np.logical_or.reduce(has, axis=0)
    found: list[int] = []
    while left.any():
        counts = has[:, left].sum(1)
        rarest = np.where(counts > 0, counts, len(rows) + 1).argmin()
        for place in np.flatnonzero(left & has[rarest]):
            side = max((0, 1), key=lambda side: (wanted[side, rarest], room[side]))
            wanted[side] -= has[:, place]
            room[side] -= 1
            left[place] = False
            if side == 1:
                found.append(int(place))
    yield rows[np.array(found, dtype=np.intp)]


def _by_group(data: Data, fraction: float, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Groups in random order, as long as each of them brings nearer to the share."""
    assert data.groups is not None
    names = _source_groups(data)
    if len(names) < 2:
        raise ValueError(
            f"groups holds one group, {names.tolist()[0]!r}, of the source rows, and whole groups "
            "are held out for early stopping; give groups=None or early_stopping=False."
        )
    missing = fraction * data.source.sum()
    left = len(names)
    for name in generator.permutation(names):
        index = np.flatnonzero(data.source & (data.groups == name))
        is_first = left == len(names)
        if left > 1 and (is_first or abs(missing - len(index)) < abs(missing)):
            left -= 1
            missing -= len(index)
            yield index


def _source_groups(data: Data) -> np.ndarray:
    assert data.groups is not None
    return np.unique(data.groups[data.source])
