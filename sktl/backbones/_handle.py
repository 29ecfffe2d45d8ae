"""A module that is made when needed: cheap to clone, small in a pickle."""

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from torch import Tensor, nn

from .._random import torch_seed
from ._state import read_state
from ._weights import check_weights, fill, fingerprint

__all__ = ["ModuleHandle"]

StateSource = str | os.PathLike[str] | Callable[[], Mapping[str, Tensor]] | None


class ModuleHandle:
    """Immutable reference to a module: how to make it and where its weights are.

    As the ``backbone`` of an estimator it costs nothing to clone and is pickled without
    tensors, while a module itself is copied by every :func:`sklearn.base.clone`. Modules that
    cannot be copied, such as those of :func:`torch.nn.utils.weight_norm`, work as well.

    Parameters
    ----------
    factory : callable
        Makes the module; takes no arguments. A function of a module of yours, a class or a
        :func:`functools.partial` can be pickled, a lambda cannot.
    weights : path-like or callable, default=None
        File of weights (.safetensors, .pth or .pt) or function that returns a state dict,
        with the names of the factory's module; None keeps the weights the factory made.

    Examples
    --------
    >>> from functools import partial
    >>> from sklearn.base import clone
    >>> from torch import nn
    >>> from sktl.backbones import ModuleHandle
    >>> handle = ModuleHandle(partial(nn.Linear, 20, 8))
    >>> handle.load()
    Linear(in_features=20, out_features=8, bias=True)
    >>> clone(handle, safe=False) is handle
    True
    """

    __slots__ = ("_fingerprint", "factory", "weights")

    factory: Callable[[], nn.Module]
    weights: StateSource
    _fingerprint: str | None

    def __init__(self, factory: Callable[[], nn.Module], weights: StateSource = None) -> None:
        if isinstance(factory, nn.Module) or not callable(factory):
            raise ValueError(
                f"factory is {type(factory).__name__}; give a function without arguments that "
                "makes the module, for example functools.partial(MyNetwork, 64)."
            )
        if not callable(weights):
            check_weights(weights)
            if weights == "pretrained":
                raise ValueError("weights='pretrained' says nothing here; give a path or None.")
        object.__setattr__(self, "factory", factory)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "_fingerprint", None)

    def load(self, weights: bool = True) -> nn.Module:
        """Make the module.

        Parameters
        ----------
        weights : bool, default=True
            False leaves the module as the factory made it.

        Returns
        -------
        nn.Module
            A new one on each call.
        """
        module = self.factory()
        if not isinstance(module, nn.Module):
            raise ValueError(
                f"{self.factory!r} returned {type(module).__name__}; it must return an nn.Module."
            )
        if weights and self.weights is not None:
            fill(module, self._state(), str(self.weights))
        return module

    def fingerprint(self) -> str:
        """SHA-256 of the module as loaded (random weights from seed 0), computed once."""
        if self._fingerprint is not None:
            return self._fingerprint
        with torch_seed(0):
            seen = fingerprint(self.load())
        object.__setattr__(self, "_fingerprint", seen)
        return seen

    def _state(self) -> Mapping[str, Tensor]:
        if callable(self.weights):
            return self.weights()
        assert self.weights is not None
        path = Path(self.weights)
        modified = path.stat().st_mtime_ns if path.is_file() else 0
        return _read_once(path, modified)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} cannot be changed; make another one.")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} cannot be changed; make another one.")

    def __copy__(self) -> "ModuleHandle":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "ModuleHandle":
        return self

    def __reduce__(self) -> tuple[type, tuple[Any, Any]]:
        return type(self), (self.factory, self.weights)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ModuleHandle):
            return NotImplemented
        return _identity(self.factory) == _identity(other.factory) and _identity(
            self.weights
        ) == _identity(other.weights)

    def __hash__(self) -> int:
        factory = self.factory
        return hash(factory.func if isinstance(factory, functools.partial) else factory)

    def __repr__(self) -> str:
        return f"ModuleHandle({_name(self.factory)}, weights={_name(self.weights)})"


@functools.lru_cache(maxsize=2)
def _read_once(path: Path, _mtime_ns: int) -> dict[str, Tensor]:
    return read_state(path)


def _identity(source: Any) -> Any:
    """Something equal for sources that make the same, in this process or after pickling."""
    if isinstance(source, functools.partial):
        return source.func, source.args, source.keywords
    return os.fspath(source) if isinstance(source, os.PathLike) else source


def _name(source: Any) -> str:
    return getattr(source, "__qualname__", None) or repr(source)
