"""Networks: their input, ordered blocks, and weights."""

from ._base import Backbone, InputSpec, Units, segment_mean
from ._cnn import CNN
from ._front_ends import LogMelPatches
from ._gru import GRU
from ._handle import ModuleHandle
from ._mlp import MLP
from ._registry import available_backbones, input_kind, make_backbone
from ._weights import fingerprint
from ._yamnet import YAMNet

__all__ = [
    "CNN",
    "GRU",
    "MLP",
    "Backbone",
    "InputSpec",
    "LogMelPatches",
    "ModuleHandle",
    "Units",
    "YAMNet",
    "available_backbones",
    "fingerprint",
    "input_kind",
    "make_backbone",
    "segment_mean",
]
