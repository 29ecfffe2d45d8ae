"""Blocks of a fusion: what they may be, and their fits and transforms side by side."""

import warnings
from collections.abc import Callable, Iterable
from itertools import islice
from numbers import Real
from typing import Any

from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.parallel import Parallel, delayed

from .._validation import count_threads
from ..audio._clips import is_path, is_sequence
from ._scaling import check_block

__all__ = ["check_blocks", "check_rates", "fit_block", "run_blocks", "transform_block"]


def check_blocks(pairs: Iterable[Any]) -> dict[str, Any]:
    """Transformers by name, without those dropped."""
    for pair in pairs:
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], str)):
            raise ValueError(
                f"transformers holds {pair!r}; give pairs of a name and a transformer, such "
                "as ('mfcc', MFCC())."
            )
    kept = {name: _instance(block) for name, block in pairs if block != "drop"}
    for name, block in kept.items():
        if isinstance(block, type) or not (hasattr(block, "fit") and hasattr(block, "transform")):
            raise TypeError(
                f"block '{name}' is {block!r}; give an instance with fit and transform, such "
                "as MFCC(), or 'drop' or 'passthrough'."
            )
    if not kept:
        raise ValueError(f"transformers={pairs!r} leaves no block; give at least one.")
    return kept


def check_rates(blocks: Iterable[tuple[str, Any]], X: Any) -> None:
    """Refuse blocks of different sample rates, unless each reads the files at its own."""
    if is_sequence(X) and any(map(is_path, islice(X, 1))):
        return
    rates: dict[Any, str] = {}
    for name, block in blocks:
        if isinstance(sr := getattr(block, "sr", None), Real):
            rates.setdefault(sr, f"block '{name}' has sr={sr!r}")
    if len(rates) > 1:
        raise ValueError(
            f"{' but '.join(rates.values())}, and clips given as arrays have one sample rate; "
            "give every block that rate, or give paths of files, which each block reads at its "
            "own."
        )


def run_blocks(
    function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]], n_jobs: int | None
) -> list[Any]:
    """Call a function once per block, in threads; what all of them warn of is said once."""
    parallel = Parallel(n_jobs=count_threads(n_jobs), prefer="threads")
    with warnings.catch_warnings(record=True) as caught:
        results = parallel(delayed(function)(*args) for args in arguments)
    distinct = {(str(w.message), w.category, w.filename, w.lineno): w for w in caught}
    for w in distinct.values():
        # Not warn, which would ask the filters again.
        warnings.showwarning(w.message, w.category, w.filename, w.lineno)
    return results


def fit_block(name: str, block: Any, X: Any, y: Any, params: Any) -> tuple[Any, Any]:
    """Fit a block; it and its rows."""
    if hasattr(block, "fit_transform"):
        rows = block.fit_transform(X, y, **params.get("fit_transform", {}))
        return block, check_block(name, block, rows)
    block.fit(X, y, **params.get("fit", {}))
    return block, transform_block(name, block, X, params)


def transform_block(name: str, block: Any, X: Any, params: Any) -> Any:
    """Rows of a fitted block."""
    return check_block(name, block, block.transform(X, **params.get("transform", {})))


def _instance(block: Any) -> Any:
    if isinstance(block, str) and block == "passthrough":
        return FunctionTransformer(validate=True, feature_names_out="one-to-one")
    return block
