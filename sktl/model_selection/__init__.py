"""Choosing and judging models: splits, scores that read no target labels, what transfer gains."""

from ._adaptation_report import AdaptationReport, adaptation_report
from ._report import TransferReport, transfer_report
from ._scorers import (
    DomainScorer,
    batch_nuclear_norm,
    class_cluster,
    deep_embedded_validation,
    importance_weighted_accuracy,
    information_maximization,
    mixval,
    prediction_entropy,
    proxy_a_distance,
    soft_neighborhood_density,
    source_accuracy,
    target_accuracy,
)
from ._splitters import DomainStratifiedKFold, LeaveOneDomainOut

__all__ = [
    "AdaptationReport",
    "DomainScorer",
    "DomainStratifiedKFold",
    "LeaveOneDomainOut",
    "TransferReport",
    "adaptation_report",
    "batch_nuclear_norm",
    "class_cluster",
    "deep_embedded_validation",
    "importance_weighted_accuracy",
    "information_maximization",
    "mixval",
    "prediction_entropy",
    "proxy_a_distance",
    "soft_neighborhood_density",
    "source_accuracy",
    "target_accuracy",
    "transfer_report",
]
