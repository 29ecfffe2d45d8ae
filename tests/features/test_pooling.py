"""Statistics over frames are numpy's."""

import numpy as np
import pytest
import torch

from sktl.features._pooling import POOLINGS, QUANTILES, pool_frames, pooled_names

STATISTICS = {
    "mean": lambda x: x.mean(axis=-1),
    "mean_std": lambda x: np.concatenate([x.mean(axis=-1), x.std(axis=-1)], axis=-1),
    "quantiles": lambda x: np.concatenate(np.quantile(x, QUANTILES, axis=-1), axis=-1),
}


@pytest.mark.parametrize("pooling", list(POOLINGS))
@pytest.mark.parametrize("n_frames", [1, 2, 7, 50])
def test_statistics_equal_numpy(pooling, n_frames, device):
    values = np.random.default_rng(0).normal(size=(3, 4, n_frames))
    actual = pool_frames(torch.from_numpy(values).to(device), pooling).cpu()
    np.testing.assert_allclose(actual, STATISTICS[pooling](values), atol=1e-12)


@pytest.mark.parametrize("pooling", list(POOLINGS))
def test_there_is_one_name_per_column(pooling):
    names = pooled_names(["a", "b"], pooling)
    assert len(set(names)) == pool_frames(torch.zeros(1, 2, 3), pooling).shape[1]


def test_names_follow_the_columns():
    assert pooled_names(["a", "b"], "mean_std") == ["a_mean", "b_mean", "a_std", "b_std"]
    assert pooled_names(["a"], "quantiles") == ["a_q10", "a_q25", "a_q50", "a_q75", "a_q90"]
