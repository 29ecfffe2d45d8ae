"""The same few epochs of training: a bare PyTorch loop, other libraries, and sktl."""

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES, HIDDEN = 10, 64
LR, WEIGHT_DECAY = 1e-3, 0.01
BETAS = (0.5, 0.999)  # of a game of two
FEATURES = 256

OURS, BARE, TIGHTENED = "sktl", "bare loop", "bare loop, tightened"


class NotInstalled(Exception):
    """Which package a comparison lacks, or what it cannot do."""


@dataclass
class Trained:
    """What a run leaves: the loss of classification in the last epoch, and weights if they are
    comparable."""

    loss: float
    weights: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class Task:
    """Network, objective and rows: source rows first, then as many target rows."""

    net: str
    objective: str
    X: np.ndarray
    y: np.ndarray
    n_epochs: int
    batch_size: int
    device: str

    @property
    def n(self) -> int:
        """Rows of one domain."""
        return len(self.y) // 2

    @property
    def n_batches(self) -> int:
        """Steps of a run."""
        return self.n_epochs * self.n // self.batch_size

    def source(self) -> tuple[np.ndarray, np.ndarray]:
        """Labelled rows."""
        return self.X[: self.n], self.y[: self.n]

    def domains(self) -> np.ndarray:
        """1 for source rows, -1 for target rows."""
        return np.repeat([1, -1], self.n)


def make_task(
    net: str, objective: str, n: int, n_epochs: int, batch_size: int, device: str
) -> Task:
    """Classes around centres, which are nearer to each other in the target; standardised."""
    rng = np.random.default_rng(0)
    shape = (128,) if net == "mlp" else (64, 96)
    y = rng.integers(0, CLASSES, 2 * n)
    centres, domains = rng.normal(size=(CLASSES, *shape)), []
    for rows, strength in ((y[:n], 0.3), (y[n:], 0.2)):
        X = rng.normal(size=(n, *shape)) + strength * centres[rows]
        axes = (0,) if net == "mlp" else (0, 2)  # as sktl does
        domains.append((X - X.mean(axes, keepdims=True)) / X.std(axes, keepdims=True))
    X = np.concatenate(domains).astype(np.float32)
    return Task(net, objective, X, y, n_epochs, batch_size, device)


class Pool(nn.Module):
    """Mean and maximum of each channel."""

    def forward(self, images: Tensor) -> Tensor:
        """(n, c, h, w) → (n, 2 c)."""
        flat = images.flatten(2)
        return torch.cat([flat.mean(2), flat.amax(2)], dim=1)


def body_of(net: str) -> nn.Sequential:
    """What sktl's "mlp" and "cnn" are, as anyone would write them down."""
    if net == "mlp":
        sizes = [(128, 256), (256, FEATURES)]
        return nn.Sequential(*(layer for s in sizes for layer in (nn.Linear(*s), nn.ReLU())))
    layers: list[nn.Module] = [nn.Unflatten(1, (1, 64))]
    for n_in, n_out in [(1, 16), (16, 32), (32, 64), (64, 128)]:
        layers += [
            nn.Conv2d(n_in, n_out, 3, padding=1, bias=False),
            nn.GroupNorm(4, n_out),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
        ]
    return nn.Sequential(*layers, Pool())


class Parts(nn.ModuleDict):
    """Body, head and, for an adversary, domain classifier."""

    order_seed = 0

    def orders(self, n: int, epoch: int) -> tuple[Tensor, Tensor]:
        """In which order an epoch visits the rows of each domain: as sktl does."""
        generator = torch.Generator().manual_seed(self.order_seed + epoch)
        source = torch.randperm(n, generator=generator)
        return source, n + torch.randperm(n, generator=generator)

    def __init__(self, task: Task) -> None:
        parts = {"body": body_of(task.net), "head": nn.Linear(FEATURES, CLASSES)}
        if task.objective == "dann":
            hidden = nn.Linear(FEATURES, HIDDEN)
            parts["domains"] = nn.Sequential(hidden, nn.ReLU(), nn.Linear(HIDDEN, 1))
        super().__init__(parts)

    def optimizer(self, **options: Any) -> torch.optim.Optimizer:
        """AdamW; a domain classifier learns ten times as fast."""
        groups = [{"params": [*self["body"].parameters(), *self["head"].parameters()]}]
        if "domains" in self:
            groups.append({"params": [*self["domains"].parameters()], "lr": 10 * LR})
            options["betas"] = BETAS
        return torch.optim.AdamW(groups, lr=LR, weight_decay=WEIGHT_DECAY, **options)


def start_of(task: Task) -> Parts:
    """The network with the weights that sktl starts from."""
    still = _estimator(task, max_epochs=1, optimizer="sgd", lr=1e-30, weight_decay=0.0)
    net = _fit(still, task).net_
    parts = Parts(task).to(task.device)
    parts.order_seed = net.order_seed
    with torch.no_grad():
        for own, given in zip(parts.parameters(), net.module_.parameters(), strict=True):
            own.copy_(given)
    return parts


def _estimator(task: Task, **options: Any) -> Any:
    from sktl import DANNClassifier, DomainAdaptiveClassifier, FineTunedClassifier, MMDAligner

    adapts = task.objective != "source"
    settings = {
        "max_epochs": task.n_epochs,
        "batch_size": (2 if adapts else 1) * task.batch_size,
        "lr": LR,
        "weight_decay": WEIGHT_DECAY,
        "device": task.device,
        "precision": "32",
        "random_state": 0,
        **options,
    }
    if task.objective == "coral":
        return DomainAdaptiveClassifier(task.net, lambda_coral=1.0, **settings)
    kinds = {"source": FineTunedClassifier, "dann": DANNClassifier, "mmd": MMDAligner}
    return kinds[task.objective](task.net, **settings)


def _fit(estimator: Any, task: Task) -> Any:
    if task.objective == "source":
        return estimator.fit(*task.source())
    return estimator.fit(task.X, task.y, sample_domain=task.domains())


def ours(task: Task, start: Parts, **options: Any) -> Callable[[], Trained]:
    """An estimator from its constructor to the end of fit."""

    def run() -> Trained:
        fitted = _fit(_estimator(task, **options), task)
        last = fitted.history_[-1]
        loss = last.get("train_loss_cls", last["train_loss"])
        return Trained(loss, [w.detach() for w in fitted.net_.module_.parameters()])

    return run


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return rows.view_as(rows)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return -ctx.scale * grad, None


def adversarial(parts: Parts, source: Tensor, target: Tensor, factor: float) -> Tensor:
    """Ganin et al., 2016: the reversed gradient of a domain classifier."""
    loss = functional.binary_cross_entropy_with_logits
    rows = _Reversal.apply(torch.cat([source, target]), factor)
    logits = parts["domains"](rows)[:, 0].split(len(source))
    return loss(logits[0], torch.zeros_like(logits[0])) + loss(
        logits[1], torch.ones_like(logits[1])
    )


def coral(source: Tensor, target: Tensor) -> Tensor:
    """Sun and Saenko, 2016."""
    gap = torch.cov(source.T) - torch.cov(target.T)
    return gap.square().sum() / (4 * source.shape[1] ** 2)


def mmd(source: Tensor, target: Tensor) -> Tensor:
    """Long et al., 2015: 33 kernels around the median distance of different rows."""
    rows, n = torch.cat([source, target]), len(source)
    distance = torch.cdist(rows, rows).square()
    first, second = torch.triu_indices(len(rows), len(rows), 1, device=rows.device)
    median = distance.detach()[first, second].median()
    kernels = [torch.exp(-distance / (2.0 ** (u / 2) * median)) for u in range(-16, 17)]
    kernel = sum(kernels) / len(kernels)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()


def bare(task: Task, start: Parts, tightened: bool = False) -> Callable[[], Trained]:
    """The loop of any tutorial, on tensors in memory; rows in the order that sktl visits them."""
    images = task.net == "cnn"

    def run() -> Trained:
        parts = copy.deepcopy(start)
        if tightened and images:
            parts["body"].to(memory_format=torch.channels_last)
        optimizer = parts.optimizer(**({"fused": True} if tightened else {}))
        X = torch.from_numpy(task.X).to(task.device)
        y = torch.from_numpy(task.y).to(task.device)
        size, step, losses = task.batch_size, 0, []
        parts.train()
        for epoch in range(task.n_epochs):
            source, target = parts.orders(task.n, epoch)
            losses = []
            for i in range(0, task.n, size):
                part = source[i : i + size]
                optimizer.zero_grad()
                rows = (
                    part if task.objective == "source" else torch.cat([part, target[i : i + size]])
                )
                embedding = parts["body"](X[rows])
                logits = parts["head"](embedding[: len(part)])
                classification = functional.cross_entropy(logits, y[part])
                loss = classification
                if task.objective != "source":
                    factor = 2 / (1 + np.exp(-10 * step / task.n_batches)) - 1
                    loss = loss + _adaptation(task, parts, embedding, len(part), factor)
                loss.backward()
                optimizer.step()
                losses.append(classification.detach() if tightened else classification.item())
                step += 1
        mean = float(sum(losses)) / len(losses)
        return Trained(mean, [w.detach() for w in parts.parameters()])

    return run


def _adaptation(task: Task, parts: Parts, embedding: Tensor, n: int, factor: float) -> Tensor:
    source, target = embedding[:n], embedding[n:]
    if task.objective == "dann":
        return adversarial(parts, source, target, factor)
    return factor * (coral if task.objective == "coral" else mmd)(source, target)


def quietly(run: Callable[[], Trained]) -> Callable[[], Trained]:
    """Without the warnings of other libraries."""

    def silent() -> Trained:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return run()

    return silent
