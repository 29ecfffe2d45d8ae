"""A head for each of several tasks, on one embedding."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["TaskHeads"]


class TaskHeads(nn.Module):
    """Heads side by side.

    Parameters
    ----------
    heads : sequence of Module
        From the embedding to the logits of each task.
    sizes : sequence of int
        Classes of each task.
    uncertain : bool
        Whether each task has a variance that is learned (Kendall, Gal and Cipolla, 2018).

    Attributes
    ----------
    log_variances : Parameter of shape (n_tasks,)
        s = log σ² of each task, 0 at the start; only of uncertain ones.
    """

    def __init__(self, heads: Sequence[nn.Module], sizes: Sequence[int], uncertain: bool) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)
        self.sizes = tuple(sizes)
        if uncertain:
            self.log_variances = nn.Parameter(torch.zeros(len(heads)))

    def forward(self, embedding: Tensor) -> Tensor:
        """Logits (n, sum of sizes), those of the first task first."""
        return torch.cat([head(embedding) for head in self.heads], dim=1)

    def split(self, logits: Tensor) -> tuple[Tensor, ...]:
        """Logits of each task."""
        return logits.split(self.sizes, dim=1)
