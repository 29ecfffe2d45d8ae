"""Low-rank adapters in the layers of transformers, which then learn instead of them."""

from typing import Any

from torch import nn

from .._optional import import_optional
from ._base import Backbone
from ._hf_clap import CLAPAudio
from ._hf_layers import WavLMLayer
from ._hf_spectrogram import AST, WhisperEncoder
from ._hf_speech import SpeechEncoder

__all__ = [
    "add_lora",
    "check_lora",
    "freeze_adapted",
    "has_transformer_layers",
    "merge_lora",
    "n_before_adapters",
]

ADAPTER = "lora"
# Query and value, under the names that transformers gives them.
ATTENTION = {"q_proj", "v_proj", "query", "value"}
# WavLM hands the bare weights of its projections to torch's attention, past any adapter.
FEED_FORWARD = {"intermediate_dense", "output_dense"}


def has_transformer_layers(body: Backbone) -> bool:
    """Whether adapters can be put into a network."""
    return isinstance(body, SpeechEncoder | WhisperEncoder | AST | CLAPAudio)


def check_lora(body: Backbone, rank: int, n_frozen: int, name: str) -> None:
    """Raise unless :func:`add_lora` can do its work.

    Parameters
    ----------
    body : Backbone
        Any network.
    rank, n_frozen : int
        What :func:`add_lora` is given.
    name : str
        What to call the network in a message.

    Raises
    ------
    ValueError
        If the network has no such layers, or none that is not frozen, or they are narrower.
    ImportError
        When peft is not installed.
    """
    if not has_transformer_layers(body):
        raise ValueError(
            f"lora={rank} but {name} has no transformer layers that adapters could be put into; "
            "give lora=None, or a network of transformers, such as "
            "backbone='hf:facebook/wav2vec2-base'."
        )
    layers = _layers(body, n_frozen)
    if not layers:
        raise ValueError(
            f"lora={rank} but the first {n_frozen} of the {len(body.blocks)} blocks of {name} are "
            "frozen, which leaves no layer to adapt; give lora=None, or freeze fewer blocks."
        )
    most = min(min(layer.weight.shape) for layer in layers.values())
    if not 1 <= rank <= most:
        raise ValueError(
            f"lora={rank} but layers of {name} are {most} wide; give a rank of 1..{most}, "
            "usually 4 to 32."
        )
    _peft(rank)


def add_lora(body: Backbone, rank: int, n_frozen: int = 0) -> None:
    """Put adapters into a network, in place; they alone learn then.

    The output W x of a linear layer becomes W x + B A x, with A and B of so low a rank (Hu et
    al., "LoRA: low-rank adaptation of large language models", ICLR 2022, there with α = rank).
    A is drawn from torch's global generator, B is zero: at first the network is what it was.
    Adapted are the query and value projections of the attention, as in the paper; of WavLM, the
    two layers of the feed-forward network, as by Feng and Narayanan, "PEFT-SER: on the use of
    parameter efficient transfer learning approaches for speech emotion recognition using
    pre-trained speech models", ACII 2023.

    Parameters
    ----------
    body : Backbone
        A network of transformers, without adapters.
    rank : int
        Rows of A, 1 and above.
    n_frozen : int, default=0
        The first so many blocks get none, as nothing in them is to learn.
    """
    check_lora(body, rank, n_frozen, "this backbone")
    peft, blocks = _peft(rank), body.blocks
    layers = list(_layers(body, n_frozen))
    config = peft.LoraConfig(r=rank, lora_alpha=rank, target_modules=layers)
    peft.inject_adapter_in_model(config, blocks, ADAPTER)
    del blocks.peft_config
    body.lora_rank = rank
    freeze_adapted(body)


def _peft(rank: int) -> Any:
    return import_optional("peft", "hf", f"lora={rank}")


def _layers(body: Backbone, n_frozen: int) -> dict[str, Any]:
    """Layers to adapt by their names in ``body.blocks``."""
    return {
        f"{i}.{path}": part
        for i, block in enumerate(body.blocks)
        if i >= n_frozen
        for path, part in block.named_modules()
        if isinstance(part, nn.Linear) and path.rpartition(".")[2] in _names(block)
    }


def _names(block: nn.Module) -> set[str]:
    """Names of the layers of a block that are adapted."""
    is_wavlm = any(isinstance(part, WavLMLayer) for part in block.modules())
    return FEED_FORWARD if is_wavlm else ATTENTION


def freeze_adapted(body: Backbone) -> None:
    """Stop everything but the adapters from learning, where there are any."""
    if body.lora_rank is None:
        return
    for name, parameter in body.named_parameters():
        if ".lora_" not in name:
            parameter.requires_grad_(False)


def n_before_adapters(body: Backbone) -> int:
    """Blocks before the first with an adapter, in which nothing learns; 0 without adapters."""
    if body.lora_rank is None:
        return 0
    adapted = (any(".lora_" in name for name, _ in b.named_parameters()) for b in body.blocks)
    return list(adapted).index(True)


def merge_lora(body: Backbone) -> Backbone:
    """Add the adapters to the weights that they belong to, in place; all of it may learn then.

    Parameters
    ----------
    body : Backbone
        With adapters or without.

    Returns
    -------
    Backbone
        The same, a network as before :func:`add_lora`.
    """
    if body.lora_rank is None:
        return body
    layers = import_optional("peft.tuners.lora", "hf", "merging the adapters of lora=…")
    for name, part in list(body.named_modules()):
        if isinstance(part, layers.Linear):
            part.merge()
            body.set_submodule(name, part.get_base_layer())
    body.lora_rank = None
    body.requires_grad_(True)
    return body
