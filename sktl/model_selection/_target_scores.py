"""Scores of what a classifier says of target rows, without their labels."""

import numpy as np
from scipy import linalg
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.preprocessing import normalize

from .._domains import is_masked
from ._outputs import Outputs

__all__ = [
    "batch_nuclear_norm_score",
    "class_cluster_score",
    "information_maximization_score",
    "prediction_entropy_score",
    "soft_neighborhood_density_score",
    "target_accuracy_score",
]

# Numbers of a block of similarities.
BLOCK = 2**22


def prediction_entropy_score(outputs: Outputs) -> float:
    """Negative mean entropy of the predictions, in nats (Morerio et al., ICLR 2018)."""
    logs = outputs.log_proba[outputs.target]
    return float((np.exp(logs) * logs).sum(axis=1).mean())


def information_maximization_score(outputs: Outputs) -> float:
    """Entropy of the mean prediction less the mean entropy (Shi and Sha, ICML 2012)."""
    mean = outputs.proba[outputs.target].mean(axis=0)
    known = mean[mean > 0]
    return prediction_entropy_score(outputs) - float(known @ np.log(known))


def soft_neighborhood_density_score(outputs: Outputs, temperature: float = 0.05) -> float:
    """Mean entropy of each row's similarity to the others (Saito et al., ICCV 2021).

    Similarities are cosines of the predicted probabilities over `temperature`, made into a
    distribution by softmax. High where rows have many neighbours alike.
    """
    rows = normalize(outputs.proba[outputs.target])
    n = len(rows)
    if n < 3:
        return 0.0
    entropies = []
    for part in np.array_split(np.arange(n), -(-n * n // BLOCK)):
        similarity = rows[part] @ rows.T / temperature
        similarity[np.arange(len(part)), part] = -np.inf
        shifted = similarity - similarity.max(axis=1, keepdims=True)
        weight = np.exp(shifted)
        total = weight.sum(axis=1)
        finite = np.where(weight > 0, shifted, 0)
        entropies.append(np.log(total) - (weight * finite).sum(axis=1) / total)
    return float(np.concatenate(entropies).mean())


def batch_nuclear_norm_score(outputs: Outputs) -> float:
    """Nuclear norm of the predictions over its largest value (Cui et al., CVPR 2020).

    Predictions that are sure and diverse come near 1.
    """
    proba = outputs.proba[outputs.target]
    largest = np.sqrt(len(proba) * min(proba.shape))
    return float(linalg.svdvals(proba).sum() / largest)


def class_cluster_score(outputs: Outputs, random_state: int = 0) -> float:
    """Adjusted mutual information of predicted classes and clusters (Musgrave et al., 2022).

    Clusters are those of k-means on the embedding's directions, as many as classes ("ClassAMI").
    """
    rows = normalize(outputs.embedding[outputs.target])
    n_clusters = min(len(outputs.classes), len(np.unique(rows, axis=0)))
    clusters = KMeans(n_clusters, n_init=3, random_state=random_state).fit_predict(rows)
    return float(adjusted_mutual_info_score(outputs.predicted[outputs.target], clusters))


def target_accuracy_score(outputs: Outputs) -> float:
    """Accuracy over target rows whose label is known: the oracle."""
    labels = outputs.labels("target")
    known = ~is_masked(labels, np.zeros(len(labels), bool), outputs.classes)
    if not known.any():
        raise ValueError(
            f"target_accuracy reads labels of target rows, but none of the {len(labels)} there "
            "are is one of the classes; give labels, or a score that does not read them."
        )
    return float((outputs.predicted[outputs.target] == labels)[known].mean())
