"""The private skorch net: its data are tensors already, its loss sees the whole batch."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochTimer
from torch import Tensor

from ..embedding._batches import is_out_of_memory
from ..exceptions import TrainingDivergedError
from ._batches import Batches, RowSet
from ._callbacks import Log
from ._objective import Objective
from ._schedules import rate_factor

__all__ = ["TransferNet"]

T = TypeVar("T")

BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_grad_computed")


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
    lr_schedule : str, default="constant"
        Name of a schedule of `rate_factor`.
    warmup_epochs : int, default=0
        Epochs in which the learning rate rises.
    units_at_once : int, default=None
        Units that go through the network at a time, where a row has several; None for all of a
        batch.
    changes : sequence of callable, default=()
        Called with every batch to train on, in turn; each returns another one.
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
        lr_schedule: str = "constant",
        warmup_epochs: int = 0,
        units_at_once: int | None = None,
        changes: Sequence[Callable[[RowSet], RowSet]] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(module, **kwargs)
        self.objective = objective
        self.order_seed = order_seed
        self.autocast = autocast
        self.lr_schedule = lr_schedule
        self.warmup_epochs = warmup_epochs
        self.units_at_once = units_at_once
        self.changes = changes

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        return [("epoch_timer", EpochTimer()), ("print_log", Log())]

    def get_iterator(self, dataset: RowSet, training: bool = False) -> Batches:
        """Batches in random order for training, in order for validation."""
        seed = self.order_seed if training else None
        return Batches(dataset, self.batch_size, seed, len(self.history))

    def infer(self, x: RowSet, **fit_params: Any) -> tuple[Tensor, Tensor]:
        """Embedding and logits of a batch."""
        values, offsets = x.units.values, x.units.offsets
        if self.autocast is None:  # entering autocast takes time, even to switch it off
            embedding, logits = self.module_(values, offsets, x.start)
        else:
            with torch.autocast(values.device.type, self.autocast):
                embedding, logits = self.module_(values, offsets, x.start)
        return embedding.to(self.loss_dtype_), logits.to(self.loss_dtype_)

    def initialize_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        """Note the rates that a schedule multiplies, and where L2-SP leads back to."""
        super().initialize_optimizer(*args, **kwargs)
        self.rates_ = [group["lr"] for group in self.optimizer_.param_groups]
        self.start_ = {}
        if self.objective.l2_sp:
            body = self.module_.body
            self.start_ = {n: w.detach().clone() for n, w in body.named_parameters()}
        return self

    def fit_loop(self, X: RowSet, y: None = None, epochs: int | None = None, **kwargs: Any) -> Any:
        """Train for some epochs from the weights as they are; `max_epochs` is what is planned."""
        self.loss_dtype_ = X.weight.dtype
        n_batches = len(self.get_iterator(X))
        self.n_steps_ = len(self.history) * n_batches
        self.total_steps_ = self.max_epochs * n_batches
        self.n_warmup_steps_ = self.warmup_epochs * n_batches
        self.rows_at_once_ = self._usual_rows(X)
        self.was_warned_ = False
        return super().fit_loop(X, y, epochs, **kwargs)

    def _usual_rows(self, rows: RowSet) -> int:
        """Rows that go through the network at a time, as long as memory does not run out."""
        if self.units_at_once is None or rows.units.offsets is None or not rows.source.all():
            return len(rows)
        return max(1, self.units_at_once * len(rows) // len(rows.units.values))

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **fit_params: Any
    ) -> None:
        """One epoch; losses are read from the device once, at its end."""
        if iterator is None:
            return
        self._set_training(training)
        told = self.tells_batches_ = self._has_batch_hooks()
        self.weights_ = list(self.module_.parameters())
        terms: dict[str, list[tuple[int, Tensor]]] = {}
        losses: list[Tensor] = []
        n_rows = 0
        for batch in iterator:
            for change in self.changes if training else ():
                batch = change(batch)
            if told:
                self.notify("on_batch_begin", batch=(batch, None), training=training)
            step = step_fn(batch, **fit_params)
            losses.append(step["loss"].detach())
            for name, value in step["terms"].items():
                terms.setdefault(name, []).append((batch.n_source, value.detach()))
            n_rows += batch.n_source
            if told:
                self.notify("on_batch_end", batch=(batch, None), training=training, **step)
        if training:
            self._check_losses(torch.stack(losses))
        means = {name: _sum(parts) / n_rows for name, parts in terms.items()}
        accuracy, known = means.pop("accuracy", None), means.pop("known", 1.0)
        self.history.record(f"{prefix}_loss", sum(means.values()))
        if accuracy is not None:
            self.history.record(f"{prefix}_accuracy", accuracy / known)
        if len(means) > 1:
            for name, value in means.items():
                self.history.record(f"{prefix}_loss_{name}", value)
        self.history.record(f"{prefix}_batch_count", len(iterator))
        if training:
            self.history.record("n_frozen", self.module_.n_frozen)

    def _has_batch_hooks(self) -> bool:
        """Whether any callback wants to know of single batches; telling them takes time."""
        return any(
            getattr(type(callback), hook) is not getattr(Callback, hook)
            for _, callback in self.callbacks_
            for hook in BATCH_HOOKS
        )

    def _check_losses(self, losses: Tensor) -> None:
        """Stop at a loss that is not a number, of one epoch."""
        wrong = (~losses.isfinite()).nonzero()
        if not len(wrong):
            return
        batch = int(wrong[0])
        if self._has_schedule():
            self._set_rates(self.n_steps_ - len(losses) + batch)
        rate = self.optimizer_.param_groups[-1]["lr"]
        others = ", smaller weights lambda_..." if self.objective.adapts else ""
        raise TrainingDivergedError(
            f"the loss became {float(losses[batch])} in batch {batch + 1} of epoch "
            f"{len(self.history)}, at a learning rate of {rate:.3g}; give a smaller lr (it is "
            f"{self.lr:g}){others}, or look for extreme values in X."
        )

    def train_step(self, batch: RowSet, **fit_params: Any) -> dict[str, Any]:
        """One step of the optimizer, which may take several passes over the batch."""
        if self._has_schedule():
            self._set_rates(self.n_steps_)
        step = self._first_pass(batch, **fit_params)
        self.n_steps_ += 1
        return step

    def _first_pass(self, batch: RowSet, **fit_params: Any) -> dict[str, Any]:
        """What the first pass of a step saw."""
        if self.tells_batches_:
            return super().train_step(batch, **fit_params)
        steps = []

        def closure() -> Tensor:
            for weight in self.weights_:
                weight.grad = None
            steps.append(self.train_step_single(batch))
            return steps[-1]["loss"]

        self._step_optimizer(closure)
        return steps[0]

    def train_step_single(self, batch: RowSet, **fit_params: Any) -> dict[str, Any]:
        """Forward and backward pass over one batch."""
        progress = min(1.0, self.n_steps_ / self.total_steps_)
        return self._within_memory(batch, partial(self._accumulate, progress=progress))

    def _has_schedule(self) -> bool:
        return self.lr_schedule != "constant" or self.n_warmup_steps_ > 0

    def _set_rates(self, step: int) -> None:
        factor = rate_factor(self.lr_schedule, step, self.total_steps_, self.n_warmup_steps_)
        for group, rate in zip(self.optimizer_.param_groups, self.rates_, strict=True):
            group["lr"] = rate * factor

    def _within_memory(self, batch: RowSet, use: Callable[[RowSet], T]) -> T:
        """What `use` makes of a batch, of fewer rows at once each time that memory runs out."""
        while True:
            try:
                return use(batch)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                problem = str(error).partition("\n")[0] or type(error).__name__
            self._zero_grad_optimizer()
            has_target = batch.n_source < len(batch)
            self._take_fewer_rows(min(len(batch), self.rows_at_once_), problem, has_target)

    def _accumulate(self, batch: RowSet, progress: float) -> dict[str, Any]:
        """Gradients of a batch, of parts of it where it is too large."""
        if len(batch) <= self.rows_at_once_:
            return self._backward(batch, progress, 1.0)
        sums: dict[str, Tensor] = {}
        predicted = []
        for part in batch.split(self.rows_at_once_):
            step = self._backward(part, progress, len(part) / len(batch))
            predicted.append(step["y_pred"].detach())
            for name, value in step["terms"].items():
                sums[name] = sums.get(name, 0.0) + value.detach() * (len(part) / len(batch))
        loss = torch.stack(list(sums.values())).sum()
        return {"loss": loss, "terms": sums, "y_pred": torch.cat(predicted)}

    def _backward(self, batch: RowSet, progress: float, share: float) -> dict[str, Any]:
        embedding, logits = self.infer(batch)
        terms = self.objective.terms(self.module_, embedding, logits, batch, progress)
        if self.objective.l2_sp:
            terms["l2_sp"] = self.objective.l2_sp_term(self.module_, self.start_)
        [loss, *others] = terms.values()
        for term in others:
            loss = loss + term
        (loss if share == 1.0 else loss * share).backward()
        return {"loss": loss, "terms": terms, "y_pred": logits}

    def _take_fewer_rows(self, n_tried: int, problem: str, has_target: bool) -> None:
        """Halve what goes through the network at once; gradients add up to the same."""
        if n_tried < 3 or has_target:
            what = "source and target, which the losses see together" if has_target else "alone"
            raise MemoryError(
                f"Memory ran out on {n_tried} rows, {what}: {problem}. Give a smaller "
                f"batch_size (it is {self.batch_size}), shorter clips or precision='bf16'."
            )
        if not self.was_warned_:
            warnings.warn(
                f"Memory ran out on {n_tried} rows at once ({problem}); from now on half of them, "
                "or less, go through the network at a time. Their gradients are added up, so "
                "that a step is the same, but for batch normalisation that is trained.",
                UserWarning,
                stacklevel=2,
            )
            self.was_warned_ = True
        self.rows_at_once_ = (n_tried + 1) // 2

    def validation_step(self, batch: RowSet, **fit_params: Any) -> dict[str, Any]:
        """Classification loss and accuracy of one batch of source rows."""
        with torch.no_grad():
            logits = self._within_memory(batch, self._held_out_logits)
            terms = self.objective.held_out(self.module_, logits, batch)
        losses = [value for name, value in terms.items() if name not in ("accuracy", "known")]
        return {"loss": torch.stack(losses).sum(), "terms": terms, "y_pred": logits}

    def _held_out_logits(self, batch: RowSet) -> Tensor:
        if not self.was_warned_:
            return self.infer(batch)[1]
        return torch.cat([self.infer(part)[1] for part in batch.split(self.rows_at_once_)])


def _sum(parts: list[tuple[int, Tensor]]) -> float:
    """Sum of values that count for so many rows each; they are fetched at once."""
    counts, values = zip(*parts, strict=True)
    return float(torch.stack(values).cpu().double() @ torch.tensor(counts, dtype=torch.float64))
