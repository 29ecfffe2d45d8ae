"""What every network classifier shares: fit, on one call or several, and pickling."""

import warnings
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils import check_consistent_length, column_or_1d, compute_sample_weight
from skorch.history import History

from .._domains import check_sample_domain, is_masked, is_source
from .._random import integer_seed, torch_seed
from .._validation import _fit_context, check_is_fitted, resolve_device
from ..audio import Clips
from ..backbones import Backbone
from ..backbones._lora import check_lora
from ..backbones._saved import write_backbone
from ..embedding._cache import open_store
from ..embedding._rows import Rows
from ..exceptions import NoAdaptationWarning
from ._build import Plan, build_module, name_of, resolve_input
from ._data import Data
from ._freezing import frozen_parts
from ._labels import (
    Classes,
    as_tuple,
    check_classes,
    check_labels,
    check_weights,
    class_indices,
    is_one_class,
    number_domains,
)
from ._net import TransferNet
from ._objective import Objective
from ._parameters import CONSTRAINTS, check_together
from ._pickling import rebuilt, without_net
from ._predict import NetworkPredictor
from ._spec_augment import check_spec_augment
from ._training import for_one_epoch, is_solved, make_net, train, train_further
from ._waveform import check_augment

__all__ = ["NetworkClassifier"]


class NetworkClassifier(NetworkPredictor):
    """Base class of the classifiers that train a network.

    A subclass has an explicit constructor and says in `_objective` what it minimises.
    """

    __metadata_request__fit = {"sample_domain": True, "groups": True}
    __metadata_request__partial_fit = {"sample_domain": True}
    _parameter_constraints: dict[str, Any] = CONSTRAINTS

    def _set_parameters(self, parameters: dict[str, Any]) -> None:
        for name in self._get_param_names():
            setattr(self, name, parameters[name])

    def _objective(self) -> Objective:
        """What to minimise; the base trains on source rows alone."""
        return Objective(l2_sp=self.l2_sp, label_smoothing=self.label_smoothing)

    def _adversaries(self) -> tuple[str, ...]:
        """Parts of the network that learn against the body."""
        return ()

    def _discriminator_hidden(self) -> tuple[int, ...] | None:
        """Hidden widths of the adversaries; None where there are none."""
        return None

    def _reads_target_labels(self) -> bool:
        """Whether labels of target rows count where they are known."""
        return False

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_domain: Any = None,
        sample_weight: Any = None,
        groups: Any = None,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows; what they may be depends on the backbone.
        y : array-like of shape (n,)
            Labels. Those of target rows are never read, unless an estimator is told to by
            ``use_target_labels=True``: mask them with -1 or anything.
        sample_domain : array-like of int of shape (n,), default=None
            0 and above for source rows, below 0 for target rows; None for source only.
        sample_weight : array-like of shape (n,), default=None
            Non-negative weights; a row of weight 0 is as if it were not there.
        groups : array-like of shape (n,), default=None
            Speakers, sessions or the like. With ``early_stopping=True`` whole groups of source
            rows are held out.

        Returns
        -------
        self : estimator
            The fitted classifier.
        """
        return self._begin(X, y, sample_domain, sample_weight, groups)

    def _begin(
        self,
        X: Any,
        y: Any,
        sample_domain: Any,
        sample_weight: Any,
        groups: Any = None,
        classes: Any = None,
    ) -> Self:
        """Fit, or with all `classes` given train the first of many epochs."""
        check_together(self)
        device = resolve_device(self.device)
        open_store(self.memory, "")
        seed = integer_seed(self.random_state)
        settings = self if classes is None else for_one_epoch(self)
        with torch_seed(seed, device):
            rows, body, plan = resolve_input(self, X)
            n_frozen, names = self._check_levers(body, plan)
            data, objective = self._check_fit(
                rows, y, sample_domain, sample_weight, groups, classes
            )
            is_solved(settings, n_frozen, len(body.blocks))
            check_augment(self.augment, data.rows, seed)
            plan = self._complete(plan, data.classes, n_frozen)
            if "discriminator" in plan.adversaries:
                plan = replace(plan, domains=data.domains)
            continued = self.warm_start and classes is None and self._continues(plan)
            module = self.net_.module_ if continued else build_module(plan, body)
            drawn = torch.get_rng_state()
        # Not under the lock of the generators: a teacher may train networks in other threads.
        data = self._listen(X, sample_weight, data, anew=True)
        with torch_seed(seed, device):
            torch.set_rng_state(drawn)
            if not is_one_class(data.classes):
                net = train(
                    settings,
                    module,
                    data,
                    objective,
                    n_frozen=n_frozen,
                    frozen_names=names if self.lora is None else (),
                    seed=seed,
                    device=device,
                    continued=continued,
                    n_epochs=None if classes is None else 1,
                )
            else:
                net = make_net(settings, module.to(device), objective)
        self._take(net, plan, data.classes)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: Any = None,
        sample_domain: Any = None,
        sample_weight: Any = None,
    ) -> Self:
        """Train one epoch on some rows, from the weights as they are.

        Statistics by which rows and embeddings are standardised are those of the first call.
        What goes over several epochs has no effect: schedules, `unfreeze_every`, `head_epochs`,
        `average_epochs`, `early_stopping`, `checkpoint`, and a direct solution of the head.

        Parameters
        ----------
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows, as in `fit`.
        y : array-like of shape (n,)
            Labels, as in `fit`.
        classes : array-like of shape (n_classes,), default=None
            All labels that any call will bring; needed in the first call only.
        sample_domain : array-like of int of shape (n,), default=None
            Domains, as in `fit`.
        sample_weight : array-like of shape (n,), default=None
            Weights, as in `fit`.

        Returns
        -------
        self : estimator
        """
        classes = self._check_classes(y, classes)
        if not hasattr(self, "net_"):
            return self._begin(X, y, sample_domain, sample_weight, classes=classes)
        rows = self._check_rows(X)
        data, objective = self._check_fit(rows, y, sample_domain, sample_weight, None, classes)
        data = self._listen(X, sample_weight, data, anew=False)
        net = self.net_
        if not is_one_class(classes):
            seed, device = integer_seed(self.random_state), resolve_device(self.device)
            with torch_seed(seed, device):
                net = train_further(for_one_epoch(self), net, data, objective, device)
        self._take(net, self._plan, classes)
        return self

    def _check_levers(self, body: Backbone, plan: Plan) -> tuple[int, tuple[str, ...]]:
        """Blocks and further parameters to freeze; refuse what `body` cannot do."""
        given = isinstance(self.backbone, str) and self.backbone != "auto"
        name = name_of(self.backbone if given else plan.backbone)
        n_frozen, names = frozen_parts(self.frozen_layers, body, name)
        check_spec_augment(self.spec_augment, body, name)
        if self.lora is not None:
            check_lora(body, self.lora, n_frozen, name)
        return n_frozen, names

    def _take(self, net: TransferNet, plan: Plan, classes: Classes) -> None:
        """Keep what training has made."""
        self._plan = plan
        self.classes_ = classes
        self.net_ = net
        self.backbone_ = net.module_.body
        self.history_ = [
            {name: value for name, value in epoch.items() if name != "batches"}
            for epoch in net.history
        ]
        self.n_iter_ = len(self.history_)

    def _check_fit(
        self,
        rows: Rows,
        y: Any,
        sample_domain: Any,
        sample_weight: Any,
        groups: Any,
        given: Classes | None,
    ) -> tuple[Data, Objective]:
        """Keep the rows that count: weighted ones, and target rows if they are of use."""
        n = len(rows)
        domain = check_sample_domain(sample_domain, n)
        source = is_source(domain, allow_all_target=False)
        y, labelled = self._check_labels(y, source)
        weight = check_weights(sample_weight, n, labelled)
        objective = self._objective()
        of_use = objective.takes_target or self.batch_norm == "adapt"
        keep = np.flatnonzero((weight > 0) & (labelled | (~source & of_use)))
        source, y, weight, domain = source[keep], y[keep], weight[keep], domain[keep]
        if groups is not None:
            groups = column_or_1d(groups)
            check_consistent_length(rows, groups)
            groups = groups[keep]
        if objective.adapts and source.all():
            warnings.warn(
                f"{type(self).__name__} is fitted without target rows and does not adapt; mark "
                "target rows with a negative sample_domain.",
                NoAdaptationWarning,
                stacklevel=5,
            )
        known = self._known_targets(y, source)
        labels, weight, classes = self._encode(
            y, source if known is None else source | known, weight, given
        )
        if len(keep) < n:
            rows = rows.take(keep) if isinstance(rows, Clips) else rows[keep]
        data = Data(rows, labels, weight, source, classes, groups, keep, known=known)
        if objective.adapts and not source.all():
            goes_on = given is not None and hasattr(self, "net_")
            numbers, domains = number_domains(domain, self._plan.domains if goes_on else None)
            if len(domains) > 2:
                data.domain, data.domains = numbers, domains
        return data, objective

    def _known_targets(self, y: np.ndarray, source: np.ndarray) -> np.ndarray | None:
        """Target rows whose label counts; None where none is looked at."""
        if not self._reads_target_labels() or source.all():
            return None
        return ~source & ~is_masked(y, source, np.unique(y[source]))

    def _check_labels(self, y: Any, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels as an array, and whether each row has one that is read."""
        return check_labels(self, y, source), source

    def _check_classes(self, y: Any, classes: Any) -> Classes:
        """Classes of a fit on several calls, of which this one brings the labels y."""
        return check_classes(getattr(self, "classes_", None), classes)

    def _encode(
        self, y: np.ndarray, source: np.ndarray, weight: np.ndarray, classes: Any
    ) -> tuple[np.ndarray, np.ndarray, Classes]:
        """Class indices, weights of rows in which those of classes are, and the classes."""
        classes, index = class_indices(y[source], classes)
        weight[source] *= compute_sample_weight(self.class_weight, y[source])
        if not weight[source].any():
            raise ValueError(
                f"class_weight={self.class_weight!r} leaves no source row with a positive weight."
            )
        labels = np.zeros(len(y), dtype=np.int64)
        labels[source] = index
        return labels, weight, classes

    def _listen(self, X: Any, sample_weight: Any, data: Data, anew: bool) -> Data:
        """What is learned from besides labels; `anew` for a fit that does not go on."""
        return data

    def _complete(self, plan: Plan, classes: Classes, n_frozen: int) -> Plan:
        return replace(
            plan,
            lora=self.lora,
            lora_from=n_frozen if self.lora is not None else 0,
            classes=as_tuple(classes),
            head=self.head,
            adversaries=self._adversaries(),
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
        return without_net(dict(super().__getstate__()))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build the net again and fill in its weights."""
        trained = state.pop("_trained", None)
        super().__setstate__(state)
        if trained is not None:
            module = rebuilt(self._plan, trained, self.device)
            self.net_ = make_net(self, module, self._objective(), seed=trained["order_seed"])
            self.net_.history = History({**epoch, "batches": []} for epoch in self.history_)
            self.backbone_ = module.body
