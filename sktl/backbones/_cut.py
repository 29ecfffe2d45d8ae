"""Cut a user's module into blocks, or find that it cannot be done."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ._fx import CannotCut, cut_graph

__all__ = ["cut_module"]


@torch.no_grad()
def cut_module(module: nn.Module, rows: Tensor) -> tuple[list[nn.Module], str]:
    """Blocks that, run in order, compute what `module` computes.

    Parameters
    ----------
    module : nn.Module
        In eval mode.
    rows : Tensor of shape (n, ...)
        Example input, n >= 3, on which the blocks are compared with the module.

    Returns
    -------
    blocks : list of nn.Module
        The module alone when it cannot be cut.
    reason : str
        Why it could not be cut, or "".
    """
    declared = _declared_blocks(module)
    if declared is None and isinstance(module, nn.Sequential) and _is_chain(module):
        declared = list(module)
    blocks = _checked(declared, module, rows) if declared else []
    if blocks:
        return blocks, ""
    try:
        blocks = _checked(cut_graph(module, rows, declared or ()), module, rows)
    except CannotCut as error:
        return [module], str(error)
    if not blocks:
        return [module], "its traced graph gives other values than its forward"
    if len(blocks) == 1:
        return [module], "no single tensor flows between its layers"
    return blocks, ""


def _is_chain(module: nn.Sequential) -> bool:
    return type(module).forward is nn.Sequential.forward


def _declared_blocks(module: nn.Module) -> list[nn.Module] | None:
    declared: Any = getattr(module, "blocks", None)
    if not isinstance(declared, nn.ModuleList | nn.Sequential | list | tuple) or not len(declared):
        return None
    return list(declared) if all(isinstance(block, nn.Module) for block in declared) else None


def _checked(blocks: Sequence[nn.Module], module: nn.Module, rows: Tensor) -> list[nn.Module]:
    """Blocks joined where they must not be parted; empty when they are not the module."""
    per_row = [True] * len(blocks)
    for n_rows in (len(rows), len(rows) - 1):
        expected = module(rows[:n_rows].clone())
        values: Any = rows[:n_rows].clone()
        try:
            for i, block in enumerate(blocks):
                values = block(values)
                per_row[i] &= isinstance(values, Tensor) and len(values) == n_rows
        except Exception:
            return []
        if not _same(values, expected):
            return []
    return _join(blocks, per_row) if _same_in_training(blocks, module, rows) else []


def _same_in_training(blocks: Sequence[nn.Module], module: nn.Module, rows: Tensor) -> bool:
    """Compare with dropout and batch statistics; buffers are put back."""
    buffers = {name: value.clone() for name, value in module.named_buffers()}
    outputs: list[Any] = []
    module.train()
    try:
        for run in (module, nn.Sequential(*blocks)):
            torch.default_generator.manual_seed(0)
            outputs.append(run(rows.clone()))
            _restore(module, buffers)
    except Exception:
        # So few rows may be too few for the module itself: then there is nothing to compare.
        return not outputs
    finally:
        _restore(module, buffers)
        module.eval()
    return _same(*outputs)


def _restore(module: nn.Module, buffers: dict[str, Tensor]) -> None:
    for name, value in buffers.items():
        module.get_buffer(name).copy_(value)


def _same(values: Any, expected: Any) -> bool:
    if not isinstance(values, Tensor) or not isinstance(expected, Tensor):
        return False
    if values.shape != expected.shape:
        return False
    scale = float(expected.abs().max()) if expected.numel() else 0.0
    return torch.allclose(values, expected, rtol=1e-4, atol=1e-5 * scale, equal_nan=True)


def _join(blocks: Sequence[nn.Module], per_row: list[bool]) -> list[nn.Module]:
    """Join neighbours between which no batch of rows flows or that share parameters."""
    last_use = {id(p): i for i, block in enumerate(blocks) for p in _state(block)}
    joined: list[list[nn.Module]] = [[]]
    reach = 0
    for i, block in enumerate(blocks):
        joined[-1].append(block)
        reach = max([reach, *(last_use[id(p)] for p in _state(block))])
        if i >= reach and per_row[i] and i + 1 < len(blocks):
            joined.append([])
    return [group[0] if len(group) == 1 else nn.Sequential(*group) for group in joined]


def _state(block: nn.Module) -> list[Tensor]:
    return [*block.parameters(), *block.buffers()]
