"""A small network that learns from the predictions of another model."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np

from .._validation import HasMethods, Interval
from ._base import NetworkClassifier
from ._data import Data
from ._distilled_objective import DistilledObjective
from ._docs import with_shared_docs
from ._teacher import fitted_teacher, is_fitted, rows_of, teacher_logits

__all__ = ["DistilledClassifier"]


@with_shared_docs
class DistilledClassifier(NetworkClassifier):
    """Network classifier that learns from labels and from a teacher (Hinton et al., 2014).

    Minimises L = (1 - α) L_cls + α T² KL(p || q), where p are the teacher's probabilities and q
    the network's, both softened by the temperature T: the probabilities of wrong classes tell
    what is like what, which labels do not. Clips without labels teach as well: rows with
    ``sample_domain < 0`` have a part in the second term alone, and their labels are never read.

    Parameters
    ----------
    teacher : classifier
        Any scikit-learn classifier with `predict_proba`, or else `decision_function`, that takes
        the same X: a pipeline over clips, too. A fitted one is used as it is and has to know all
        labels in `y`; one that is not is cloned and fitted on the labelled rows first. A clone
        is not fitted: in a grid search or cross-validation, where estimators are cloned, a fitted
        teacher stays so in :class:`sklearn.frozen.FrozenEstimator`.
    {backbone}
    temperature : float, default=2.0
        T, above 0: the higher, the more the small probabilities count.
    alpha : float, default=0.5
        α, the share of the teacher, in [0, 1]: 0 trains on labels alone, 1 on the teacher alone.
    {training}

    Attributes
    ----------
    teacher_ : classifier
        The fitted teacher.
    {attributes}

    See Also
    --------
    FineTunedClassifier : Learns from labels alone.

    Notes
    -----
    The teacher is asked once per fit, about the rows as they are: `mixup` mixes its answers, and
    `augment` and `spec_augment` do not change them. With rows that have no label, half of every
    batch is labelled rows.

    References
    ----------
    G. Hinton, O. Vinyals and J. Dean, "Distilling the knowledge in a neural network", NIPS 2014
    deep learning workshop, https://arxiv.org/abs/1503.02531.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sktl.classifiers import DistilledClassifier
    >>> X, y = make_classification(random_state=0)
    >>> forest = RandomForestClassifier(random_state=0).fit(X, y)
    >>> clf = DistilledClassifier(forest, random_state=0).fit(X, y)
    >>> clf.predict(X[:2]).shape
    (2,)
    """

    _parameter_constraints: dict[str, Any] = {
        **NetworkClassifier._parameter_constraints,
        "teacher": [
            HasMethods(["fit", "predict_proba"]),
            HasMethods(["fit", "decision_function"]),
        ],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "alpha": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        teacher: Any,
        backbone: Any = "auto",
        *,
        temperature: float = 2.0,
        alpha: float = 0.5,
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

    def _objective(self) -> DistilledObjective:
        return DistilledObjective(
            l2_sp=self.l2_sp,
            label_smoothing=self.label_smoothing,
            alpha=self.alpha,
            temperature=self.temperature,
        )

    def _listen(self, X: Any, sample_weight: Any, data: Data, anew: bool) -> Data:
        """Fit the teacher if it is not, and ask it about every row."""
        assert data.place is not None
        assert isinstance(data.classes, np.ndarray)
        if anew and is_fitted(self.teacher):
            self.teacher_ = self.teacher
        elif anew:
            labelled = data.place[data.source]
            y = data.classes[data.y[data.source]]
            weight = None if sample_weight is None else np.asarray(sample_weight)[labelled]
            self.teacher_ = fitted_teacher(self.teacher, rows_of(X, labelled), y, weight)
        logits = teacher_logits(
            self.teacher_, rows_of(X, data.place), len(data.place), data.classes
        )
        return replace(data, teacher=logits)
