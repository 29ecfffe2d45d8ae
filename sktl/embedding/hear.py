"""Any backbone as a model of the HEAR benchmark, for its evaluation kit.

The functions are those of the benchmark's common API (Turian et al., "HEAR: holistic evaluation of
audio representations", NeurIPS 2021 competition track). The kit is given the name of this module,
``sktl.embedding.hear``, and as the path of the model the name of a backbone or a file that
``save_backbone`` wrote; without one it evaluates "speech-mini".
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from ..backbones import input_kind
from ._pretrained import PretrainedEmbedding

__all__ = ["HearModel", "get_scene_embeddings", "get_timestamp_embeddings", "load_model"]

HOP_SECONDS = 0.05
WINDOW_SECONDS = 0.96
CLIPS_AT_ONCE = 256


class HearModel:
    """What :func:`load_model` returns.

    Parameters
    ----------
    backbone : str
        Name of a network or file of a saved one, that takes clips.

    Attributes
    ----------
    sample_rate : int
        In Hz.
    scene_embedding_size, timestamp_embedding_size : int
        Width of the embeddings.
    """

    def __init__(self, backbone: str) -> None:
        kind = input_kind(backbone)
        if kind != "waveform":
            raise ValueError(
                f"backbone={backbone!r} takes {kind}, but the benchmark gives clips; give a "
                "backbone that takes clips, such as 'speech-mini'."
            )
        self.embedding = PretrainedEmbedding(backbone, random_state=0)
        self.embedding.fit([np.zeros(1, dtype=np.float32)])
        body = self.embedding.backbone_
        self.sample_rate = body.input_spec.sr or 0
        self.scene_embedding_size = self.timestamp_embedding_size = body.embedding_size

    def embed(self, audio: Tensor) -> Tensor:
        """Embeddings (n_clips, size) of clips (n_clips, n_samples), on their device."""
        rows = list(audio.detach().to(torch.float32).cpu().numpy())
        return torch.from_numpy(self.embedding.transform(rows)).to(audio.device)


def load_model(model_file_path: str = "") -> HearModel:
    """Make the model that the other functions take.

    Parameters
    ----------
    model_file_path : str, default=""
        Name of a backbone, or a file that ``save_backbone`` wrote; "" for "speech-mini".

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
    """
    return HearModel(model_file_path or "speech-mini")


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
    return model.embed(_check(audio))


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
    parts = [model.embed(part) for part in windows.split(CLIPS_AT_ONCE)]
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
