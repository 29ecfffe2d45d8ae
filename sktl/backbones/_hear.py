"""Models with the interface of the HEAR benchmark."""

import importlib
import os
from typing import Any

import torch
from torch import Tensor, nn

from ._base import Backbone, InputSpec
from ._units import UnitSpan

__all__ = ["PREFIX", "HearBackbone", "is_hear"]

PREFIX = "hear:"
FUNCTIONS = ("load_model", "get_scene_embeddings")
ATTRIBUTES = ("sample_rate", "scene_embedding_size")
TIMESTAMPS = "get_timestamp_embeddings"


def is_hear(backbone: Any) -> bool:
    """Tell whether `backbone` names a module of that interface."""
    return isinstance(backbone, str) and backbone.startswith(PREFIX)


class _Scene(nn.Module):
    """Clips of one length (n, n_samples) to one embedding each."""

    def __init__(self, module: str, model: Any) -> None:
        super().__init__()
        self.module_name = module
        self.model = model

    def forward(self, clips: Tensor) -> Tensor:
        module = importlib.import_module(self.module_name)
        embedding = module.get_scene_embeddings(clips, self.model)
        return torch.as_tensor(embedding, device=clips.device).to(clips.dtype)


class HearBackbone(Backbone):
    """A model of the HEAR benchmark: one block, from clips to scene embeddings.

    Turian et al., "HEAR: holistic evaluation of audio representations", NeurIPS 2021
    competition track; the interface is that of its common API. The module is imported, that
    is, its code runs. Clips of different lengths are run one after the other. Frames are its
    timestamp embeddings, where it has them.

    Parameters
    ----------
    module : str
        Name of an importable module with ``load_model`` and ``get_scene_embeddings``.
    weights : path-like or None, default=None
        What ``load_model`` is given; without it, nothing.

    Raises
    ------
    ValueError
        If there is no such module, or it has another interface.
    """

    cuttable = False
    uncut_reason = "a model of the HEAR benchmark tells nothing of its layers"

    def __init__(self, module: str, weights: str | os.PathLike[str] | None = None) -> None:
        super().__init__()
        functions = _import(module)
        model = functions.load_model() if weights is None else functions.load_model(str(weights))
        absent = [name for name in ATTRIBUTES if not hasattr(model, name)]
        if absent:
            raise ValueError(
                f"The model of {module!r} has no {' and no '.join(absent)}, which the HEAR API "
                "asks for."
            )
        self.blocks = nn.ModuleList([_Scene(module, model)])
        self.embedding_size = int(model.scene_embedding_size)
        if callable(getattr(functions, TIMESTAMPS, None)):
            size = getattr(model, "timestamp_embedding_size", None)
            self.frame_size = None if size is None else int(size)
        self.input_spec = InputSpec("waveform", sr=int(model.sample_rate), varying=True)

    def front_end(self, clips: list[Tensor]) -> list[Tensor]:
        """Each clip whole, (1, n_samples)."""
        return [clip.unsqueeze(0) for clip in clips]

    def unit_span(self, shape: tuple[int, ...]) -> UnitSpan:
        """The whole clip, however short."""
        length = shape[0] / (self.input_spec.sr or 1)
        return UnitSpan(length, length)

    def timed_frames(self, units: Tensor) -> tuple[Tensor, Tensor]:
        """The model's timestamp embeddings, with their times in seconds."""
        [scene] = self.blocks
        assert isinstance(scene, _Scene)
        module = importlib.import_module(scene.module_name)
        made = getattr(module, TIMESTAMPS)(units, scene.model)
        frames, times = (torch.as_tensor(part, device=units.device) for part in made)
        if frames.ndim != 3 or times.shape != frames.shape[:2]:
            raise ValueError(
                f"{TIMESTAMPS} of {scene.module_name!r} gave embeddings {tuple(frames.shape)} and "
                f"timestamps {tuple(times.shape)} of {len(units)} clips; the HEAR API asks for "
                "(n_clips, n_timestamps, size) and (n_clips, n_timestamps)."
            )
        return frames.to(units.dtype), (times.double() / 1000.0).to(units.dtype)


def _import(module: str) -> Any:
    if not all(part.isidentifier() for part in module.split(".")):
        raise ValueError(
            f"backbone='{PREFIX}{module}': {module!r} is no name that can be imported; give that "
            "of a module with the HEAR API, such as 'hear:hearbaseline'."
        )
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"backbone='{PREFIX}{module}': {error}. Install the package that holds the model, or "
            "give the name as it is imported, such as 'hear:hearbaseline'."
        ) from error
    absent = [name for name in FUNCTIONS if not callable(getattr(imported, name, None))]
    if absent:
        raise ValueError(
            f"backbone='{PREFIX}{module}': the module has no {' and no '.join(absent)}, so it does "
            "not follow the HEAR API."
        )
    return imported
