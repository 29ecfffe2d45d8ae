"""What training minimises where a teacher is listened to."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..losses import distillation_loss
from ._batches import RowSet
from ._module import TransferModule
from ._objective import Objective

__all__ = ["DistilledObjective"]


@dataclass
class DistilledObjective(Objective):
    """L = (1 - α) L_cls + α T² KL(teacher || student), the latter over target rows as well.

    Parameters
    ----------
    alpha : float, default=0.5
        α, in [0, 1].
    temperature : float, default=2.0
        T, above 0.
    """

    alpha: float = 0.5
    temperature: float = 2.0

    @property
    def takes_target(self) -> bool:
        """Whether rows without labels have a part in it."""
        return self.alpha > 0

    @property
    def obstacles(self) -> tuple[str, ...]:
        """The head is solved for labels alone."""
        return ("alpha",) if self.alpha else ()

    def terms(
        self,
        module: TransferModule,
        embedding: Tensor,
        logits: Tensor,
        batch: RowSet,
        progress: float,
    ) -> dict[str, Tensor]:
        """Weighted terms of one batch, whose source rows come first."""
        terms = super().terms(module, embedding, logits, batch, progress)
        return self._with_distillation(terms, logits, batch)

    def held_out(self, module: TransferModule, logits: Tensor, batch: RowSet) -> dict[str, Tensor]:
        """Both terms, and the accuracy, of source rows that are not trained on."""
        return self._with_distillation(super().held_out(module, logits, batch), logits, batch)

    def _with_distillation(
        self, terms: dict[str, Tensor], logits: Tensor, batch: RowSet
    ) -> dict[str, Tensor]:
        if not self.alpha:
            return terms
        assert batch.teacher is not None
        losses = self._divergences(logits, batch.teacher) * batch.weight
        mix, n = batch.mix, batch.n_source
        if mix is not None:
            other = self._divergences(logits[:n], mix.teacher) * mix.weight
            mixed = mix.share * losses[:n] + (1.0 - mix.share) * other
            losses = torch.cat([mixed, losses[n:]])
        return {
            **terms,
            "cls": (1.0 - self.alpha) * terms["cls"],
            "distillation": self.alpha * losses.mean(),
        }

    def _divergences(self, logits: Tensor, teacher: Tensor) -> Tensor:
        return distillation_loss(logits, teacher, self.temperature, reduction="none")
