"""The private skorch net: its data are tensors already, its loss sees the whole batch."""

from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import EpochTimer, PrintLog
from torch import Tensor

from ._batches import Batches, RowSet
from ._objective import Objective

__all__ = ["TransferNet"]


class TransferNet(NeuralNet):
    """Train a `TransferModule` on a `RowSet`.

    Parameters
    ----------
    module : TransferModule
        The network, initialised.
    objective : Objective
        What to minimise.
    order_seed : int
        Seed of the order of the batches.
    autocast : torch.dtype or None, default=None
        Precision of the forward pass; None for that of the weights.
    **kwargs : dict
        Anything else a skorch net takes.
    """

    def __init__(
        self,
        module: Any,
        *,
        objective: Objective,
        order_seed: int = 0,
        autocast: torch.dtype | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(module, **kwargs)
        self.objective = objective
        self.order_seed = order_seed
        self.autocast = autocast

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        return [("epoch_timer", EpochTimer()), ("print_log", PrintLog())]

    def get_iterator(self, dataset: RowSet, training: bool = False) -> Batches:
        """Batches in random order for training, in order for validation."""
        return Batches(dataset, self.batch_size, self.order_seed if training else None)

    def infer(self, x: RowSet, **fit_params: Any) -> tuple[Tensor, Tensor]:
        """Embedding and logits of a batch."""
        device = x.units.values.device.type
        with torch.autocast(device, self.autocast, enabled=self.autocast is not None):
            embedding, logits = self.module_(x.units.values, x.units.offsets, x.start)
        return embedding.to(self.loss_dtype_), logits.to(self.loss_dtype_)

    def fit_loop(self, X: RowSet, y: None = None, epochs: int | None = None, **kwargs: Any) -> Any:
        """Train for some epochs from the weights as they are."""
        self.loss_dtype_ = X.weight.dtype
        self.start_ = {}
        if self.objective.l2_sp:
            body = self.module_.body
            self.start_ = {n: w.detach().clone() for n, w in body.named_parameters()}
        self.n_steps_ = 0
        self.total_steps_ = (epochs or self.max_epochs) * len(self.get_iterator(X))
        return super().fit_loop(X, y, epochs, **kwargs)

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **fit_params: Any
    ) -> None:
        """One epoch; losses are read from the device once, at its end."""
        if iterator is None:
            return
        sums: dict[str, Tensor] = {}
        n_rows = 0
        for batch in iterator:
            self.notify("on_batch_begin", batch=(batch, None), training=training)
            step = step_fn(batch, **fit_params)
            for name, value in step["terms"].items():
                sums[name] = sums.get(name, 0.0) + value.detach() * batch.n_source
            n_rows += batch.n_source
            self.notify("on_batch_end", batch=(batch, None), training=training, **step)
        means = {name: float(value) / n_rows for name, value in sums.items()}
        self.history.record(f"{prefix}_loss", sum(means.values()))
        if len(means) > 1:
            for name, value in means.items():
                self.history.record(f"{prefix}_loss_{name}", value)
        self.history.record(f"{prefix}_batch_count", len(iterator))

    def train_step_single(self, batch: RowSet, **fit_params: Any) -> dict[str, Any]:
        """Forward and backward pass over one batch."""
        self._set_training(True)
        embedding, logits = self.infer(batch)
        # An optimizer such as LBFGS takes several passes per batch.
        progress = min(1.0, self.n_steps_ / self.total_steps_)
        terms = self.objective.terms(self.module_, embedding, logits, batch, progress)
        if self.objective.l2_sp:
            terms["l2_sp"] = self.objective.l2_sp_term(self.module_, self.start_)
        loss = torch.stack(list(terms.values())).sum()
        loss.backward()
        self.n_steps_ += 1
        return {"loss": loss, "terms": terms, "y_pred": logits}

    def validation_step(self, batch: RowSet, **fit_params: Any) -> dict[str, Any]:
        """Classification loss of one batch of source rows."""
        self._set_training(False)
        with torch.no_grad():
            embedding, logits = self.infer(batch)
            terms = self.objective.terms(self.module_, embedding, logits, batch, 0.0)
        return {"loss": terms["cls"], "terms": terms, "y_pred": logits}
