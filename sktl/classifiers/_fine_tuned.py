"""Fine-tuning of a pretrained network."""

from collections.abc import Callable, Sequence
from typing import Any

from ._base import NetworkClassifier
from ._docs import with_shared_docs

__all__ = ["FineTunedClassifier"]


@with_shared_docs
class FineTunedClassifier(NetworkClassifier):
    """Classifier that trains a network, from pretrained weights where there are any.

    Parameters
    ----------
    {backbone}
    {training}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    sktl.embedding.PretrainedEmbedding : The frozen network alone, as a transformer.
    DomainAdaptiveClassifier : Uses unlabelled rows of a target domain as well.

    References
    ----------
    J. Howard and S. Ruder, "Universal language model fine-tuning for text classification",
    ACL 2018.

    X. Li, Y. Grandvalet and F. Davoine, "Explicit inductive bias for transfer learning with
    convolutional networks", ICML 2018.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sktl.classifiers import FineTunedClassifier
    >>> X, y = make_classification(random_state=0)
    >>> clf = FineTunedClassifier(random_state=0).fit(X, y)
    >>> clf.predict(X[:2]).shape
    (2,)
    """

    def __init__(
        self,
        backbone: Any = "auto",
        *,
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
