"""What a file of weights holds: tensors by name, and nothing that could run."""

import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.serialization import safe_globals

from ..exceptions import WeightsError

__all__ = ["read_state", "refusal"]

# Before it, a file could run code or write into memory in spite of weights_only=True
# (CVE-2025-32434, CVE-2026-24747).
_FIRST_SAFE_TORCH = (2, 10)
# torch.save compresses nothing; beyond this, a small file would fill the memory.
_MOST_UNPACKED = 2
_FEW_BYTES = 2**20


class _LeftOut:
    """In place of what checkpoints hold beside tensors, such as the state of a sampler."""

    def __new__(cls, *_args: Any) -> Self:
        return super().__new__(cls)

    def __init__(self, *_args: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


# Under old and new names.
_NOT_MADE: list[Any] = [
    (_LeftOut, f"numpy.{name}")
    for core in ("core", "_core")
    for name in ("ndarray", "dtype", f"{core}.multiarray._reconstruct", f"{core}.multiarray.scalar")
]


def read_state(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Tensors of a file by name; nothing in it is executed.

    Parameters
    ----------
    path : path-like
        A .safetensors file; any other is read as a pickle of tensors, that of
        :func:`torch.save`.

    Raises
    ------
    WeightsError
        If there is no such file, or anything but tensors that are as large as they say.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        home = " ('~' is not expanded)" if str(path).startswith("~") else ""
        raise WeightsError(
            f"No file of weights at {path}, which {what}{home}; give the path of a .safetensors, "
            ".pth or .pt file."
        )
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise _unreadable(path, str(error)) from error
    return _tensors(_load_pickle(path), path)


def _load_pickle(path: Path) -> Any:
    _check_torch(path)
    try:
        _check_unpacked_size(path)
        with warnings.catch_warnings(action="ignore"), safe_globals(_NOT_MADE):
            return torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except Exception as error:
        if (refused := refusal(error)) is not None:
            raise WeightsError(f"{path} {refused}") from error
        reason = type(error).__name__ if "\n" in str(error) else str(error)
        raise _unreadable(path, reason) from error


def refusal(error: Exception) -> str | None:
    """What to say of a pickle that torch did not load; None for an error of another kind.

    torch's own words advise to load it without care.
    """
    if not isinstance(error, pickle.UnpicklingError):
        return None
    found = re.search(r"GLOBAL (\S+)", str(error))
    if found is None:
        return (
            "cannot be read as weights: it is no file of tensors as torch.save writes it, or "
            "damaged, and it may hold code, none of which was run. Remove it, or let its author "
            "save the state dict with safetensors."
        )
    return (
        f"holds {found[1]}, not tensors alone, and loading it could run code of its author: "
        "refused. Let its author save the state dict with safetensors."
    )


def _check_torch(path: Path) -> None:
    found = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if found < _FIRST_SAFE_TORCH:
        raise WeightsError(
            f"{path} is a pickle, which could run code in torch {torch.__version__} even with "
            "weights_only=True (CVE-2025-32434, CVE-2026-24747): refused. Update torch to 2.10, or "
            "let a later one save the tensors with safetensors."
        )


def _check_unpacked_size(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as file:
        unpacked = sum(info.file_size for info in file.infolist())
    if unpacked > _MOST_UNPACKED * path.stat().st_size + _FEW_BYTES:
        raise WeightsError(
            f"{path} would grow to {unpacked} bytes when it is unpacked, which torch.save never "
            "does: refused."
        )


def _unreadable(path: Path, reason: str) -> WeightsError:
    return WeightsError(
        f"{path} cannot be read as weights: it is truncated, damaged or of another format "
        f"({reason}). Remove {path} and try again."
    )


def _tensors(loaded: Any, path: Path) -> dict[str, Tensor]:
    """State dict of a checkpoint, itself or under its usual names."""
    for key in ("state_dict", "model", "model_state"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in loaded.items()
    ):
        raise WeightsError(
            f"{path} holds {type(loaded).__name__}, not a state dict (names and tensors)."
        )
    for name, value in loaded.items():
        if not _is_plain(value):
            raise WeightsError(
                f"{path} holds {name} without its values: a tensor that is sparse, quantised, or "
                "smaller than it says. Let its author save plain tensors."
            )
    return dict(loaded)


def _is_plain(value: Tensor) -> bool:
    """Whether a tensor has all of its values in the memory of the CPU."""
    if value.layout is not torch.strided or not value.is_cpu or value.is_quantized:
        return False
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()
