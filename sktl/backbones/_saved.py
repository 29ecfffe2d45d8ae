"""Trained networks as files: tensors, and a description instead of code."""

import copy
import json
import math
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..exceptions import WeightsError
from ._base import Backbone
from ._catalogue import RowShape, available_backbones, find
from ._hear import HearBackbone
from ._lora import merge_lora
from ._state import read_state

__all__ = [
    "Description",
    "check_fits",
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
STATISTICS = {"mean", "scale"}
# A file may name a network, not code to import nor further files to read.
NAMED = ("hf:{", "torchvision:")
MOST_VALUES = 2**40


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
        File whose name ends in ``.safetensors``: the tensors, and in its header as JSON the
        name of the network and the shape of the rows it was built to. A file that is there is
        replaced, as by :func:`joblib.dump`, and is whole at any moment, the old or the new one.

    Raises
    ------
    ValueError
        If the name ends otherwise, there is no such folder, or the network is a module of
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
    if path.is_dir():
        raise ValueError(f"{path} is a folder; give the path of a file.")
    if not path.parent.is_dir():
        raise ValueError(f"{path.parent} is no folder; make it first.")
    name, row_shape = body.made_from
    description = Description(name, row_shape, body.fixed_statistics)
    if body.lora_rank is not None:
        body = merge_lora(copy.deepcopy(body))
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
    if path.is_dir():
        raise WeightsError(
            f"{path} is a folder; give a file that save_backbone wrote, or for a network of "
            f"transformers backbone='hf:{path}'."
        )
    if path.suffix != SUFFIX:
        raise WeightsError(
            f"{path} is no file of save_backbone, whose names end in {SUFFIX!r}; for a file of "
            "weights give the name of its network as backbone, and weights=<this file>."
        )
    if not path.is_file():
        home = " ('~' is not expanded)" if str(path).startswith("~") else ""
        raise WeightsError(
            f"No file at {path}{home}; give backbone=<file that save_backbone wrote>."
        )
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(KEY)
        description = None if text is None else _parse(text)
    except (SafetensorError, OSError, ValueError, TypeError, RecursionError) as error:
        raise WeightsError(f"{path} cannot be read as a network ({error}).") from error
    if description is None:
        raise WeightsError(
            f"{path} holds weights but does not say of which network; give its name as backbone "
            "and weights=<this file>."
        )
    return description


def _parse(text: str) -> Description:
    """Description of that JSON; ValueError or TypeError for anything else."""
    name, shape, fixed_statistics = Description(**json.loads(text))
    if not isinstance(name, str) or not isinstance(fixed_statistics, bool):
        raise TypeError("name is no text, or fixed_statistics no truth value")
    if not name.startswith(NAMED) and (":" in name or is_saved(name)):
        raise ValueError(f"it names {name!r}, and a file may not lead to code or to other files")
    if shape is None:
        return Description(name, None, fixed_statistics)
    whole = isinstance(shape, list) and all(type(n) is int and n > 0 for n in shape)
    if not whole or math.prod(shape) > MOST_VALUES:
        raise ValueError(f"row_shape={str(shape)[:60]} is no shape of a row")
    return Description(name, tuple(shape), fixed_statistics)


def check_fits(path: str | os.PathLike[str], description: Description) -> None:
    """Raise unless the network described is as large as the tensors; neither is made or read."""
    name, row_shape, _ = description
    if name not in available_backbones():
        return
    try:
        with torch.device("meta"):
            expected = find(name).build(row_shape).state_dict()
    except ValueError as error:
        raise WeightsError(f"{path} cannot be read as a network ({error})") from error
    with safe_open(path, "pt") as file:
        found = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
    wrong = [key for key, value in expected.items() if found.get(key) != list(value.shape)]
    if wrong:
        raise WeightsError(
            f"The weights of {path} are those of another network than {name!r}, which it names "
            f"({len(wrong)} missing or of another shape: {', '.join(wrong[:4])})."
        )


def read_tensors(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Tensors of the network."""
    return {key: value for key, value in read_state(path).items() if not key.startswith(INPUT)}


def read_input_statistics(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Statistics that the rows were standardised with; the other tensors are not read."""
    with safe_open(path, "pt") as file:
        names = [key for key in file.keys() if key.startswith(INPUT)]  # noqa: SIM118
        found = {key.removeprefix(INPUT): file.get_tensor(key) for key in names}
    kinds = {(value.shape, value.is_floating_point()) for value in found.values()}
    if found and (found.keys() != STATISTICS or kinds != {(found["mean"].shape, True)}):
        raise WeightsError(f"{path} holds statistics of rows as save_backbone never writes them.")
    return found
