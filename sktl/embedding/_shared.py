"""Networks of fitted estimators: not in the pickle where they can be found again."""

import os
import threading
from collections import OrderedDict
from contextlib import suppress
from typing import Any, NamedTuple, Self

import torch

from .._random import torch_seed
from ..backbones import Backbone, ModuleHandle, fingerprint, make_backbone
from ..backbones._module import copy_module
from ..exceptions import WeightsError

__all__ = ["FittedNetwork", "Source"]

# Networks that a process keeps for what is unpickled next.
MOST_KEPT = 2
_kept: OrderedDict[tuple[str, str], Backbone] = OrderedDict()
_lock = threading.RLock()


class Source(NamedTuple):
    """What a network was made from, as `make_backbone` takes it."""

    backbone: Any
    weights: Any
    row_shape: tuple[int, ...] | None

    @property
    def is_lasting(self) -> bool:
        """Whether it says where the weights are; a module or a function would only hold them."""
        known = isinstance(self.backbone, str | os.PathLike | ModuleHandle)
        return known and self.weights is not None

    def make(self) -> Backbone:
        """Make the network, in eval mode and without gradients; torch draws what is random."""
        body = make_backbone(self.backbone, weights=self.weights, row_shape=self.row_shape)
        return body.requires_grad_(False).eval()


class FittedNetwork:
    """A network that is pickled as its source and its fingerprint, if that is enough.

    All that are unpickled in one process share one network, which is made when it is first
    used.

    Parameters
    ----------
    body : Backbone
        Not trained after this.
    source : Source
        What it was made from.
    """

    def __init__(self, body: Backbone, source: Source) -> None:
        self._body: Backbone | None = body
        self._source = source
        self._fingerprint: str | None = None
        """Of what the source gives; "" for nothing that is the same each time."""

    def body(self, device: torch.device) -> Backbone:
        """The network, wherever it is; one that has to be found again, on that device."""
        if self._body is None:
            # Who makes a network of this one holds the generator first: two threads that took
            # them in different orders would wait for each other.
            with torch_seed(0), _lock:
                if self._body is None:
                    assert self._fingerprint is not None
                    self._body = _find(self._source, self._fingerprint, device)
        return self._body

    def on(self, device: torch.device) -> Backbone:
        """The network, moved to that device."""
        body = self.body(device)
        with _lock:
            return body.to(device)

    def __getstate__(self) -> dict[str, Any]:
        body, given = self._body, self._given()
        if body is not None and given == fingerprint(body):
            body = None
        return vars(self) | {"_body": None if body is None else _on_cpu(body)}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = object.__new__(type(self))
        vars(made).update(vars(self))
        if self._body is not None:
            made._body = copy_module(self._body)
        return made

    def _given(self) -> str:
        """Fingerprint of what the source gives, which is made once to see."""
        if self._fingerprint is None:
            seen = ""
            if self._source.is_lasting:
                # Whatever goes wrong, the pickle then holds the network.
                with suppress(Exception), torch_seed(0):
                    seen = fingerprint(self._source.make())
            self._fingerprint = seen
        return self._fingerprint


def _on_cpu(body: Backbone) -> Backbone:
    """The same or a copy, which a machine without that device can read."""
    if all(value.is_cpu for value in body.state_dict().values()):
        return body
    return copy_module(body).cpu()


def _find(source: Source, expected: str, device: torch.device) -> Backbone:
    key = expected, str(device)
    body = _kept.pop(key, None)
    if body is None:
        body = source.make()
        if (seen := fingerprint(body)) != expected:
            raise WeightsError(
                f"backbone={source.backbone!r}, weights={source.weights!r} gave the network of "
                f"fingerprint {expected[:12]} when this estimator was fitted, but {seen[:12]} now: "
                "other weights, or another version of a package. Fit the estimator again."
            )
    _kept[key] = body
    while len(_kept) > MOST_KEPT:
        _kept.popitem(last=False)
    return body
