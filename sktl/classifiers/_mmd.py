"""Alignment of kernel means: a classifier, and a transformer for a classical model."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from .._validation import StrOptions
from ._adaptive import LAMBDA, AdaptiveClassifier
from ._docs import with_shared_docs

__all__ = ["MMDAligner"]


@with_shared_docs
class MMDAligner(ClassNamePrefixFeaturesOutMixin, TransformerMixin, AdaptiveClassifier):
    """Deep adaptation by multi-kernel maximum mean discrepancy.

    Trains a network to classify source rows while the kernel mean embeddings of source and
    target come together (Long et al., 2015); of more than two domains, told by different values
    of `sample_domain`, those of each pair. Predicts like a classifier; `transform` gives the
    aligned embedding, for a classical model to follow.

    Parameters
    ----------
    {backbone}
    lambda_mmd : float, default=1.0
        Weight of the squared MMD; 0 trains on source rows alone.
    lambda_schedule : {"dann", "constant"} or callable, default="dann"
        Factor of λ as a function of the progress of training in [0, 1]: "dann" rises
        as 2 / (1 + exp(-10 p)) - 1 (Ganin et al., 2016).
    bandwidths : "median" or sequence of float, default="median"
        Kernel widths, see :func:`sktl.losses.mmd2`.
    use_target_labels : bool, default=False
        Whether labels of target rows are read that are classes of source rows: such rows are
        classified as well. Mask the others with anything else. False reads none.
    {training}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    DANNClassifier : Draws the domains together by an adversary.
    DomainAdaptiveClassifier : Any sum of adaptation terms.

    References
    ----------
    M. Long, Y. Cao, J. Wang and M. I. Jordan, "Learning transferable features with deep
    adaptation networks", ICML 2015.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sktl.classifiers import MMDAligner
    >>> X, y = make_classification(random_state=0)
    >>> sample_domain = [1] * 50 + [-1] * 50
    >>> aligner = MMDAligner(random_state=0).fit(X, y, sample_domain=sample_domain)
    >>> aligner.predict(X[50:]).shape, aligner.transform(X).shape
    ((50,), (100, 256))
    """

    __metadata_request__transform = {"sample_domain": True, "allow_source": True}

    _parameter_constraints: dict[str, Any] = {
        **AdaptiveClassifier._parameter_constraints,
        "lambda_mmd": LAMBDA,
        "bandwidths": [StrOptions({"median"}), "array-like"],
    }

    def __init__(
        self,
        backbone: Any = "auto",
        *,
        lambda_mmd: float = 1.0,
        lambda_schedule: str | Callable[[float], float] = "dann",
        bandwidths: str | Sequence[float] = "median",
        use_target_labels: bool = False,
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

    @property
    def _n_features_out(self) -> int:
        return self.backbone_.embedding_size

    def transform(self, X: Any, sample_domain: Any = None, allow_source: bool = True) -> np.ndarray:
        """Aligned embedding of every row.

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
        ndarray of shape (n, embedding_size)
            Embeddings.
        """
        return self._infer(X, sample_domain, allow_source)[0].numpy()

    def fit_transform(
        self, X: Any, y: Any, sample_domain: Any = None, sample_weight: Any = None
    ) -> np.ndarray:
        """Fit, then transform the same rows.

        Parameters
        ----------
        X : array-like of shape (n, ...) or sequence of clips or paths of length n
            Rows, as in `fit`.
        y : array-like of shape (n,)
            Labels; those of target rows are never read.
        sample_domain : array-like of int of shape (n,), default=None
            0 and above for source rows, below 0 for target rows.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows.

        Returns
        -------
        ndarray of shape (n, embedding_size)
            Embeddings.
        """
        return self.fit(X, y, sample_domain, sample_weight).transform(X, sample_domain)
