"""Embeddings of pretrained networks."""

from ._frames import Frames
from ._fusion import layer_weights
from ._pretrained import PretrainedEmbedding

__all__ = ["Frames", "PretrainedEmbedding", "layer_weights"]
