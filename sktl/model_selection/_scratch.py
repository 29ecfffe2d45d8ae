"""The same estimator without what it would transfer."""

from collections.abc import Iterable
from numbers import Real
from typing import Any

from sklearn.base import clone

__all__ = ["scratch_of"]

# Of a network: random weights, and none of the levers that hold it to where it started.
FROM_SCRATCH = {
    "weights": None,
    "frozen_layers": 0,
    "unfreeze_every": None,
    "layer_decay": 1.0,
    "l2_sp": 0.0,
    "head_epochs": "auto",
    "batch_norm": "auto",
    "lora": None,
}
GRIDS = ("param_grid", "param_distributions", "search_spaces")


def scratch_of(estimator: Any) -> tuple[Any, dict[str, Any]]:
    """Clone with every network in it at random weights and wholly trained, and what was changed."""
    name = type(estimator).__name__
    parameters = estimator.get_params(deep=True)
    networks = _networks(parameters)
    if not networks:
        raise ValueError(
            f"{name} holds no network with the parameter 'weights', so what it is without "
            "transfer is not known; give scratch=, an estimator for the target data alone."
        )
    if all(parameters[f"{network}weights"] is None for network in networks):
        raise ValueError(
            f"{name} has weights=None and transfers nothing; give the weights whose gain is "
            "asked for, or scratch=, an estimator to compare with."
        )
    wanted = {
        f"{network}{lever}": value for network in networks for lever, value in FROM_SCRATCH.items()
    }
    searched = [entry for entry in _searched(parameters) if entry in wanted]
    if searched:
        raise ValueError(
            f"{name} searches over {', '.join(map(repr, searched))}, which a network trained on "
            "the target data alone does not have; give scratch=, the search without it."
        )
    changes = {
        key: value
        for key, value in wanted.items()
        if key in parameters and not _same(parameters[key], value)
    }
    return clone(estimator).set_params(**changes), changes


def _networks(parameters: dict[str, Any]) -> list[str]:
    """Prefixes of the networks, without those that are the start of another."""
    found: list[str] = []
    for key in sorted(parameters, key=len):
        prefix, _, last = key.rpartition("weights")
        if last or not (prefix == "" or prefix.endswith("__")):
            continue
        inside = any(key.startswith(f"{outer}backbone__") for outer in found)
        if f"{prefix}backbone" in parameters and not inside:
            found.append(prefix)
    return found


def _searched(parameters: dict[str, Any]) -> Iterable[str]:
    """Parameters that a search, or one inside the estimator, tries values of."""
    for key, value in parameters.items():
        search, _, last = key.rpartition("__")
        if last in GRIDS:
            inside = f"{search}__estimator__" if search else "estimator__"
            for grid in value if isinstance(value, list | tuple) else [value]:
                yield from (f"{inside}{name}" for name in grid)


def _same(value: Any, wanted: Any) -> bool:
    return value is wanted or (isinstance(value, Real | str) and value == wanted)
