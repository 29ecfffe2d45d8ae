"""Values by what they hold, in words that are the same in every process."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import nn

from ..backbones import fingerprint

__all__ = ["described"]

PLAIN = (type(None), bool, int, float, complex, str, bytes)


def described(value: Any, inside: tuple[int, ...] = ()) -> str:
    """Describe a value by its type and all that it holds.

    Of a function that is its code, the defaults and what it refers to from around it, but not
    what it calls; of an object, what a pickle would hold. What cannot be told from another of its
    type is described by the type alone.

    Parameters
    ----------
    value : object
        Of any type.
    inside : tuple of int, default=()
        Identities of the values that it is part of.
    """
    if isinstance(value, PLAIN):
        return repr(value)
    if isinstance(value, type | BuiltinFunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    if id(value) in inside:
        return f"<{len(inside) - inside.index(id(value))} above>"
    inside = (*inside, id(value))
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.dtype.hasobject):
        value = value.tolist()
    if isinstance(value, np.ndarray | torch.Tensor):
        return _of_array(value)
    name = type(value).__qualname__
    return f"{name}({', '.join(_parts(value, inside))})"


def _of_array(value: Any) -> str:
    array = value.detach().cpu().contiguous() if isinstance(value, torch.Tensor) else value
    bits = array.view(torch.uint8).numpy() if isinstance(array, torch.Tensor) else array
    digest = hashlib.sha256(np.ascontiguousarray(bits).tobytes()).hexdigest()
    return f"{type(value).__name__}({value.dtype}, {tuple(value.shape)}, {digest})"


def _parts(value: Any, inside: tuple[int, ...]) -> Iterable[str]:
    """Of a value of several parts, each described."""
    if isinstance(value, nn.Module):
        return [fingerprint(value)]
    if isinstance(value, set | frozenset):
        return sorted(described(part, inside) for part in value)
    return [described(part, inside) for part in _members(value)]


def _members(value: Any) -> Iterable[Any]:
    """What a value consists of."""
    if isinstance(value, Mapping):
        return [part for item in value.items() for part in item]
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        own = (value.__module__, value.__qualname__, value.__code__)
        return [*own, value.__defaults__, value.__kwdefaults__, *cells]
    if isinstance(value, CodeType):
        return [value.co_code, value.co_consts, value.co_names, value.co_varnames]
    if isinstance(value, MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, partial):
        return [value.func, value.args, value.keywords]
    try:
        made = value.__reduce_ex__(4)
    except TypeError:  # a lock, an open file
        return []
    return [made] if isinstance(made, str) else [*made[:3], *(list(p or ()) for p in made[3:5])]
