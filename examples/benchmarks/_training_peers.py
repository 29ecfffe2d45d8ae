"""Other libraries that train the same networks by the same objectives."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _training_loops import LR, WEIGHT_DECAY, NotInstalled, Parts, Task, Trained
from torch import Tensor, nn

Run = Callable[[], Trained]


class Reversal(torch.autograd.Function):
    """Identity whose gradient changes its sign."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        return rows.view_as(rows)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return -grad


class Adversary(nn.Module):
    """A domain classifier that gives probabilities, as skada's loss takes them."""

    def __init__(self, domains: nn.Module) -> None:
        super().__init__()
        self.domains = domains

    def forward(self, rows: Tensor, sample_weight: Any = None) -> Tensor:
        """(n, d) → (n,)."""
        return torch.sigmoid(self.domains(Reversal.apply(rows)))[:, 0]


class Network(nn.Module):
    """Body and head, called as skorch and skada call modules."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.body, self.head = parts["body"], parts["head"]

    def forward(self, X: Tensor, sample_weight: Any = None) -> Tensor:
        """Logits."""
        return self.head(self.body(X))


def _options(task: Task) -> dict[str, Any]:
    return {
        "optimizer": torch.optim.AdamW,
        "lr": LR,
        "optimizer__weight_decay": WEIGHT_DECAY,
        "max_epochs": task.n_epochs,
        "batch_size": task.batch_size,
        "train_split": None,
        "device": task.device,
        "verbose": 0,
    }


def skorch(task: Task, start: Parts) -> Run:
    """NeuralNetClassifier as it comes."""
    from skorch import NeuralNetClassifier

    if task.objective != "source":
        raise NotInstalled("skorch adapts to no target")

    def run() -> Trained:
        net = NeuralNetClassifier(
            Network(copy.deepcopy(start)),
            criterion=nn.CrossEntropyLoss,
            iterator_train__shuffle=True,
            **_options(task),
        )
        net.fit(*task.source())
        return Trained(net.history[-1, "train_loss"])

    return run


def skada(task: Task, start: Parts) -> Run:
    """skada.deep; its own domain classifier would have no gradient."""
    try:
        from skada.deep import DAN, DANN, DeepCoral, SourceOnly
    except ImportError as error:
        raise NotInstalled(f"skada: {error}") from error
    makers = {"source": SourceOnly, "dann": DANN, "coral": DeepCoral, "mmd": DAN}
    labels = np.where(task.domains() > 0, task.y, -1)

    def run() -> Trained:
        parts = copy.deepcopy(start)
        options = _options(task)
        if task.objective == "dann":
            options["domain_classifier"] = Adversary(parts["domains"])
        net = makers[task.objective](Network(parts), layer_name="body", **options)
        net.fit(task.X, labels, sample_domain=task.domains())
        # With an adversary or a distance, the loss of classification is not told apart.
        alone = task.objective == "source"
        return Trained(net.history[-1, "train_loss"] if alone else np.nan)

    return run


def pytorch_adapt(task: Task, start: Parts) -> Run:
    """Its hooks, called in a loop over tensors in memory."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pytorch_adapt.hooks import AlignerHook, AlignerPlusCHook, ClassifierHook, DANNHook
            from pytorch_adapt.layers import CORALLoss, MMDLoss
            from pytorch_adapt.layers.utils import get_kernel_scales
            from pytorch_adapt.weighters import SumWeighter
    except Exception as error:  # it may be installed without what it needs
        raise NotInstalled(f"pytorch-adapt: {error}") from error

    def hook_of(optimizers: list[torch.optim.Optimizer]) -> Any:
        options = {"opts": optimizers, "weighter": SumWeighter()}
        if task.objective == "source":
            return ClassifierHook(**options)
        if task.objective == "dann":
            return DANNHook(**options)
        loss = MMDLoss(get_kernel_scales().float(), mmd_type="quadratic")
        aligner = AlignerHook(CORALLoss() if task.objective == "coral" else loss)
        return AlignerPlusCHook(aligner_hook=aligner, softmax=False, **options)

    def run() -> Trained:
        parts = copy.deepcopy(start)
        models = {"G": parts["body"], "C": parts["head"]}
        if "domains" in parts:
            models["D"] = nn.Sequential(parts["domains"], nn.Flatten(0))
        hook = hook_of([parts.optimizer()])
        X = torch.from_numpy(task.X).to(task.device)
        y = torch.from_numpy(task.y).to(task.device)
        size, losses = task.batch_size, []
        domain = torch.zeros(size, device=task.device)
        parts.train()
        for epoch in range(task.n_epochs):
            source, target = parts.orders(task.n, epoch)
            losses = []
            for i in range(0, task.n, size):
                part, other = source[i : i + size], target[i : i + size]
                data = {
                    **{"src_imgs": X[part], "src_labels": y[part], "src_domain": domain},
                    **{"target_imgs": X[other], "target_domain": domain + 1},
                }
                _, found = hook({**models, **data})
                losses.append(found["total_loss"]["src_c_loss"])
        return Trained(sum(losses) / len(losses))

    return run


PEERS = {"skorch": skorch, "skada.deep": skada, "pytorch-adapt": pytorch_adapt}
