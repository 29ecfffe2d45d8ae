"""Classification heads: from an embedding to one logit per class."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..backbones._module import copy_module

__all__ = ["HEADS", "CosineHead", "Head", "check_head", "make_head"]

Head = str | nn.Module | Callable[[int, int], nn.Module]

WIDEST_HIDDEN = 256
# From which the scale of cosines is learned (Gidaris and Komodakis, 2018, section 4).
COSINE_SCALE = 10.0
N_EXAMPLES = 2


class CosineHead(nn.Module):
    """Cosine of an embedding and a vector for each class, times a learned scale.

    How long an embedding is says nothing about its class, which helps where a class has few rows
    (Gidaris and Komodakis, "Dynamic few-shot visual learning without forgetting", CVPR 2018;
    Chen et al., "A closer look at few-shot classification", ICLR 2019).

    Parameters
    ----------
    n_inputs : int
        Width of the embedding.
    n_outputs : int
        Number of classes.
    """

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_outputs, n_inputs))
        self.scale = nn.Parameter(torch.tensor(COSINE_SCALE))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the vectors, all directions being equally likely."""
        nn.init.normal_(self.weight, std=self.weight.shape[1] ** -0.5)
        nn.init.constant_(self.scale, COSINE_SCALE)

    def forward(self, embedding: Tensor) -> Tensor:
        """Logits (n, n_outputs) of embeddings (n, n_inputs); 0 for an embedding of zeros."""
        cosines = functional.linear(
            functional.normalize(embedding, dim=1), functional.normalize(self.weight, dim=1)
        )
        return self.scale * cosines


def _mlp(n_inputs: int, n_outputs: int) -> nn.Module:
    hidden = min(WIDEST_HIDDEN, n_inputs)
    return nn.Sequential(nn.Linear(n_inputs, hidden), nn.ReLU(), nn.Linear(hidden, n_outputs))


HEADS: dict[str, Callable[[int, int], nn.Module]] = {
    "linear": nn.Linear,
    "mlp": _mlp,
    "cosine": CosineHead,
}


def make_head(head: Head, n_inputs: int, n_outputs: int) -> nn.Module:
    """Make a head, or check one that is given.

    Parameters
    ----------
    head : {"linear", "mlp", "cosine"}, nn.Module or callable
        One linear layer; a hidden layer before it; cosines of class vectors; a module, which is
        copied with its weights; or a function of `n_inputs` and `n_outputs` that makes one.
    n_inputs : int
        Width of the embedding.
    n_outputs : int
        Number of classes.

    Returns
    -------
    nn.Module
        From (n, n_inputs) to (n, n_outputs), drawn from torch's global generator unless given.

    Raises
    ------
    ValueError
        For another name, or a head that does not fit.
    """
    if isinstance(head, str):
        if head not in HEADS:
            raise ValueError(
                f"head={head!r} is unknown; give one of {', '.join(map(repr, HEADS))}, an "
                "nn.Module, or a function of n_inputs and n_outputs that makes one."
            )
        return HEADS[head](n_inputs, n_outputs)
    made = head
    if not isinstance(head, nn.Module):
        try:
            made = head(n_inputs, n_outputs)
        except Exception as error:
            raise ValueError(
                f"head={_name(head)} failed for n_inputs={n_inputs} and n_outputs={n_outputs}: "
                f"{error}"
            ) from error
    if not isinstance(made, nn.Module):
        raise ValueError(
            f"head={_name(head)} returned {type(made).__name__}; it must return an nn.Module."
        )
    made = copy_module(made)
    check_head(made, n_inputs, n_outputs, _name(head))
    return made


def check_head(module: nn.Module, n_inputs: int, n_outputs: int, name: str) -> None:
    """Raise unless a module learns, and makes `n_outputs` logits of an embedding.

    Parameters
    ----------
    module : nn.Module
        Run once, in eval mode, on zeros.
    n_inputs, n_outputs : int
        Width of the embedding, number of classes.
    name : str
        What to call it in a message.
    """
    first = next(module.parameters(), torch.empty(0))
    dtype = first.dtype if first.is_floating_point() else torch.float32
    embedding = torch.zeros(N_EXAMPLES, n_inputs, dtype=dtype, device=first.device)
    given = f"an embedding of shape {tuple(embedding.shape)}"
    modes = {part: part.training for part in module.modules()}
    try:
        with torch.no_grad():
            logits: Any = module.eval()(embedding)
    except Exception as error:
        raise ValueError(f"head={name} does not take {given}: {error}") from error
    finally:
        for part, mode in modes.items():
            part.training = mode
    shape = (N_EXAMPLES, n_outputs)
    if not isinstance(logits, Tensor):
        raise ValueError(
            f"head={name} returned {type(logits).__name__} for {given}; it must return a tensor of "
            f"shape {shape}, one logit per class."
        )
    if tuple(logits.shape) != shape or not logits.is_floating_point():
        kind = "" if logits.is_floating_point() else f" of {logits.dtype}"
        raise ValueError(
            f"head={name} returned a tensor{kind} of shape {tuple(logits.shape)} for {given}; with "
            f"{n_outputs} classes it must return floating point numbers of shape {shape}."
        )
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise ValueError(
            f"head={name} has no parameter that requires a gradient, so nothing in it would learn; "
            "give a head with a layer such as nn.Linear."
        )


def _name(head: Any) -> str:
    if isinstance(head, nn.Module):
        return type(head).__name__
    function = head.func if isinstance(head, partial) else head
    return getattr(function, "__qualname__", type(function).__name__)
