"""A fit that was killed goes on where it was."""

import hashlib
import io
import json
import os
import tempfile
import uuid
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback
from skorch.history import History

from ..backbones import Ragged
from ..exceptions import WeightsError
from ._batches import RowSet

__all__ = ["Checkpoint", "check_folder", "fit_name", "restore"]

DIGEST_BYTES = hashlib.sha256().digest_size


def check_folder(folder: Any) -> None:
    """Make the folder of checkpoints; refuse one that cannot be written to."""
    if not isinstance(folder, str | os.PathLike):
        raise ValueError(f"checkpoint={folder!r} is not a folder; give a path or None.")
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=os.fspath(folder)):
            pass
    except OSError as error:
        raise ValueError(
            f"checkpoint={os.fspath(folder)!r} is no folder that can be written to ({error}); give "
            "another."
        ) from error


def fit_name(settings: str, rows: RowSet, split: Iterable[np.ndarray] = ()) -> str:
    """Name of a fit: what it depends on, the rows above all, and which of them are held out."""
    hashed = hashlib.sha256(f"{version('sktl')} {torch.__version__} {settings}".encode())
    values = rows.units.values
    groups = values.groups if isinstance(values, Ragged) else (values,)
    order = (values.order,) if isinstance(values, Ragged) else ()
    offsets = () if rows.units.offsets is None else (rows.units.offsets,)
    further = rows.further.values()
    parts = (torch.as_tensor(part) for part in split)
    for tensor in (*groups, *order, *offsets, rows.y, rows.weight, rows.source, *further, *parts):
        hashed.update(f"{tuple(tensor.shape)}{tensor.dtype}".encode())
        hashed.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return hashed.hexdigest()[:32]


class Checkpoint(Callback):
    """Keep the state after every epoch in a file, and its weights alone at the end.

    A file is written whole or not at all.

    Parameters
    ----------
    path : Path
        File to write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Of the epoch before, whose callbacks have all been called by now."""
        if len(net.history) > 1:
            self._write(net, len(net.history) - 1, with_optimizer=True)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """What is read again when the same fit is asked for."""
        self._write(net, len(net.history), with_optimizer=False)
        _sweep(self.path)

    def _write(self, net: Any, n_epochs: int, with_optimizer: bool) -> None:
        state = {
            "history": json.dumps(list(net.history)[:n_epochs], default=_plain),
            "module": net.module_.state_dict(),
            "n_frozen": net.module_.n_frozen,
        }
        if with_optimizer:
            state["optimizer"] = net.optimizer_.state_dict()
            state["callbacks"] = {name: c.state_dict() for name, c in _with_state(net)}
        contents = io.BytesIO()
        torch.save(state, contents)
        contents.write(hashlib.sha256(contents.getvalue()).digest())
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(f"{self.path.name}.{uuid.uuid4().hex}.part")
        try:
            with part.open("wb") as file:
                file.write(contents.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self.path)
        except BaseException as error:
            part.unlink(missing_ok=True)
            # Another process that came to the end of the same fit has swept.
            if not (isinstance(error, FileNotFoundError) and self.path.is_file()):
                raise


def _plain(value: Any) -> Any:
    """A number or array in the history as JSON has it."""
    return value.tolist() if hasattr(value, "tolist") else repr(value)


def _sweep(path: Path) -> None:
    """Remove what processes left that were killed while they wrote."""
    for part in path.parent.glob(f"{path.name}.*.part"):
        part.unlink(missing_ok=True)


def _with_state(net: Any) -> Iterable[tuple[str, Any]]:
    return ((name, c) for name, c in net.callbacks_ if hasattr(c, "load_state_dict"))


def restore(net: Any, path: Path) -> bool:
    """Take up what a file holds, if there is one; say whether training had come to its end.

    Raises
    ------
    WeightsError
        If the file is damaged or holds another network.
    """
    if not path.is_file():
        return False
    module = net.module_
    device = next(module.head.parameters()).device
    try:
        state = torch.load(_checked(path), map_location=device, weights_only=True)
        own = {key: tuple(value.shape) for key, value in module.state_dict().items()}
        found = {key: tuple(value.shape) for key, value in state["module"].items()}
        history = json.loads(state["history"])
    except Exception as error:  # whatever a damaged file makes of torch's reader
        raise WeightsError(
            f"The checkpoint {path} cannot be read ({error}); delete it to begin anew."
        ) from error
    if own != found:
        other = sorted(set(own.items()) ^ set(found.items()))[0]
        raise WeightsError(
            f"The checkpoint {path} is of another network: they differ in {other[0]!r}; give "
            "another folder, or delete it to begin anew."
        )
    module.load_state_dict(state["module"])
    module.freeze(state["n_frozen"])
    net.history = History(history)
    if "optimizer" not in state:
        _sweep(path)
        return True
    net.optimizer_.load_state_dict(state["optimizer"])
    for name, callback in _with_state(net):
        callback.load_state_dict(state["callbacks"][name])
    return False


def _checked(path: Path) -> io.BytesIO:
    """Contents of a file whose last bytes are the digest of the others."""
    contents = memoryview(path.read_bytes())
    if hashlib.sha256(contents[:-DIGEST_BYTES]).digest() != contents[-DIGEST_BYTES:]:
        raise ValueError("it is not as it was written")
    return io.BytesIO(contents[:-DIGEST_BYTES])
