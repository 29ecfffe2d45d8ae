"""Band-wise statistics matching."""

import numpy as np
import pytest

from sktl import BandStatisticsTransformer, MelSpectrogram
from sktl.adaptation import DomainShift


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(30, 4, 20))
    sample_domain = np.where(np.arange(30) % 3, 1, -1)
    X[sample_domain < 0] = X[sample_domain < 0] * 2 - np.array([0, 3, 9, 27])[:, None]
    return X, sample_domain


@pytest.mark.parametrize("towards", ["target", "source"])
def test_mapped_rows_have_the_statistics_of_the_other_domain(data, towards):
    X, sample_domain = data
    moved = (sample_domain > 0) == (towards == "target")
    model = BandStatisticsTransformer(towards)
    found = model.fit_transform(X, sample_domain=sample_domain)
    np.testing.assert_array_equal(found[~moved], X[~moved])
    for statistic in (np.mean, np.std):
        np.testing.assert_allclose(
            statistic(found[moved], axis=(0, 2)), statistic(X[~moved], axis=(0, 2))
        )


def test_it_is_the_formula_of_the_paper(data):
    X, sample_domain = data
    source = X[sample_domain > 0]
    target = X[sample_domain < 0]
    axes = {"axis": (0, 2), "keepdims": True}
    expected = (target - target.mean(**axes)) / target.std(**axes)
    expected = expected * source.std(**axes) + source.mean(**axes)
    model = BandStatisticsTransformer("source").fit(X, sample_domain=sample_domain)
    np.testing.assert_allclose(model.transform(target)[0], expected[0])


def test_rows_without_a_domain_are_target_rows(data):
    X, sample_domain = data
    model = BandStatisticsTransformer().fit(X, sample_domain=sample_domain)
    np.testing.assert_array_equal(model.transform(X), X)
    model = BandStatisticsTransformer("source").fit(X, sample_domain=sample_domain)
    expected = model.transform(X, np.full(30, -1))
    np.testing.assert_array_equal(model.transform(X), expected)


def test_bands_that_do_not_vary_are_only_shifted():
    X = np.ones((4, 2))
    X[2:] = [[5, 1], [5, 3]]
    found = BandStatisticsTransformer().fit_transform(X, sample_domain=[1, 1, -1, -1])
    np.testing.assert_allclose(found[:2], [[5, 2], [5, 2]])


def test_it_undoes_a_microphone():
    generator = np.random.default_rng(0)
    clips = generator.normal(size=(20, 8000)).astype(np.float32) * 0.1
    shifted = DomainShift(band=(200, 3000), gain=-10, random_state=0).fit_transform(clips)
    mel = MelSpectrogram(top_db=None)
    both = np.concatenate([mel.fit_transform(clips), mel.fit_transform(shifted)])
    model = BandStatisticsTransformer("source")
    found = model.fit_transform(both, sample_domain=np.repeat([1, -1], 20))
    before = np.abs(both[:20] - both[20:]).mean()
    after = np.abs(found[:20] - found[20:]).mean()
    assert after < 0.2 * before


def test_what_is_no_direction_is_refused(data):
    X, sample_domain = data
    with pytest.raises(ValueError, match="'towards' parameter"):
        BandStatisticsTransformer("both").fit(X, sample_domain=sample_domain)
