"""Means over the twelve tasks of Office-Caltech10 (SURF) that papers have published."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

from sktl import SubspaceAlignmentTransformer, TCATransformer


@pytest.fixture(scope="module")
def tasks(sktl_home):
    """Rows and labels of both domains, as Long et al. (ICCV 2013) prepared them."""
    path = sktl_home / "data" / "office_caltech10_surf.npz"
    if not path.exists():
        pytest.skip("Office-Caltech10 is not there")
    data = np.load(path)
    domains = {}
    for name in "CAWD":
        rows = data[f"{name}_X"] / data[f"{name}_X"].sum(axis=1, keepdims=True)
        spread = rows.std(axis=0)
        domains[name] = (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return [
        (domains[s], data[f"{s}_y"].ravel(), domains[t], data[f"{t}_y"].ravel())
        for s, t in permutations("CAWD", 2)
    ]


def mean_of_neighbours(tasks, transform):
    """Accuracy in % of the nearest source row, mean over the tasks."""
    found = []
    for Xs, ys, Xt, yt in tasks:
        domain = np.repeat([1, -1], [len(Xs), len(Xt)])
        rows = transform(np.concatenate([Xs, Xt]), domain)
        classifier = KNeighborsClassifier(1).fit(rows[domain > 0], ys)
        found.append(100 * classifier.score(rows[domain < 0], yt))
    return np.mean(found)


@pytest.mark.slow
def test_without_adaptation_the_rows_are_those_of_the_papers(tasks):
    assert mean_of_neighbours(tasks, lambda X, _: X) == pytest.approx(31.37, abs=0.005)
    pca = PCA(100, svd_solver="full")
    found = mean_of_neighbours(tasks, lambda X, _: pca.fit_transform(X))
    assert found == pytest.approx(39.79, abs=0.005)


@pytest.mark.slow
def test_transfer_components_are_those_of_long_2013(tasks):
    tca = TCATransformer(100)
    found = mean_of_neighbours(tasks, lambda X, d: tca.fit_transform(X, sample_domain=d))
    assert found == pytest.approx(43.61, abs=0.005)


@pytest.mark.slow
def test_subspace_alignment_is_at_least_that_of_zhang_2017(tasks):
    aligned = SubspaceAlignmentTransformer(30)
    found = mean_of_neighbours(tasks, lambda X, d: aligned.fit_transform(X, sample_domain=d))
    assert found >= 44.72
