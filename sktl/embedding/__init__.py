"""Embeddings of pretrained networks."""

from ._frames import Frames
from ._fusion import layer_weights
from ._in_process import clear_memory
from ._pretrained import PretrainedEmbedding

__all__ = ["Frames", "PretrainedEmbedding", "clear_memory", "layer_weights"]
