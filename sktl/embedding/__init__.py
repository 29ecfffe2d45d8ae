"""Embeddings of pretrained networks."""

from ._pretrained import PretrainedEmbedding

__all__ = ["PretrainedEmbedding"]
