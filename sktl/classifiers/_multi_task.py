"""Several labels of each row, learned by one body with a head each."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.utils import Tags
from sklearn.utils.validation import check_consistent_length

from .._validation import StrOptions, _fit_context
from ._base import NetworkClassifier
from ._build import Plan
from ._docs import with_shared_docs
from ._labels import Classes
from ._task_labels import (
    TaskLabels,
    check_task_classes,
    check_task_weights,
    encode_tasks,
    is_table,
)
from ._task_objective import TaskObjective
from ._task_predict import TaskPredictor

__all__ = ["MultiTaskClassifier"]


@with_shared_docs
class MultiTaskClassifier(TaskPredictor, NetworkClassifier):
    """Network classifier of several label columns: one body, a head for each.

    Minimises Σ w_t L_t over the tasks t, where L_t is the mean cross-entropy of the rows whose
    label is known. What one task teaches the body, the others share (Caruana, 1997).

    The conventions are scikit-learn's for several outputs: `y`, and what `predict` returns, have
    shape (n, n_tasks); `classes_` and `predict_proba` are lists. NaN, None and pandas' NA mark
    labels that are not known; -1 is a class like any other. A 1-D `y` is one task: all is then as
    in :class:`FineTunedClassifier`.

    Parameters
    ----------
    {backbone}
    task_weights : array-like of shape (n_tasks,), "uncertainty" or None, default=None
        w_t; None for 1 each. With "uncertainty" the loss is Σ exp(-s_t) L_t + s_t / 2, whose
        variances s_t = log σ_t² are learned, without weight decay (Kendall et al., 2018).
    {training}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    FineTunedClassifier : One label for each row.
    sklearn.multioutput.MultiOutputClassifier : A classifier of its own for each task.

    Notes
    -----
    `head` is the kind of every head. Of several tasks, `class_weight` is a list with a dict,
    "balanced" or None for each, or "balanced" for all; `classes_` is a list of such arrays, and
    `history_` has the loss of each task. With early stopping rows are held out so that every class
    of every task is in both parts (iterative stratification, Sechidis et al., 2011).

    Of numbers of splits scikit-learn looks into `y`, where it refuses missing labels: in a
    grid search or cross-validation give a splitter, such as ``cv=KFold(5, shuffle=True)``.

    References
    ----------
    R. Caruana, "Multitask learning", Machine Learning 28, 1997.

    A. Kendall, Y. Gal and R. Cipolla, "Multi-task learning using uncertainty to weigh losses for
    scene geometry and semantics", CVPR 2018.

    K. Sechidis, G. Tsoumakas and I. Vlahavas, "On the stratification of multi-label data", ECML
    PKDD 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import make_classification
    >>> from sktl.classifiers import MultiTaskClassifier
    >>> X, emotion = make_classification(random_state=0)
    >>> speaker = np.where(X[:, 0] > 0, "ann", "bob").astype(object)
    >>> speaker[:50] = None  # not known
    >>> y = np.column_stack([emotion.astype(object), speaker])
    >>> clf = MultiTaskClassifier(random_state=0).fit(X, y)
    >>> clf.predict(X).shape
    (100, 2)
    >>> [proba.shape for proba in clf.predict_proba(X)]
    [(100, 2), (100, 2)]
    """

    _parameter_constraints: dict[str, Any] = {
        **NetworkClassifier._parameter_constraints,
        "task_weights": ["array-like", StrOptions({"uncertainty"}), None],
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        backbone: Any = "auto",
        *,
        task_weights: Any = None,
        weights: Any = "pretrained",
        frozen_layers: int | str | Sequence[str] = 0,
        head: Any = "linear",
        layer_decay: float = 1.0,
        unfreeze_every: int | None = None,
        head_epochs: int | str = "auto",
        l2_sp: float = 0.0,
        batch_norm: str = "auto",
        lora: int | None = None,
        label_smoothing: float = 0.0,
        mixup: float = 0.0,
        spec_augment: bool | dict[str, Any] = False,
        augment: Callable[[Any, float], Any] | None = None,
        cache: bool = True,
        memory: Any = None,
        lr: float | str = "auto",
        lr_schedule: str = "constant",
        warmup_epochs: int = 0,
        max_epochs: int = 50,
        batch_size: int = 64,
        optimizer: Any = "auto",
        weight_decay: float = 0.01,
        average_epochs: int = 0,
        class_weight: Any = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        checkpoint: Any = None,
        device: Any = "auto",
        precision: str = "auto",
        callbacks: list[Any] | None = None,
        net_params: dict[str, Any] | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self._set_parameters(locals())

    def __sklearn_tags__(self) -> Tags:
        """Say that y may have columns."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

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
        y : array-like of shape (n, n_tasks) or (n,)
            Labels, a column for each task; NaN, None or pandas' NA for those not known. Labels
            of target rows are never read.
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

    def _objective(self) -> TaskObjective:
        return TaskObjective(
            l2_sp=self.l2_sp,
            label_smoothing=self.label_smoothing,
            task_weights=check_task_weights(self.task_weights),
            uncertain=isinstance(self.task_weights, str),
        )

    def _check_labels(self, y: Any, source: np.ndarray) -> tuple[Any, np.ndarray]:
        if not is_table(y):
            return super()._check_labels(y, source)
        labels = TaskLabels(y)
        check_consistent_length(source, labels)
        self._check_n_tasks(len(labels.columns))
        return labels, source & labels.known().any(1)

    def _check_n_tasks(self, n_tasks: int) -> None:
        weights = check_task_weights(self.task_weights)
        if weights is not None and len(weights) != n_tasks:
            raise ValueError(
                f"task_weights has {len(weights)} entries, but y has {n_tasks} columns; give one "
                "for each."
            )
        known = getattr(self, "classes_", None) if self.warm_start else None
        if isinstance(known, list) and len(known) != n_tasks:
            raise ValueError(
                f"y has {n_tasks} columns, but the previous fit had {len(known)}; give "
                "warm_start=False to start anew."
            )

    def _check_classes(self, y: Any, classes: Any) -> Classes:
        if not is_table(y):
            return super()._check_classes(y, classes)
        n_tasks = len(TaskLabels(y).columns)
        return check_task_classes(getattr(self, "classes_", None), classes, n_tasks)

    def _encode(
        self, y: Any, source: np.ndarray, weight: np.ndarray, classes: Any
    ) -> tuple[np.ndarray, np.ndarray, Classes]:
        if not isinstance(y, TaskLabels):
            return super()._encode(y, source, weight, classes)
        return encode_tasks(self, y, source, weight, classes)

    def _complete(self, plan: Plan, classes: Classes, n_frozen: int) -> Plan:
        plan = super()._complete(plan, classes, n_frozen)
        if not isinstance(classes, list):
            return plan
        sizes = tuple(map(len, classes))
        return replace(plan, tasks=sizes, uncertain=isinstance(self.task_weights, str))
