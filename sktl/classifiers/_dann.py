"""Domain-adversarial training."""

from collections.abc import Callable, Sequence
from typing import Any

from ._adaptive import LAMBDA, AdaptiveClassifier
from ._docs import with_shared_docs

__all__ = ["DANNClassifier"]


@with_shared_docs
class DANNClassifier(AdaptiveClassifier):
    """Domain-adversarial neural network.

    A domain classifier learns to tell source from target embeddings, while its reversed
    gradient, times λ, teaches the body to make them alike (Ganin et al., 2016, eq. 13 to 15).
    Different values of `sample_domain` are different domains: of more than two it tells each.

    Parameters
    ----------
    {backbone}
    lambda_adv : float, default=1.0
        Weight of the reversed gradient; 0 trains on source rows alone.
    lambda_schedule : {"dann", "constant"} or callable, default="dann"
        Factor of λ as a function of the progress of training in [0, 1]: "dann" rises
        as 2 / (1 + exp(-10 p)) - 1.
    conditional : bool, default=False
        Whether the domain classifier also sees the predictions (CDAN, Long et al., 2018).
    entropy_weighting : bool, default=False
        Whether rows whose prediction is certain count more for it (CDAN+E); goes with
        ``conditional=True``.
    discriminator_hidden : sequence of int, default=(64,)
        Widths of the hidden layers of the domain classifier. It learns at ten times `lr`
        (Heusel et al., 2017), and Adam goes with betas (0.5, 0.999) (Radford et al., 2016):
        without either, training need not settle.
    use_target_labels : bool, default=False
        Whether labels of target rows are read that are classes of source rows: such rows are
        classified as well. Mask the others with anything else. False reads none.
    {training}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    MMDAligner : Draws the domains together by kernel means.
    DomainAdaptiveClassifier : Any sum of adaptation terms.

    References
    ----------
    M. Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash
    equilibrium", NeurIPS 2017.

    A. Radford, L. Metz and S. Chintala, "Unsupervised representation learning with deep
    convolutional generative adversarial networks", ICLR 2016.

    Y. Ganin et al., "Domain-adversarial training of neural networks", JMLR 17, 2016.

    M. Long, Z. Cao, J. Wang and M. I. Jordan, "Conditional adversarial domain adaptation",
    NeurIPS 2018.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sktl.classifiers import DANNClassifier
    >>> X, y = make_classification(random_state=0)
    >>> sample_domain = [1] * 50 + [-1] * 50
    >>> clf = DANNClassifier(random_state=0).fit(X, y, sample_domain=sample_domain)
    >>> clf.predict(X[50:]).shape
    (50,)
    """

    _parameter_constraints: dict[str, Any] = {
        **AdaptiveClassifier._parameter_constraints,
        "lambda_adv": LAMBDA,
        "conditional": ["boolean"],
        "entropy_weighting": ["boolean"],
        "discriminator_hidden": ["array-like"],
    }

    def __init__(
        self,
        backbone: Any = "auto",
        *,
        lambda_adv: float = 1.0,
        lambda_schedule: str | Callable[[float], float] = "dann",
        conditional: bool = False,
        entropy_weighting: bool = False,
        discriminator_hidden: Sequence[int] = (64,),
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
