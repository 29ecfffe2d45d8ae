"""Functions compiled by numba."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

__all__ = ["compiled"]


@cache
def compiled(
    function: Callable[..., Any], signature: str, reassociate: bool = False, nogil: bool = True
) -> Callable[..., Any]:
    """`function` compiled for one signature: the same machine code, hence the same bits.

    `reassociate` lets sums use vector registers, while NaN and infinity keep their meaning.
    With `nogil` other threads can run meanwhile; for work of a few microseconds, waiting for
    the interpreter's lock afterwards would take longer than the work.
    """
    import numba  # slow to import

    compile_ = partial(
        numba.njit,
        signature,
        nogil=nogil,
        error_model="numpy",
        fastmath={"contract", *(("reassoc", "nsz") if reassociate else ())},
    )
    try:
        return compile_(cache=True)(function)
    except Exception:  # no folder for the cache, a full disk, a damaged file: do without
        return compile_()(function)
