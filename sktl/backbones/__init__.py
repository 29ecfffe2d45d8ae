"""Networks: their input, ordered blocks, and weights."""

from ._base import Backbone, InputSpec
from ._catalogue import available_backbones, list_backbones
from ._cnn import CNN
from ._crepe import CREPE
from ._crnn import CRNN
from ._front_ends import LogMelPatches
from ._ge2e import GE2E
from ._gru import GRU
from ._handle import ModuleHandle
from ._image import ImageBackbone
from ._mlp import MLP
from ._panns import PANN
from ._registry import input_kind, make_backbone
from ._saved import save_backbone
from ._units import Ragged, Units, UnitSpan, segment_mean
from ._vggish import VGGish
from ._weights import fingerprint
from ._yamnet import YAMNet

__all__ = [
    "CNN",
    "CREPE",
    "CRNN",
    "GE2E",
    "GRU",
    "MLP",
    "PANN",
    "Backbone",
    "ImageBackbone",
    "InputSpec",
    "LogMelPatches",
    "ModuleHandle",
    "Ragged",
    "UnitSpan",
    "Units",
    "VGGish",
    "YAMNet",
    "available_backbones",
    "fingerprint",
    "input_kind",
    "list_backbones",
    "make_backbone",
    "save_backbone",
    "segment_mean",
]
