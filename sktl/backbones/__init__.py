"""Networks: their input, ordered blocks, and weights."""

from sktl.backbones._base import Backbone, InputSpec, Units, segment_mean
from sktl.backbones._cnn import CNN
from sktl.backbones._front_ends import LogMelPatches
from sktl.backbones._gru import GRU
from sktl.backbones._handle import ModuleHandle
from sktl.backbones._mlp import MLP
from sktl.backbones._registry import available_backbones, input_kind, make_backbone
from sktl.backbones._weights import fingerprint
from sktl.backbones._yamnet import YAMNet

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
