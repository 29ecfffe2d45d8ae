"""What training minimises where there are several tasks."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ._batches import RowSet
from ._module import TransferModule
from ._objective import Objective
from ._task_heads import TaskHeads

__all__ = ["TaskObjective"]


@dataclass
class TaskObjective(Objective):
    """Weighted sum of the cross-entropies of all tasks.

    With fixed weights L = Σ w_t L_t; with uncertain ones L = Σ exp(-s_t) L_t + s_t / 2, where
    s_t = log σ_t² is learned (Kendall, Gal and Cipolla, 2018, section 3.2). L_t is the mean over
    rows whose label is known.

    Parameters
    ----------
    task_weights : tuple of float or None, default=None
        w_t; None for 1 each.
    uncertain : bool, default=False
        Whether the head's variances weight the tasks.
    """

    task_weights: tuple[float, ...] | None = None
    uncertain: bool = False

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Weights that are learned make the sum no convex function."""
        return ("task_weights",) if self.uncertain else ()

    @property
    def factors(self) -> tuple[float, ...] | None:
        """Fixed weight of each task."""
        return self.task_weights

    def _classification(
        self, module: TransferModule, logits: Tensor, batch: RowSet
    ) -> dict[str, Tensor]:
        if not isinstance(module.head, TaskHeads):
            return super()._classification(module, logits, batch)
        terms, n = {}, batch.n_source
        for task, part in enumerate(module.head.split(logits)):
            mix = None if batch.mix is None else batch.mix.of_task(task)
            weight = batch.weight[:n, task]
            loss = self.cross_entropy(part, batch.y[:n, task], weight, mix)
            terms[f"task_{task}"] = self._weighted(loss, weight, module.head, task)
        return terms

    def _weighted(self, loss: Tensor, weight: Tensor, head: Any, task: int) -> Tensor:
        if self.task_weights is not None:
            return self.task_weights[task] * loss
        # One class is always predicted with certainty: its variance would fall without end.
        if not self.uncertain or head.sizes[task] == 1:
            return loss
        s = head.log_variances[task]
        return torch.exp(-s) * loss + s / 2 * weight.mean()

    def held_out(self, module: TransferModule, logits: Tensor, batch: RowSet) -> dict[str, Tensor]:
        """Losses of all tasks, and the share of known labels that are predicted right."""
        if not isinstance(module.head, TaskHeads):
            return super().held_out(module, logits, batch)
        plain = replace(self, label_smoothing=0.0)
        terms = plain._classification(module, logits, batch)
        predicted = [part.argmax(1) for part in module.head.split(logits)]
        known = (batch.weight > 0).to(batch.weight.dtype)
        right = (torch.stack(predicted, 1) == batch.y) * known
        return {**terms, "accuracy": right.mean(), "known": known.mean()}
