"""Embeddings of pretrained networks."""

from sktl.embedding._pretrained import PretrainedEmbedding

__all__ = ["PretrainedEmbedding"]
