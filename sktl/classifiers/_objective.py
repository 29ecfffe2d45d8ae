"""What training minimises: classification plus the weighted terms of adaptation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ._adaptation_terms import DISTANCES, adversarial_term, disparity_term
from ._batches import RowSet
from ._mixup import Mix, mixup_losses
from ._module import TransferModule

__all__ = ["Objective"]


@dataclass
class Objective:
    """L = L_cls + Σ λ L over the terms of adaptation.

    Every λ is multiplied by ``schedule(progress)``. λ_adv and λ_mdd act on the reversed gradient
    alone (Ganin et al., 2016, eq. 13 to 15), so that adversaries always learn in full.

    Parameters
    ----------
    lambda_adv, lambda_mdd, lambda_mmd, lambda_jmmd, lambda_coral, lambda_entropy, lambda_mcc
        Weights of the terms, 0 by default.
    schedule : callable
        From progress in [0, 1] to a factor.
    bandwidths : "median" or sequence of float, default="median"
        Kernel widths of the MMD.
    conditional : bool, default=False
        Whether the discriminator also sees the predictions (Long et al., 2018).
    entropy_weighting : bool, default=False
        Whether certain predictions count more for it (the same).
    mdd_margin : float, default=4.0
        γ of the margin disparity (Zhang et al., 2019).
    mcc_temperature : float, default=2.5
        T of the class confusion (Jin et al., 2020).
    use_target_labels : bool, default=False
        Whether target rows whose label is known are classified as well.
    l2_sp : float, default=0
        Weight of the squared distance to the starting weights (Li et al., 2018).
    label_smoothing : float, default=0
        Share of each label that is spread over all classes (Szegedy et al., 2016).
    """

    lambda_adv: float = 0.0
    lambda_mdd: float = 0.0
    lambda_mmd: float = 0.0
    lambda_jmmd: float = 0.0
    lambda_coral: float = 0.0
    lambda_entropy: float = 0.0
    lambda_mcc: float = 0.0
    schedule: Callable[[float], float] = lambda progress: 1.0
    bandwidths: str | Sequence[float] = "median"
    conditional: bool = False
    entropy_weighting: bool = False
    mdd_margin: float = 4.0
    mcc_temperature: float = 2.5
    use_target_labels: bool = False
    l2_sp: float = 0.0
    label_smoothing: float = 0.0

    @property
    def adapts(self) -> bool:
        """Whether any term needs target rows."""
        names = ("adv", "mdd", *DISTANCES)
        return any(getattr(self, f"lambda_{name}") for name in names)

    @property
    def takes_target(self) -> bool:
        """Whether target rows have a part in it."""
        return self.adapts or self.use_target_labels

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Parameters on account of which a linear head cannot be solved for."""
        return ("use_target_labels",) if self.use_target_labels else ()

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
        if batch.known is not None:
            terms["cls"] = self._with_known(terms["cls"], logits, batch, batch.known)
        factor = self.schedule(progress)
        for name, distance in DISTANCES.items():
            weight = getattr(self, f"lambda_{name}")
            if weight:
                terms[name] = factor * weight * distance(self, embedding, logits, batch)
        parts = (self, module, embedding, logits, batch)
        if self.lambda_adv:
            terms["adv"] = adversarial_term(*parts, factor * self.lambda_adv)
        if self.lambda_mdd:
            terms["mdd"] = disparity_term(*parts, factor * self.lambda_mdd)
        return terms

    def _with_known(self, loss: Tensor, logits: Tensor, batch: RowSet, known: Tensor) -> Tensor:
        """Mean over source rows, and over target rows whose label is known."""
        n = batch.n_source
        weight = torch.where(known[n:], batch.weight[n:], 0.0)
        further = self.cross_entropy(logits[n:], batch.y[n:], weight) * len(weight)
        return (n * loss + further) / (n + known[n:].sum())

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

    def l2_sp_term(self, module: TransferModule, start: dict[str, Tensor]) -> Tensor:
        """Half the squared distance of the body to its starting weights, times `l2_sp`."""
        distance = next(module.head.parameters()).new_zeros(())
        for name, weight in module.body.named_parameters():
            if weight.requires_grad:
                distance = distance + (weight - start[name]).square().sum()
        return self.l2_sp / 2 * distance
