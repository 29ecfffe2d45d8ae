"""Any embedding as a model of the HEAR benchmark, for its evaluation kit.

The functions are those of the benchmark's common API (Turian et al., "HEAR: holistic evaluation of
audio representations", NeurIPS 2021 competition track). The kit is given the name of this module,
``sktl.embedding.hear``, as the path of the model the name of a backbone or a file that
``save_backbone`` wrote (without one it evaluates "speech-mini"), and as options of the model, if
any, parameters of ``PretrainedEmbedding``.
"""

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from .._validation import resolve_device
from ..backbones import input_kind
from ..datasets import load_voices
from ._layers import names_several
from ._pretrained import PretrainedEmbedding

__all__ = ["HearModel", "get_scene_embeddings", "get_timestamp_embeddings", "load_model"]

HOP_SECONDS = 0.05
WINDOW_SECONDS = 0.96
CLIPS_AT_ONCE = 256
# Of the voices shipped: 42 clips, each of another speaker or word.
EVERY_VOICE = 20


class HearModel(nn.Module):
    """What :func:`load_model` returns: a module, because the benchmark's kit takes no other.

    It is computed where ``to(device)`` puts it; in the beginning, on the embedding's `device`.

    Parameters
    ----------
    backbone : str, path-like, Module, estimator or PretrainedEmbedding
        A network that takes clips, as :class:`~sktl.PretrainedEmbedding` takes it, or such an
        embedding, which is copied, and fitted here where it is not.
    **options
        Parameters of the embedding; not beside one that is given.

    Attributes
    ----------
    embedding : PretrainedEmbedding
        Fitted.
    sample_rate : int
        In Hz.
    scene_embedding_size, timestamp_embedding_size : int
        Width of the embeddings.
    """

    place: Tensor

    def __init__(self, backbone: Any = "speech-mini", **options: Any) -> None:
        super().__init__()
        self.embedding = _fitted(_embedding(backbone, options))
        self.sample_rate = self.embedding.backbone_.input_spec.sr or 0
        size = len(self.embedding.get_feature_names_out())
        self.scene_embedding_size = self.timestamp_embedding_size = size
        # All that `to` moves: the network itself follows when it is run, and stays in eval mode.
        place = torch.empty(0, device=resolve_device(self.embedding.device))
        self.register_buffer("place", place, persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """Embeddings (n_clips, size) of clips (n_clips, n_samples), on their device."""
        self.embedding.device = self.place.device
        rows = list(audio.detach().to(torch.float32).cpu().numpy())
        return torch.from_numpy(self.embedding.transform(rows)).to(audio.device)


def _embedding(backbone: Any, options: dict[str, Any]) -> PretrainedEmbedding:
    """The embedding asked for, a copy of one that was given."""
    if not isinstance(backbone, PretrainedEmbedding):
        return PretrainedEmbedding(backbone, **{"random_state": 0, **options})
    if options:
        raise ValueError(
            f"Options {', '.join(sorted(options))} beside a PretrainedEmbedding, which has its "
            "own: set them there, or give the name of its backbone."
        )
    return copy.deepcopy(backbone)


def _fitted(embedding: PretrainedEmbedding) -> PretrainedEmbedding:
    """The same, fitted; an error where it would not give a row for each clip."""
    for name, right in (("output", "'rows'"), ("pooling", "'mean', 'max', …")):
        value = getattr(embedding, name)
        if value in ("frames", None):
            raise ValueError(
                f"{name}={value!r} keeps frames, but the benchmark takes one row for each clip; "
                f"give {name}={right} (get_timestamp_embeddings makes rows along a clip)."
            )
    kind = input_kind(embedding.backbone)
    if kind not in ("waveform", None):
        raise ValueError(
            f"backbone={embedding.backbone!r} takes {kind}, but the benchmark gives clips; give a "
            "backbone that takes clips, such as 'speech-mini'."
        )
    if embedding.__sklearn_is_fitted__():
        return embedding
    silence = [np.zeros(1, dtype=np.float32)]
    if not names_several(embedding.layers):
        return embedding.fit(silence)
    if embedding.fusion == "weighted":
        raise ValueError(
            f"fusion='weighted' of layers={embedding.layers!r} is learned from labels, which are "
            "not given here; give fusion='concat' or 'mean', or a PretrainedEmbedding that was "
            "fitted with labels."
        )
    sr = copy.deepcopy(embedding).set_params(layers="last").fit(silence).backbone_.input_spec.sr
    voices, *_ = load_voices(sr=sr or 0, return_X_y=True)
    return embedding.fit(voices[::EVERY_VOICE])


def load_model(model_file_path: Any = "", **options: Any) -> HearModel:
    """Make the model that the other functions take.

    Parameters
    ----------
    model_file_path : str or PretrainedEmbedding, default=""
        Name of a backbone, or a file that ``save_backbone`` wrote; "" for "speech-mini". Beside
        the kit, whatever `HearModel` takes: a fitted embedding keeps what it has learned.
    **options
        Parameters of :class:`~sktl.PretrainedEmbedding`, such as ``layers`` and ``fusion``.
        Several layers are standardised on words spoken by the voices of
        :func:`~sktl.datasets.load_voices`.

    Returns
    -------
    HearModel

    Examples
    --------
    >>> import torch
    >>> from sktl.embedding import hear
    >>> model = hear.load_model()
    >>> hear.get_scene_embeddings(torch.zeros(2, model.sample_rate), model).shape
    torch.Size([2, 192])
    >>> hear.load_model(layers=[4, 8], pooling="mean_std").scene_embedding_size
    1024
    """
    named = not isinstance(model_file_path, str) or model_file_path
    return HearModel(model_file_path if named else "speech-mini", **options)


def get_scene_embeddings(audio: Tensor, model: HearModel) -> Tensor:
    """Embed every clip as a whole.

    Parameters
    ----------
    audio : Tensor of shape (n_clips, n_samples)
        In [-1, 1] at ``model.sample_rate``.
    model : HearModel
        From :func:`load_model`.

    Returns
    -------
    Tensor of shape (n_clips, scene_embedding_size)
    """
    return model(_check(audio))


def get_timestamp_embeddings(audio: Tensor, model: HearModel) -> tuple[Tensor, Tensor]:
    """Embed a window of 0.96 s around every twentieth of a second.

    Parameters
    ----------
    audio : Tensor of shape (n_clips, n_samples)
        In [-1, 1] at ``model.sample_rate``. Windows reach into silence at both ends.
    model : HearModel
        From :func:`load_model`.

    Returns
    -------
    embeddings : Tensor of shape (n_clips, n_timestamps, timestamp_embedding_size)
    timestamps : Tensor of shape (n_clips, n_timestamps)
        Centres of the windows in milliseconds, from 0 to at most the end of the clips.
    """
    n_clips, n_samples = _check(audio).shape
    hop = round(HOP_SECONDS * model.sample_rate)
    width = round(WINDOW_SECONDS * model.sample_rate)
    n_windows = 1 + n_samples // hop
    padded = pad(audio, (width // 2, width))
    windows = padded.unfold(1, width, hop)[:, :n_windows].reshape(-1, width)
    parts = [model(part) for part in windows.split(CLIPS_AT_ONCE)]
    times = torch.arange(n_windows, device=audio.device) * (1000.0 * hop / model.sample_rate)
    return torch.cat(parts).reshape(n_clips, n_windows, -1), times.repeat(n_clips, 1)


def _check(audio: Tensor) -> Tensor:
    if not isinstance(audio, Tensor) or audio.ndim != 2 or not audio.is_floating_point():
        shape = tuple(getattr(audio, "shape", ()))
        raise ValueError(
            f"audio is a {type(audio).__name__} of shape {shape}; give a float tensor of shape "
            "(n_clips, n_samples)."
        )
    return audio
