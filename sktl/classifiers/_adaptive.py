"""Training on labelled source rows and unlabelled target rows together."""

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np

from .._validation import Interval, StrOptions
from ..losses import dann_schedule
from ._base import NetworkClassifier
from ._docs import with_shared_docs
from ._objective import Objective

__all__ = ["AdaptiveClassifier", "DomainAdaptiveClassifier"]

SCHEDULES: dict[str, Callable[[float], float]] = {
    "dann": dann_schedule,
    "constant": lambda progress: 1.0,
}
LAMBDA = [Interval(Real, 0, None, closed="left")]
POSITIVE = [Interval(Real, 0, None, closed="neither")]


class AdaptiveClassifier(NetworkClassifier):
    """Base of the classifiers whose objective has terms for the target domain."""

    _parameter_constraints: dict[str, Any] = {
        **NetworkClassifier._parameter_constraints,
        "lambda_schedule": [StrOptions(set(SCHEDULES)), callable],
        "use_target_labels": ["boolean"],
    }

    def _objective(self) -> Objective:
        """Every λ, bandwidth and switch that this estimator has as a parameter."""
        if getattr(self, "entropy_weighting", False) and not self.conditional:
            raise ValueError(
                "entropy_weighting=True weighs rows by the certainty of predictions, which the "
                "domain classifier does not see; give conditional=True as well."
            )
        own = {
            name: getattr(self, name)
            for name in Objective.__dataclass_fields__
            if hasattr(self, name)
        }
        schedule: Any = self.lambda_schedule
        return Objective(**own, schedule=SCHEDULES.get(schedule, schedule))

    def _adversaries(self) -> tuple[str, ...]:
        """Parts of the network that learn against the body."""
        of = {"lambda_adv": "discriminator", "lambda_mdd": "rival"}
        return tuple(name for weight, name in of.items() if getattr(self, weight, 0))

    def _reads_target_labels(self) -> bool:
        """Whether labels of target rows count where they are known."""
        return bool(self.use_target_labels)

    def _discriminator_hidden(self) -> tuple[int, ...] | None:
        """Hidden widths of the adversaries, where the objective has any."""
        if not self._adversaries():
            return None
        hidden = tuple(self.discriminator_hidden)
        if not all(isinstance(width, int | np.integer) and width > 0 for width in hidden):
            raise ValueError(
                f"discriminator_hidden={self.discriminator_hidden!r}; give a sequence of "
                "positive whole numbers, one per hidden layer."
            )
        return hidden


@with_shared_docs
class DomainAdaptiveClassifier(AdaptiveClassifier):
    """Network classifier with any sum of adaptation terms.

    Minimises L = L_cls + λ_adv L_adv + λ_mmd L_mmd + …: the classification loss of the source
    rows, and terms that draw the embeddings of source and target rows together or make
    predictions on target rows certain. With every λ zero it is :class:`FineTunedClassifier`.

    Different values of `sample_domain` are different domains. With more than two the domain
    classifier tells them all apart, and distances are means over all pairs.

    Parameters
    ----------
    {backbone}
    lambda_adv : float, default=0.0
        Weight of the reversed gradient of a domain classifier (Ganin et al., 2016).
    lambda_mdd : float, default=0.0
        Weight of the reversed gradient of a rival, a second classifier that agrees on source
        rows and disagrees on target rows (margin disparity, Zhang et al., 2019).
    lambda_mmd : float, default=0.0
        Weight of the multi-kernel maximum mean discrepancy (Long et al., 2015).
    lambda_jmmd : float, default=0.0
        Weight of the same of embeddings and predictions jointly (JAN, Long et al., 2017).
    lambda_coral : float, default=0.0
        Weight of the distance between covariances (Sun and Saenko, 2016).
    lambda_entropy : float, default=0.0
        Weight of the entropy of target predictions (Grandvalet and Bengio, 2005).
    lambda_mcc : float, default=0.0
        Weight of the confusion between classes in target predictions (MCC, Jin et al., 2020).
    lambda_schedule : {"dann", "constant"} or callable, default="dann"
        Factor of every λ as a function of the progress of training in [0, 1]: "dann" rises
        as 2 / (1 + exp(-10 p)) - 1 (Ganin et al., 2016).
    conditional : bool, default=False
        Whether the domain classifier also sees the predictions (CDAN, Long et al., 2018).
    entropy_weighting : bool, default=False
        Whether rows whose prediction is certain count more for it (CDAN+E); goes with
        ``conditional=True``.
    discriminator_hidden : sequence of int, default=(64,)
        Widths of the hidden layers of the domain classifier and of the rival. They learn at ten
        times `lr` (Heusel et al., 2017), and Adam goes with betas (0.5, 0.999) (Radford et al.,
        2016): without either, training need not settle.
    bandwidths : "median" or sequence of float, default="median"
        Kernel widths of the MMD on embeddings, see :func:`sktl.losses.mmd2`.
    mdd_margin : float, default=4.0
        How much agreement on source rows counts, see :func:`sktl.losses.margin_disparity`.
    mcc_temperature : float, default=2.5
        Softens predictions, see :func:`sktl.losses.class_confusion`.
    use_target_labels : bool, default=False
        Whether labels of target rows are read that are classes of source rows: such rows are
        classified as well. Mask the others with anything else. False reads none.
    {training}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    DANNClassifier : The adversarial term alone.
    MMDAligner : The MMD term alone; also a transformer.

    References
    ----------
    M. Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash
    equilibrium", NeurIPS 2017.

    A. Radford, L. Metz and S. Chintala, "Unsupervised representation learning with deep
    convolutional generative adversarial networks", ICLR 2016.

    Y. Ganin et al., "Domain-adversarial training of neural networks", JMLR 17, 2016.

    M. Long et al., "Learning transferable features with deep adaptation networks", ICML 2015.

    Y. Zhang, T. Liu, M. Long and M. I. Jordan, "Bridging theory and algorithm for domain
    adaptation", ICML 2019.

    M. Long, H. Zhu, J. Wang and M. I. Jordan, "Deep transfer learning with joint adaptation
    networks", ICML 2017.

    M. Long, Z. Cao, J. Wang and M. I. Jordan, "Conditional adversarial domain adaptation",
    NeurIPS 2018.

    Y. Jin, X. Wang, M. Long and J. Wang, "Minimum class confusion for versatile domain
    adaptation", ECCV 2020.

    B. Sun and K. Saenko, "Deep CORAL: correlation alignment for deep domain adaptation",
    ECCV workshops 2016.

    Y. Grandvalet and Y. Bengio, "Semi-supervised learning by entropy minimization",
    NeurIPS 2005.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sktl.classifiers import DomainAdaptiveClassifier
    >>> X, y = make_classification(random_state=0)
    >>> sample_domain = [1] * 50 + [-1] * 50
    >>> clf = DomainAdaptiveClassifier(lambda_mmd=1.0, lambda_coral=1.0, random_state=0)
    >>> clf.fit(X, y, sample_domain=sample_domain).predict(X[50:]).shape
    (50,)
    """

    _parameter_constraints: dict[str, Any] = {
        **AdaptiveClassifier._parameter_constraints,
        "lambda_adv": LAMBDA,
        "lambda_mdd": LAMBDA,
        "lambda_mmd": LAMBDA,
        "lambda_jmmd": LAMBDA,
        "lambda_coral": LAMBDA,
        "lambda_entropy": LAMBDA,
        "lambda_mcc": LAMBDA,
        "conditional": ["boolean"],
        "entropy_weighting": ["boolean"],
        "discriminator_hidden": ["array-like"],
        "bandwidths": [StrOptions({"median"}), "array-like"],
        "mdd_margin": POSITIVE,
        "mcc_temperature": POSITIVE,
    }

    def __init__(
        self,
        backbone: Any = "auto",
        *,
        lambda_adv: float = 0.0,
        lambda_mdd: float = 0.0,
        lambda_mmd: float = 0.0,
        lambda_jmmd: float = 0.0,
        lambda_coral: float = 0.0,
        lambda_entropy: float = 0.0,
        lambda_mcc: float = 0.0,
        lambda_schedule: str | Callable[[float], float] = "dann",
        conditional: bool = False,
        entropy_weighting: bool = False,
        discriminator_hidden: Sequence[int] = (64,),
        bandwidths: str | Sequence[float] = "median",
        mdd_margin: float = 4.0,
        mcc_temperature: float = 2.5,
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
