"""Weights: where they lie, how they are read, whether they fit."""

import hashlib
import os
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from .. import _download
from ..exceptions import WeightsError

__all__ = [
    "WeightsFile",
    "WeightsSource",
    "check_weights",
    "fill",
    "fingerprint",
    "locate",
    "read_state",
]

_SUFFIXES = (".safetensors", ".pth", ".pt")
# Attributes that do not change what a network computes in eval mode.
_MODES = ("training", "fixed_statistics", "cuttable", "uncut_reason")
_SHIPPED = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class WeightsFile:
    """A published file; without `sha256` the hash seen first is recorded and kept to."""

    name: str
    url: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class WeightsSource:
    """Files that hold the same network, the preferred one first.

    `shipped` files lie in the package; others in the folder ``weights`` of
    :func:`sktl._download.home`.
    """

    files: tuple[WeightsFile, ...]
    shipped: bool = False


def check_weights(weights: Any) -> None:
    """Raise unless `weights` is "pretrained", None or the path of a file of weights."""
    if weights is None or (isinstance(weights, str) and weights == "pretrained"):
        return
    is_path = isinstance(weights, str | os.PathLike)
    if not is_path or Path(weights).suffix not in _SUFFIXES:
        raise ValueError(
            f"weights={weights!r} is not understood; give 'pretrained', None for random weights, "
            "or the path of a .safetensors, .pth or .pt file."
        )


def locate(source: WeightsSource) -> Path:
    """Path of the first file that is there, its hash checked; downloaded if there is none."""
    folder = _SHIPPED if source.shipped else _download.home() / "weights"
    for file in source.files:
        path = folder / file.name
        if path.is_file():
            _check_hash(path, file)
            return path
    for file in source.files:
        if file.url is not None:
            return _fetch(file, file.url, folder / file.name)
    names = " or ".join(file.name for file in source.files)
    raise WeightsError(f"No weights in {folder}: put {names} there, or give weights=<path>.")


def read_state(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Tensors of a file by name; nothing in it is executed."""
    path = Path(path)
    if not path.is_file():
        raise WeightsError(
            f"No file of weights at {path}; give the path of a .safetensors, .pth or .pt file."
        )
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise _unreadable(path, str(error)) from error
    return _tensors(_load_pickle(path), path)


def fill(module: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Load `state` into `module`; every name and shape must fit."""
    expected = module.state_dict()
    # Counters of BatchNorm, absent from converted checkpoints and unused with fixed momentum.
    counters = {name for name in expected if name.endswith("num_batches_tracked")}
    missing = [name for name in expected if name not in state and name not in counters]
    unexpected = [name for name in state if name not in expected]
    wrong = [
        f"{name} is {tuple(state[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected
        if name in state and state[name].shape != expected[name].shape
    ]
    problems = [
        f"{len(names)} {kind}: {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"
        for kind, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", wrong),
        )
        if names
    ]
    if problems:
        raise WeightsError(
            f"The weights of {where} are those of another network ({'; '.join(problems)})."
        )
    module.load_state_dict(dict(state), strict=False)


def fingerprint(module: nn.Module) -> str:
    """SHA-256 of a module's architecture, settings, parameters and buffers.

    Settings are the public attributes that are numbers, text, tuples, dataclasses, tensors or
    arrays. Code is not looked at: two classes of one name and settings are the same.

    Parameters
    ----------
    module : nn.Module
        On any device.

    Returns
    -------
    str
        64 hexadecimal digits, equal for equal networks in every process.

    Examples
    --------
    >>> from torch import nn
    >>> from sktl.backbones import fingerprint
    >>> layer = nn.Linear(2, 1)
    >>> before = fingerprint(layer)
    >>> nn.init.zeros_(layer.weight).shape
    torch.Size([1, 2])
    >>> before == fingerprint(layer)
    False
    """
    architecture = f"{type(module).__qualname__} {_without_addresses(module)}"
    digest = hashlib.sha256(architecture.encode())
    for name, value in sorted(module.state_dict().items()):
        if not isinstance(value, Tensor):
            digest.update(f"{name} {value!r}".encode())
            continue
        _add_tensor(digest, name, value)
    for name, part in module.named_modules():
        for key, value in sorted(vars(part).items()):
            numeric = isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
            if isinstance(value, Tensor) or numeric:
                _add_tensor(digest, f"{name} {key}", torch.as_tensor(value))
            elif not key.startswith("_") and key not in _MODES and _is_setting(value):
                digest.update(f"{name} {key} {_without_addresses(value)}".encode())
    return digest.hexdigest()


def _is_setting(value: Any) -> bool:
    return isinstance(value, int | float | str | tuple) or is_dataclass(value)


def _without_addresses(value: Any) -> str:
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _add_tensor(digest: Any, name: str, value: Tensor) -> None:
    digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
    flat = value.detach().cpu().contiguous().reshape(-1)
    digest.update(flat.view(torch.uint8).numpy().data)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, computed once per contents and process."""
    status = path.stat()
    return _sha256(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _sha256(path: Path, _mtime_ns: int, _size: int) -> str:
    return _download.file_sha256(path)


def _record(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _check_hash(path: Path, file: WeightsFile) -> None:
    """Compare with the published hash, else with the one recorded on first use."""
    record = _record(path)
    expected = file.sha256
    if expected is None and record.is_file():
        expected = record.read_text("utf-8").split(maxsplit=1)[0]
    if expected is None:
        read_state(path)
        _write_record(path)
        return
    seen = sha256_of(path)
    if seen != expected:
        advice = "" if file.sha256 else f" (and {record}, if you replaced the file on purpose)"
        raise WeightsError(
            f"{path} has SHA-256 {seen} instead of {expected}: it is damaged or another file. "
            f"Remove {path}{advice} and try again."
        )


def _write_record(path: Path) -> None:
    """Keep the hash beside the file; a read-only folder goes without."""
    part = path.with_name(f"{path.name}.sha256.{os.getpid()}.part")
    try:
        part.write_text(f"{sha256_of(path)}  {path.name}\n", "utf-8")
        os.replace(part, _record(path))
    except OSError:
        part.unlink(missing_ok=True)


def _fetch(file: WeightsFile, url: str, path: Path) -> Path:
    """Download; what cannot be read as weights does not stay."""
    _download.fetch_file(url, path, sha256=file.sha256)
    try:
        _check_hash(path, file)
    except WeightsError as error:
        path.unlink(missing_ok=True)
        raise WeightsError(
            f"{url} gave a file that cannot be read as weights; it was not kept. Try again, or "
            f"put {file.name} into {path.parent}."
        ) from error
    return path


def _load_pickle(path: Path) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        refused = re.search(r"GLOBAL (\S+)", str(error))
        if refused and isinstance(error, pickle.UnpicklingError):
            raise WeightsError(
                f"{path} holds {refused[1]}, not tensors alone, and loading it could run code of "
                "its author: refused. Let its author save the state dict with safetensors."
            ) from error
        reason = type(error).__name__ if "\n" in str(error) else str(error)
        raise _unreadable(path, reason) from error


def _unreadable(path: Path, reason: str) -> WeightsError:
    return WeightsError(
        f"{path} cannot be read as weights: it is truncated, damaged or of another format "
        f"({reason}). Remove {path} and try again."
    )


def _tensors(loaded: Any, path: Path) -> dict[str, Tensor]:
    """State dict of a checkpoint, itself or under its usual names."""
    for key in ("state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise WeightsError(
            f"{path} holds {type(loaded).__name__}, not a state dict (names and tensors)."
        )
    return dict(loaded)
