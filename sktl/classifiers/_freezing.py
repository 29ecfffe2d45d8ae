"""Which parts of a network do not learn."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from ..backbones import Backbone

__all__ = ["check_frozen_layers", "frozen_parts"]

N_SHOWN = 4


def frozen_parts(
    frozen_layers: int | str | Sequence[str], body: Backbone, name: str
) -> tuple[int, tuple[str, ...]]:
    """Number of blocks to freeze from the first on, and names of further parameters.

    Parameters
    ----------
    frozen_layers : int, "all" or sequence of str
        Of strings, names of parameters or modules of `body`, or patterns with ``*``.
    body : Backbone
    name : str
        What to call it in a message.
    """
    if isinstance(frozen_layers, int | str) or not isinstance(frozen_layers, Sequence):
        return check_frozen_layers(frozen_layers, body, name), ()
    names = [key for key, _ in body.named_parameters()]
    matched: set[str] = set()
    for pattern in frozen_layers:
        found = {key for key in names if _matches(key, pattern)}
        if not found:
            shown = ", ".join(names[:N_SHOWN])
            raise ValueError(
                f"frozen_layers holds {pattern!r}, which is the name of nothing in {name}; its "
                f"parameters are {shown}, … Give such names, or patterns such as 'blocks.0.*'."
            )
        matched |= found
    if matched.issuperset(names):
        return len(body.blocks), ()
    count = 0
    for i, block in enumerate(body.blocks[:-1]):  # something learns: a pooling, if not the last
        own = [f"blocks.{i}.{key}" for key, _ in block.named_parameters()]
        if not matched.issuperset(own):
            break
        count = i + 1 if own else count
    inside = tuple(f"blocks.{i}." for i in range(count))
    return count, tuple(key for key in names if key in matched and not key.startswith(inside))


def _matches(key: str, pattern: Any) -> bool:
    return isinstance(pattern, str) and (fnmatchcase(key, pattern) or key.startswith(f"{pattern}."))


def check_frozen_layers(frozen_layers: Any, body: Backbone, name: str) -> int:
    """Number of blocks to freeze, as ``blocks[:frozen_layers]`` would cut them."""
    n_blocks = len(body.blocks)
    if isinstance(frozen_layers, str):
        return n_blocks
    if not -n_blocks <= frozen_layers <= n_blocks:
        raise ValueError(
            f"frozen_layers={frozen_layers!r} but {name} has {n_blocks} blocks; "
            f"give 0..{n_blocks}, a negative index, or 'all'."
        )
    count = int(frozen_layers) + (n_blocks if frozen_layers < 0 else 0)
    if not getattr(body, "cuttable", True) and 0 < count < n_blocks:
        raise ValueError(
            f"frozen_layers={frozen_layers!r} but {name} cannot be cut into blocks; give 0 or "
            "'all', or a module with a `blocks` attribute."
        )
    return count
