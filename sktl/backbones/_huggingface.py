"""Networks of the Hugging Face hub or of a local folder, by transformers."""

import inspect
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .._optional import import_optional
from .._random import torch_seed
from ..exceptions import WeightsError
from ._base import Backbone
from ._hf_clap import CLAPAudio
from ._hf_inputs import ASTInput, CLAPInput, SpeechInput, WhisperInput
from ._hf_spectrogram import AST, WhisperEncoder
from ._hf_speech import SpeechEncoder
from ._state import read_state, refusal
from ._weights import fill

__all__ = ["PREFIX", "is_huggingface", "make_huggingface"]

PREFIX = "hf:"

# What configurations hold beside the network.
_NOT_OF_THE_NETWORK = (
    *("_name_or_path", "_commit_hash", "architectures", "auto_map", "transformers_version"),
    *("dtype", "torch_dtype", "id2label", "label2id", "attn_implementation"),
    *("_attn_implementation", "_attn_implementation_internal"),
)
# Of the pretraining alone.
_UNUSED = {"masked_spec_embed"}


@dataclass(frozen=True)
class _Family:
    """Names of the classes of transformers, and what becomes of them here."""

    folder: str
    config: str
    model: str
    extractor: str
    prepare: Any
    body: Any
    inside: str | None = None
    """Names of its tensors where it is a part of a larger network: what they begin with."""


def _speech(folder: str, name: str) -> _Family:
    names = (f"{name}Config", f"{name}Model", "Wav2Vec2FeatureExtractor")
    return _Family(folder, *names, SpeechInput, SpeechEncoder)


_FAMILIES = {
    "wav2vec2": _speech("wav2vec2", "Wav2Vec2"),
    "hubert": _speech("hubert", "Hubert"),
    "wavlm": _speech("wavlm", "WavLM"),
    "whisper": _Family(
        *("whisper", "WhisperConfig", "WhisperEncoder", "WhisperFeatureExtractor"),
        *(WhisperInput, WhisperEncoder, r"^(model\.)?encoder\."),
    ),
    "audio-spectrogram-transformer": _Family(
        *("audio_spectrogram_transformer", "ASTConfig", "ASTModel", "ASTFeatureExtractor"),
        *(ASTInput, AST),
    ),
    "clap_audio_model": _Family(
        *("clap", "ClapAudioConfig", "ClapAudioModel", "ClapFeatureExtractor"),
        *(CLAPInput, CLAPAudio, r"^(clap\.)?audio_model\."),
    ),
}


def is_huggingface(backbone: Any) -> bool:
    """Tell whether `backbone` names a network of transformers."""
    return isinstance(backbone, str) and backbone.startswith(PREFIX)


def make_huggingface(name: str, weights: str | os.PathLike[str] | None) -> Backbone:
    """Make a network of transformers.

    Parameters
    ----------
    name : str
        "hf:" and a folder, a name of the hub, or the configuration itself as JSON, which is what
        `made_from` of the network holds.
    weights : {"pretrained"}, path-like or None
        Those of the folder or the hub; a file, with the names of transformers or with ours; or
        random ones, drawn from torch's global generator.

    Raises
    ------
    ImportError
        When transformers is not installed or does not load.
    ValueError
        For a network of another kind, or one that needs code of its author.
    WeightsError
        When files are absent, damaged or of another network.
    """
    place = name.removeprefix(PREFIX)
    if place.startswith("{"):
        if weights == "pretrained":
            raise ValueError(
                "backbone='hf:{…}' is a configuration, which has no weights; give weights=None or "
                "the path of a file."
            )
        config, prepare = _from_description(place)
    else:
        config, prepare = _read(name, place)
    family = _FAMILIES[config.model_type]
    described = {"config": _described(config), "input": asdict(prepare)}
    if weights is None:
        model = _class_of(family, family.model)(config)
        body = _body(family, model, prepare)
    else:
        with torch_seed(0):  # what is drawn is replaced
            body = _filled(name, weights, family, config, prepare)
    body.made_from = (PREFIX + json.dumps(described, sort_keys=True), None)
    body.fixed_statistics = weights is not None
    return body


def _body(family: _Family, model: Any, prepare: Any) -> Backbone:
    # Where it came from is no part of the network.
    model.config.name_or_path, model.config.dtype = "", None
    return family.body(model, prepare)


def _filled(
    name: str, weights: str | os.PathLike[str], family: _Family, config: Any, prepare: Any
) -> Backbone:
    """The network with weights, under the names of transformers or under ours."""
    if weights == "pretrained":
        place = os.path.expanduser(name.removeprefix(PREFIX))
        return _body(family, _load(name, place, family, config, None), prepare)
    state = read_state(weights)
    if not any(key.startswith("blocks.") for key in state):
        return _body(family, _load(name, None, family, config, state), prepare)
    body = _body(family, _class_of(family, family.model)(config), prepare)
    fill(body, state, str(weights))
    return body


def _import(module: str) -> Any:
    return import_optional(module, "hf", "backbone='hf:…'")


def _class_of(family: _Family, name: str) -> Any:
    """A class of the family; the modules are imported one by one, for each loads more of them."""
    kinds = {family.config: "configuration", family.model: "modeling"}
    kind, folder = kinds.get(name, "feature_extraction"), family.folder
    if name == "Wav2Vec2FeatureExtractor":
        folder = "wav2vec2"
    return getattr(_import(f"transformers.models.{folder}.{kind}_{folder}"), name)


def _from_description(text: str) -> tuple[Any, Any]:
    try:
        found = json.loads(text)
        family = _FAMILIES[found["config"]["model_type"]]
        prepare = family.prepare(**found["input"])
        config = found["config"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"backbone='hf:{text[:60]}…' is no network of this package.") from error
    return _config_of(family, config), prepare


def _config_of(family: _Family, found: Mapping[str, Any]) -> Any:
    kept = {key: value for key, value in found.items() if key not in _NOT_OF_THE_NETWORK}
    return _class_of(family, family.config).from_dict(kept)


def _described(config: Any) -> dict[str, Any]:
    return {k: v for k, v in config.to_dict().items() if k not in _NOT_OF_THE_NETWORK}


def _read(name: str, place: str) -> tuple[Any, Any]:
    """Configuration of the network and of its input."""
    folder = Path(place).expanduser()
    is_path = not place or place[0] in "./~" or place.count("/") > 1
    if is_path and not (place and folder.is_dir()):
        problem = f"{place!r} is a file" if folder.is_file() else f"there is no folder {place!r}"
        raise WeightsError(
            f"backbone={name!r}: {problem}; give 'hf:<folder>', or 'hf:<owner>/<name>' of the hub."
        )
    found = _settings(name, place, "config.json")
    kind = found.get("model_type")
    if kind == "clap":
        kind, found = "clap_audio_model", found.get("audio_config") or {}
    if kind not in _FAMILIES:
        if "auto_map" in found:
            raise ValueError(
                f"backbone={name!r} is made by code of its author (auto_map in its config.json), "
                "which is never run. Its classes imported by yourself make a module that "
                "backbone= takes."
            )
        known = ", ".join(["clap", *_FAMILIES])
        raise ValueError(f"backbone={name!r} has model_type {kind!r}; what works is {known}.")
    family = _FAMILIES[kind]
    settings = _settings(name, place, "preprocessor_config.json")
    extractor = settings.get("feature_extractor_type", family.extractor)
    if extractor != family.extractor:
        raise ValueError(
            f"backbone={name!r} prepares clips by {extractor!r}; what works for {kind!r} is "
            f"{family.extractor!r}."
        )
    parameters = inspect.signature(_class_of(family, family.extractor)).parameters
    defaults = {key: parameter.default for key, parameter in parameters.items()}
    return _config_of(family, found), family.prepare.of(defaults | settings)


def _settings(name: str, place: str, file: str) -> dict[str, Any]:
    """One of the two files of settings, from the folder, the cache or the hub."""
    place = os.path.expanduser(place)
    try:
        if file != "config.json":
            mixin = _import("transformers.feature_extraction_utils").FeatureExtractionMixin
            return mixin.get_feature_extractor_dict(place)[0]
        found = _import("transformers").PretrainedConfig.get_config_dict(place)[0]
    except (OSError, ValueError) as error:
        raise _absent(name, file, error) from error
    if not found:
        raise _absent(name, file, OSError("there is none"))
    return found


def _load(
    name: str, place: str | None, family: _Family, config: Any, state: dict[str, Tensor] | None
) -> Any:
    """The network with all of its weights; those of heads and other parts are not read."""
    cls = _class_of(family, family.model)
    try:
        with _quiet():
            model, report = cls.from_pretrained(
                place,
                config=config,
                state_dict=state,
                dtype=torch.float32,
                key_mapping=family.inside and {family.inside: ""},
                ignore_mismatched_sizes=True,  # which are looked at below
                weights_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except Exception as error:
        if (refused := refusal(error)) is not None:
            raise WeightsError(f"pytorch_model.bin of backbone={name!r} {refused}") from error
        raise _absent(name, "model.safetensors", error) from error
    missing = sorted(set(report["missing_keys"]) - _UNUSED)
    others = sorted(key for key, *_ in report["mismatched_keys"])
    for keys, what in ((others, "of another shape"), (missing, "missing")):
        if keys:
            listed = f"{', '.join(keys[:4])}{', ...' if len(keys) > 4 else ''}"
            raise WeightsError(
                f"The weights of backbone={name!r} are those of another network ({len(keys)} "
                f"{what}: {listed})."
            )
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """No bar for every set of weights that is read, and no table of what is raised or unused."""
    logging = _import("transformers.utils.logging")
    shows_bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    if shows_bars:
        logging.disable_progress_bar()
        _import("huggingface_hub.utils").enable_progress_bars()  # a download is worth one
    try:
        with warnings.catch_warnings():
            # Advice to torch's developers, before it refuses a pickle.
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            yield
    finally:
        logging.set_verbosity(level)
        if shows_bars:
            logging.enable_progress_bar()


def _absent(name: str, file: str, error: Exception) -> WeightsError:
    reason = str(error).strip().partition("\n")[0]
    return WeightsError(
        f"backbone={name!r}: no {file} that can be read ({reason}). Put config.json, "
        "preprocessor_config.json and model.safetensors of the network into a folder and give "
        "backbone='hf:<folder>'."
    )
