"""What training minimises: classification plus the weighted terms of adaptation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from ..losses import (
    coral_loss,
    domain_cross_entropy,
    entropy,
    gradient_reversal,
    mmd2,
    multilinear_map,
)
from ._batches import RowSet
from ._mixup import Mix, mixup_losses
from ._module import TransferModule

__all__ = ["Objective"]


@dataclass
class Objective:
    """L = L_cls + λ_mmd L_mmd + λ_adv L_adv + λ_coral L_coral + λ_ent L_ent.

    Every λ is multiplied by ``schedule(progress)``. λ_adv acts on the reversed gradient
    alone (Ganin et al., 2016, eq. 13 to 15), so the discriminator always learns in full.

    Parameters
    ----------
    lambda_adv, lambda_mmd, lambda_coral, lambda_entropy : float, default=0
        Weights of the terms.
    schedule : callable
        From progress in [0, 1] to a factor.
    bandwidths : "median" or sequence of float, default="median"
        Kernel widths of the MMD.
    conditional : bool, default=False
        Whether the discriminator also sees the predictions (Long et al., 2018).
    l2_sp : float, default=0
        Weight of the squared distance to the starting weights (Li et al., 2018).
    label_smoothing : float, default=0
        Share of each label that is spread over all classes (Szegedy et al., 2016).
    """

    lambda_adv: float = 0.0
    lambda_mmd: float = 0.0
    lambda_coral: float = 0.0
    lambda_entropy: float = 0.0
    schedule: Callable[[float], float] = lambda progress: 1.0
    bandwidths: str | Sequence[float] = "median"
    conditional: bool = False
    l2_sp: float = 0.0
    label_smoothing: float = 0.0

    @property
    def adapts(self) -> bool:
        """Whether any term needs target rows."""
        return any((self.lambda_adv, self.lambda_mmd, self.lambda_coral, self.lambda_entropy))

    @property
    def takes_target(self) -> bool:
        """Whether target rows have a part in it."""
        return self.adapts

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Parameters on account of which a linear head cannot be solved for."""
        return ()

    @property
    def factors(self) -> tuple[float, ...] | None:
        """Fixed weight of each task, where there are several."""
        return None

    def terms(
        self,
        module: TransferModule,
        embedding: Tensor,
        logits: Tensor,
        batch: RowSet,
        progress: float,
    ) -> dict[str, Tensor]:
        """Weighted terms of one batch, whose source rows come first."""
        n = batch.n_source
        terms = self._classification(module, logits[:n], batch)
        if n == len(logits):
            return terms
        factor = self.schedule(progress)
        source, target = embedding.split([n, len(embedding) - n])
        if self.lambda_mmd:
            distance = mmd2(source, target, self.bandwidths, source_weight=batch.weight[:n])
            terms["mmd"] = factor * self.lambda_mmd * distance
        if self.lambda_coral:
            terms["coral"] = factor * self.lambda_coral * coral_loss(source, target)
        if self.lambda_entropy:
            terms["entropy"] = factor * self.lambda_entropy * entropy(logits[n:])
        if self.lambda_adv:
            terms["adv"] = self._adversarial(module, embedding, logits, batch, factor)
        return terms

    def _classification(
        self, module: TransferModule, logits: Tensor, batch: RowSet
    ) -> dict[str, Tensor]:
        """Terms of the labels of source rows."""
        n = batch.n_source
        return {"cls": self.cross_entropy(logits, batch.y[:n], batch.weight[:n], batch.mix)}

    def cross_entropy(
        self, logits: Tensor, y: Tensor, weight: Tensor, mix: Mix | None = None
    ) -> Tensor:
        """Weighted mean, of mixed rows where they are."""
        smoothing = self.label_smoothing
        if mix is not None:
            return mixup_losses(logits, y, weight, mix, smoothing).mean()
        losses = F.cross_entropy(logits, y, reduction="none", label_smoothing=smoothing)
        return losses @ weight / len(losses)

    def held_out(self, module: TransferModule, logits: Tensor, batch: RowSet) -> dict[str, Tensor]:
        """Loss and accuracy of source rows that are not trained on.

        With "known", accuracy is the share of so many labels.
        """
        losses = F.cross_entropy(logits, batch.y, reduction="none")
        right = (logits.argmax(1) == batch.y).to(batch.weight.dtype)
        return {"cls": (losses * batch.weight).mean(), "accuracy": right.mean()}

    def _adversarial(
        self,
        module: TransferModule,
        embedding: Tensor,
        logits: Tensor,
        batch: RowSet,
        factor: float,
    ) -> Tensor:
        if self.conditional:
            embedding = multilinear_map(embedding, logits.softmax(1).detach())
        assert module.discriminator is not None
        reversed_ = gradient_reversal(embedding, factor * self.lambda_adv)
        return domain_cross_entropy(module.discriminator(reversed_), batch.source, batch.weight)

    def l2_sp_term(self, module: TransferModule, start: dict[str, Tensor]) -> Tensor:
        """Half the squared distance of the body to its starting weights, times `l2_sp`."""
        distance = next(module.head.parameters()).new_zeros(())
        for name, weight in module.body.named_parameters():
            if weight.requires_grad:
                distance = distance + (weight - start[name]).square().sum()
        return self.l2_sp / 2 * distance
