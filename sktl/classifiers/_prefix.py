"""What the frozen part makes of rows; found again where another fit has stored it."""

import hashlib
from collections.abc import Iterator
from copy import copy
from functools import partial
from typing import Any

from ..backbones import Backbone, Units, fingerprint
from ..embedding._cache import Store, open_store
from ..embedding._rows import OnTheWay, Rows, iter_units
from ._module import TransferModule

__all__ = ["contexts", "prefix_units"]


def prefix_units(
    module: TransferModule, rows: Rows, depth: int, memory: Any = None
) -> Iterator[Units]:
    """All rows after the first `depth` blocks, a chunk at a time.

    A row that is stored at a smaller depth goes on from the largest of these.

    Parameters
    ----------
    module : TransferModule
        On its device; put into eval mode.
    rows : Clips or ndarray
        Checked rows.
    depth : int
        0 for units without scaling; one more than there are blocks for the embedding of units.
    memory : path-like, joblib.Memory, ":memory:" or None, default=None
        Where rows are stored.

    Yields
    ------
    Units
    """
    weight = next(module.eval().head.parameters())
    run, store = None, None
    on_the_way: list[OnTheWay] = []
    if depth:
        run = partial(module.prefix, stop=depth)
        if open_store(memory, "") is not None:
            store, on_the_way = _stores(module, depth, memory)
    yield from iter_units(
        rows,
        module.body,
        run,
        device=weight.device,
        dtype=weight.dtype,
        store=store,
        on_the_way=on_the_way,
    )


def _stores(module: TransferModule, depth: int, memory: Any) -> tuple[Store | None, list[OnTheWay]]:
    """Where rows lie at a depth, and at smaller ones, the largest first."""
    stores = {d: open_store(memory, text) for d, text in enumerate(contexts(module, depth))}
    on_the_way = [
        OnTheWay(store, partial(module.prefix, stop=depth, start=d))
        for d in range(depth - 1, 0, -1)
        if (store := stores[d]) is not None and store.has_rows()
    ]
    return stores[depth], on_the_way


def contexts(module: TransferModule, depth: int) -> list[str]:
    """What rows depend on at each depth from 0 to `depth`; every block is looked at once."""
    body = module.body
    begin = f"{fingerprint(module.input_scaler)} {fingerprint(_without_blocks(body))}"
    digest = hashlib.sha256(begin.encode())
    found = [digest.hexdigest()]
    for block in body.blocks[:depth]:
        digest.update(fingerprint(block).encode())
        found.append(digest.hexdigest())
    if depth > len(body.blocks):
        digest.update(b"embedding")
        found.append(digest.hexdigest())
    return [f"prefix {text}" for text in found]


def _without_blocks(body: Backbone) -> Backbone:
    """The same body, front end and all, but no block."""
    rest = copy(body)
    rest._modules = {name: part for name, part in body._modules.items() if name != "blocks"}
    return rest
