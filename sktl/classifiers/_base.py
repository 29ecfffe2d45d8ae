"""What every network classifier shares: fit, predict, score, pickling."""

import warnings
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import column_or_1d, compute_sample_weight
from torch import Tensor

from .._domains import check_allowed, check_sample_domain, is_source
from .._random import integer_seed, torch_seed
from .._validation import Interval, StrOptions, _fit_context, check_is_fitted, resolve_device
from ..audio import Clips
from ..backbones import Units
from ..backbones._saved import write_backbone
from ..embedding._cache import open_store
from ..embedding._rows import Rows, check_rows, iter_units
from ..exceptions import NoAdaptationWarning
from ._build import Plan, build_module, check_frozen_layers, name_of, resolve_input
from ._labels import check_labels, check_weights, is_masked
from ._net import TransferNet
from ._objective import Objective
from ._training import Data, make_net, prefix_store, train

__all__ = ["NetworkClassifier"]


class NetworkClassifier(ClassifierMixin, BaseEstimator):
    """Base class of the classifiers that train a network.

    A subclass has an explicit constructor and says in `_objective` what it minimises.
    """

    __metadata_request__fit = {"sample_domain": True}
    __metadata_request__predict = {"sample_domain": True, "allow_source": True}
    __metadata_request__predict_proba = {"sample_domain": True, "allow_source": True}
    __metadata_request__predict_log_proba = {"sample_domain": True, "allow_source": True}
    __metadata_request__decision_function = {"sample_domain": True, "allow_source": True}
    __metadata_request__score = {"sample_domain": True, "allow_source": True}

    net_: TransferNet

    _parameter_constraints: dict[str, Any] = {
        "backbone": "no_validation",
        "weights": "no_validation",
        "frozen_layers": [Integral, StrOptions({"all"})],
        "head": [StrOptions({"linear", "mlp"})],
        "layer_decay": [Interval(Real, 0, 1, closed="right")],
        "unfreeze_every": [Interval(Integral, 1, None, closed="left"), None],
        "l2_sp": [Interval(Real, 0, None, closed="left")],
        "cache": ["boolean"],
        "memory": "no_validation",
        "lr": [Interval(Real, 0, None, closed="neither")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "optimizer": [StrOptions({"adamw", "adam", "sgd"}), callable],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "device": "no_validation",
        "precision": [StrOptions({"auto", "32", "bf16"})],
        "callbacks": [list, None],
        "net_params": [dict, None],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def _set_parameters(self, parameters: dict[str, Any]) -> None:
        for name in self._get_param_names():
            setattr(self, name, parameters[name])

    def _objective(self) -> Objective:
        """What to minimise; the base trains on source rows alone."""
        return Objective(l2_sp=self.l2_sp)

    def _discriminator_hidden(self) -> tuple[int, ...] | None:
        """Hidden widths of the domain classifier; None for no domain classifier."""
        return None

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_domain: Any = None, sample_weight: Any = None) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows; what they may be depends on the backbone.
        y : array-like of shape (n,)
            Labels. Those of target rows are never read: mask them with -1 or anything.
        sample_domain : array-like of int of shape (n,), default=None
            0 and above for source rows, below 0 for target rows; None for source only.
        sample_weight : array-like of shape (n,), default=None
            Non-negative weights; a row of weight 0 is as if it were not there.

        Returns
        -------
        self : estimator
            The fitted classifier.
        """
        device = resolve_device(self.device)
        open_store(self.memory, "")
        seed = integer_seed(self.random_state)
        with torch_seed(seed, device):
            rows, body, plan = resolve_input(self, X)
            given = isinstance(self.backbone, str) and self.backbone != "auto"
            name = name_of(self.backbone if given else plan.backbone)
            n_frozen = check_frozen_layers(self.frozen_layers, body, name)
            data, objective = self._check_fit(rows, y, sample_domain, sample_weight)
            plan = self._complete(plan, data.classes)
            continued = self.warm_start and self._continues(plan)
            module = self.net_.module_ if continued else build_module(plan, body)
            if len(data.classes) > 1:
                net = train(
                    self,
                    module,
                    data,
                    objective,
                    n_frozen=n_frozen,
                    seed=seed,
                    device=device,
                    continued=continued,
                )
            else:
                net = make_net(self, module.to(device), objective)
        self._plan = plan
        self.classes_ = data.classes
        self.net_ = net
        self.backbone_ = module.body
        self.history_ = [
            {name: value for name, value in epoch.items() if name != "batches"}
            for epoch in net.history
        ]
        self.n_iter_ = len(self.history_)
        return self

    def _check_fit(
        self, rows: Rows, y: Any, sample_domain: Any, sample_weight: Any
    ) -> tuple[Data, Objective]:
        """Keep the rows that count: weighted ones, and target rows if they are of use."""
        n = len(rows)
        source = is_source(check_sample_domain(sample_domain, n), allow_all_target=False)
        y = check_labels(self, y, source)
        weight = check_weights(sample_weight, n, source)
        objective = self._objective()
        keep = np.flatnonzero((weight > 0) & (source | objective.adapts))
        source, y, weight = source[keep], y[keep], weight[keep]
        if objective.adapts and source.all():
            warnings.warn(
                f"{type(self).__name__} is fitted without target rows and does not adapt; mark "
                "target rows with a negative sample_domain.",
                NoAdaptationWarning,
                stacklevel=4,
            )
        classes, index = np.unique(y[source], return_inverse=True)
        weight[source] *= compute_sample_weight(self.class_weight, y[source])
        if not weight[source].any():
            raise ValueError(
                f"class_weight={self.class_weight!r} leaves no source row with a positive weight."
            )
        labels = np.zeros(len(y), dtype=np.int64)
        labels[source] = index
        if len(keep) < n:
            rows = rows.take(keep) if isinstance(rows, Clips) else rows[keep]
        return Data(rows, labels, weight, source, classes), objective

    def _complete(self, plan: Plan, classes: np.ndarray) -> Plan:
        return replace(
            plan,
            classes=tuple(classes.tolist()),
            head=self.head,
            discriminator_hidden=self._discriminator_hidden(),
            conditional=self._objective().conditional,
        )

    def _continues(self, plan: Plan) -> bool:
        """Whether the previous fit left a network of this plan; refuse other classes."""
        previous = getattr(self, "_plan", None)
        if previous is not None and previous.classes != plan.classes:
            raise ValueError(
                f"warm_start=True, but the previous fit had the classes {list(previous.classes)} "
                f"and y has {list(plan.classes)}; give warm_start=False to start anew."
            )
        return previous == plan

    def _check_rows(self, X: Any) -> Rows:
        check_is_fitted(self, "net_")
        spec = self.backbone_.input_spec
        rows = check_rows(self, X, spec, reset=False, n_jobs=self.n_jobs)
        shape = self._plan.row_shape
        if isinstance(rows, np.ndarray) and rows.shape[1:] != shape:
            raise ValueError(
                f"X has rows of shape {rows.shape[1:]}, but {type(self).__name__} was fitted "
                f"with rows of shape {shape}."
            )
        return rows

    def _infer(self, X: Any, sample_domain: Any, allow_source: bool) -> tuple[Tensor, Tensor]:
        """Embedding and logits of every row, on the CPU."""
        rows = self._check_rows(X)
        check_allowed(check_sample_domain(sample_domain, len(rows)), sample_domain, allow_source)
        module = self.net_.module_
        depth = module.n_frozen if self.memory is not None else 0
        weight = next(module.head.parameters())
        store = prefix_store(self.memory, module, depth)
        run = partial(module.prefix, stop=depth) if depth else None
        parts = iter_units(
            rows, module.eval().body, run, device=weight.device, dtype=weight.dtype, store=store
        )
        outputs = [self._infer_units(units, depth) for units in parts]
        embedding, logits = (torch.cat(part) for part in zip(*outputs, strict=True))
        return embedding, logits

    def _infer_units(self, units: Units, depth: int) -> tuple[Tensor, Tensor]:
        dtype = self.net_.autocast
        with torch.autocast(units.values.device.type, dtype, enabled=dtype is not None):
            embedding, logits = self.net_.module_.infer(units, depth)
        return embedding.to(self._plan.dtype).cpu(), logits.to(self._plan.dtype).cpu()

    def decision_function(
        self, X: Any, sample_domain: Any = None, allow_source: bool = True
    ) -> np.ndarray:
        """Logits; for two classes, that of the second minus that of the first.

        Parameters
        ----------
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows, as in `fit`.
        sample_domain : array-like of int of shape (n,), default=None
            Domains; they do not change the result.
        allow_source : bool, default=True
            False refuses source rows.

        Returns
        -------
        ndarray of shape (n,) or (n, n_classes)
            Scores.
        """
        logits = self._infer(X, sample_domain, allow_source)[1].numpy()
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_log_proba(
        self, X: Any, sample_domain: Any = None, allow_source: bool = True
    ) -> np.ndarray:
        """Logarithm of the class probabilities.

        Parameters
        ----------
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows, as in `fit`.
        sample_domain : array-like of int of shape (n,), default=None
            Domains; they do not change the result.
        allow_source : bool, default=True
            False refuses source rows.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Columns as in `classes_`.
        """
        return self._infer(X, sample_domain, allow_source)[1].log_softmax(1).numpy()

    def predict_proba(
        self, X: Any, sample_domain: Any = None, allow_source: bool = True
    ) -> np.ndarray:
        """Class probabilities.

        Parameters
        ----------
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows, as in `fit`.
        sample_domain : array-like of int of shape (n,), default=None
            Domains; they do not change the result.
        allow_source : bool, default=True
            False refuses source rows.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Columns as in `classes_`.
        """
        return self._infer(X, sample_domain, allow_source)[1].softmax(1).numpy()

    def predict(self, X: Any, sample_domain: Any = None, allow_source: bool = True) -> np.ndarray:
        """Most probable class of every row.

        Parameters
        ----------
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows, as in `fit`.
        sample_domain : array-like of int of shape (n,), default=None
            Domains; they do not change the result.
        allow_source : bool, default=True
            False refuses source rows.

        Returns
        -------
        ndarray of shape (n,)
            Labels.
        """
        logits = self._infer(X, sample_domain, allow_source)[1]
        return self.classes_[logits.argmax(1).numpy()]

    def score(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        sample_domain: Any = None,
        allow_source: bool = True,
    ) -> float:
        """Accuracy over the rows whose label is known.

        A target row whose label is none of `classes_` is masked and does not count.

        Parameters
        ----------
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows, as in `fit`.
        y : array-like of shape (n,)
            True labels.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows.
        sample_domain : array-like of int of shape (n,), default=None
            Domains; without them no row is masked.
        allow_source : bool, default=True
            False refuses source rows.

        Returns
        -------
        float
            Between 0 and 1.
        """
        predicted = self.predict(X, sample_domain, allow_source)
        y = column_or_1d(y)
        source = is_source(check_sample_domain(sample_domain, len(predicted)))
        known = ~is_masked(y, source, self.classes_)
        if not known.any():
            raise ValueError(
                f"none of the {len(y)} labels in y is one of classes_; nothing can be scored."
            )
        if sample_weight is not None:
            sample_weight = np.asarray(sample_weight)[known]
        return accuracy_score(y[known], predicted[known], sample_weight=sample_weight)

    def save_backbone(self, path: Any) -> None:
        """Write the trained body to a file that another estimator takes as ``backbone=path``.

        Parameters
        ----------
        path : path-like
            File whose name ends in ``.safetensors``, replaced if it is there; see
            :func:`sktl.backbones.save_backbone`.
        """
        check_is_fitted(self, "net_")
        write_backbone(self.backbone_, path, self.net_.module_.input_scaler.state_dict())

    def __getstate__(self) -> dict[str, Any]:
        """Replace the net by its weights."""
        state = dict(super().__getstate__())
        net = state.pop("net_", None)
        state.pop("backbone_", None)
        if net is not None:
            module = net.module_
            state["_trained"] = {
                "weights": {name: value.cpu() for name, value in module.state_dict().items()},
                "n_frozen": module.n_frozen,
            }
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build the net again and fill in its weights."""
        trained = state.pop("_trained", None)
        super().__setstate__(state)
        if trained is None:
            return
        with torch_seed(0):
            module = build_module(self._plan, self._plan.body())
        module.load_state_dict(trained["weights"])
        module.freeze(trained["n_frozen"])
        device = self.device
        try:
            module.to(resolve_device(device))
        except ValueError:
            warnings.warn(f"device={device!r} is not here; using the CPU.", stacklevel=2)
        self.net_ = make_net(self, module.eval(), self._objective())
        self.backbone_ = module.body
