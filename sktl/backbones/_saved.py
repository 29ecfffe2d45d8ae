"""Trained networks as files: tensors, and a description instead of code."""

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..exceptions import WeightsError
from ._base import Backbone
from ._catalogue import RowShape, find
from ._hear import HearBackbone
from ._weights import read_state

__all__ = [
    "Description",
    "describe",
    "is_saved",
    "read_description",
    "read_input_statistics",
    "read_tensors",
    "save_backbone",
    "write_backbone",
]

SUFFIX = ".safetensors"
KEY = "sktl.backbone"
INPUT = "input_scaler."


class Description(NamedTuple):
    """Which network it is, as :func:`make_backbone` takes it."""

    name: str
    row_shape: RowShape
    fixed_statistics: bool


def describe(body: Backbone, name: str, row_shape: RowShape) -> None:
    """Remember what a network was made from."""
    # The lengths of clips are no part of the network.
    body.made_from = (name, None if find(name).kind == "waveform" else row_shape)


def save_backbone(body: Backbone, path: str | os.PathLike[str]) -> None:
    """Write a network to a file that ``backbone=path`` takes.

    Parameters
    ----------
    body : Backbone
        Made by name, such as ``estimator.backbone_`` after ``backbone="yamnet"``.
    path : path-like
        New file, whose name ends in ``.safetensors``: the tensors, and in its header as JSON
        the name of the network and the shape of the rows it was built to.

    Raises
    ------
    ValueError
        If there is such a file, the name ends otherwise, or the network is a module of
        the user's own, which only code could make again.

    Examples
    --------
    >>> import tempfile, pathlib, torch
    >>> from sktl.backbones import make_backbone, save_backbone
    >>> body = make_backbone("mlp", row_shape=(20,))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "mine.safetensors")
    ...     save_backbone(body, path)
    ...     again = make_backbone(path)
    >>> torch.equal(again(torch.ones(1, 20)), body(torch.ones(1, 20)))
    True
    """
    write_backbone(body, path, {})


def write_backbone(
    body: Backbone, path: str | os.PathLike[str], input_statistics: Mapping[str, Tensor]
) -> None:
    """The same with the statistics that the rows are standardised with."""
    path = Path(path)
    if not isinstance(body, Backbone):
        raise ValueError(
            f"body is a {type(body).__name__}; give a backbone, such as estimator.backbone_, or "
            "call save_backbone of the fitted classifier."
        )
    if isinstance(body, HearBackbone):
        raise ValueError(
            "A model of the HEAR benchmark comes from a module of its own and is not written to a "
            "file here; give its name, 'hear:…', again."
        )
    if body.made_from is None:
        raise ValueError(
            "This backbone is a module of your own, of which no file without code can make "
            "another. Save its state_dict() with safetensors and give "
            "backbone=ModuleHandle(factory, file)."
        )
    if path.suffix != SUFFIX:
        raise ValueError(f"path={str(path)!r}: the name of the file has to end in {SUFFIX!r}.")
    if path.exists():
        raise ValueError(f"{path} exists; give another path, or remove it first.")
    if not path.parent.is_dir():
        raise ValueError(f"{path.parent} is no folder; make it first.")
    name, row_shape = body.made_from
    description = Description(name, row_shape, body.fixed_statistics)
    tensors = body.state_dict() | {INPUT + key: value for key, value in input_statistics.items()}
    state = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(save(state, {KEY: json.dumps(description._asdict())}))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def is_saved(backbone: Any) -> bool:
    """Tell whether `backbone` is the path of a file."""
    if isinstance(backbone, str):
        return backbone.endswith(SUFFIX)
    return isinstance(backbone, os.PathLike)


def read_description(path: str | os.PathLike[str]) -> Description:
    """What a file says of its network; the tensors are not read."""
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"No file at {path}; give backbone=<file that save_backbone wrote>.")
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(KEY)
        found = json.loads(text) if text is not None else None
        description = None if found is None else Description(**found)
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise WeightsError(f"{path} cannot be read as a network ({error}).") from error
    if description is None:
        raise WeightsError(
            f"{path} holds weights but does not say of which network; give its name as backbone "
            "and weights=<this file>."
        )
    shape = description.row_shape
    return description._replace(row_shape=None if shape is None else tuple(shape))


def read_tensors(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Tensors of the network."""
    return {key: value for key, value in read_state(path).items() if not key.startswith(INPUT)}


def read_input_statistics(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Statistics that the rows were standardised with; the other tensors are not read."""
    with safe_open(path, "pt") as file:
        names = [key for key in file.keys() if key.startswith(INPUT)]  # noqa: SIM118
        return {key.removeprefix(INPUT): file.get_tensor(key) for key in names}
