"""What transformers share that map rows of both domains."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktl import (
    BandStatisticsTransformer,
    DomainStandardScaler,
    FeatureAugmentation,
    SubspaceAlignmentTransformer,
    TCATransformer,
)
from sktl.exceptions import NoAdaptationWarning

TRANSFORMERS = [
    SubspaceAlignmentTransformer(2),
    TCATransformer(2),
    TCATransformer(2, kernel="rbf", random_state=0),
    FeatureAugmentation(),
    BandStatisticsTransformer(),
    BandStatisticsTransformer("source"),
    DomainStandardScaler(),
]
each = pytest.mark.parametrize("transformer", TRANSFORMERS, ids=lambda t: type(t).__name__)


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(60, 4)) * [3, 2, 1, 0.5]
    sample_domain = np.where(generator.random(60) < 0.5, 1, -1)
    X[sample_domain < 0] += 2.0
    return X, sample_domain


@each
def test_rows_without_a_domain_are_target_rows(transformer, data):
    X, sample_domain = data
    fitted = clone(transformer).fit(X, sample_domain=sample_domain)
    target = fitted.transform(X, np.full(60, -1))
    np.testing.assert_array_equal(fitted.transform(X), target)
    both = fitted.transform(X, sample_domain)
    np.testing.assert_allclose(both[sample_domain < 0], target[sample_domain < 0])


@each
def test_fit_transform_is_fit_then_transform_with_the_same_domains(transformer, data):
    X, sample_domain = data
    together = clone(transformer).fit_transform(X, sample_domain=sample_domain)
    apart = clone(transformer).fit(X, sample_domain=sample_domain).transform(X, sample_domain)
    np.testing.assert_array_equal(together, apart)


@each
def test_labels_are_never_read(transformer, data):
    X, sample_domain = data
    told = clone(transformer).fit(X, np.arange(60), sample_domain)
    untold = clone(transformer).fit(X, None, sample_domain)
    np.testing.assert_array_equal(told.transform(X), untold.transform(X))


@each
def test_without_target_rows_it_warns_and_maps_alike_all_rows(transformer, data):
    X, _ = data
    name = type(transformer).__name__
    with pytest.warns(NoAdaptationWarning, match=f"{name} saw no target rows and adapts nothing"):
        fitted = clone(transformer).fit(X)
    np.testing.assert_allclose(
        fitted.transform(X, np.ones(60, int)), fitted.transform(X), atol=1e-12
    )


@each
def test_domains_that_mean_nothing_are_refused(transformer, data):
    X, sample_domain = data
    with pytest.raises(ValueError, match="marks all 60 rows as target"):
        clone(transformer).fit(X, sample_domain=np.full(60, -1))
    with pytest.raises(ValueError, match=r"shape \(59,\) but X has 60 rows"):
        clone(transformer).fit(X, sample_domain=sample_domain[1:])
    fitted = clone(transformer).fit(X, sample_domain=sample_domain)
    with pytest.raises(ValueError, match="allow_source=False but sample_domain marks"):
        fitted.transform(X, sample_domain, allow_source=False)


@each
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept(transformer, data, dtype):
    X, sample_domain = data
    mapped = clone(transformer).fit_transform(X.astype(dtype), sample_domain=sample_domain)
    assert mapped.dtype == dtype
    expected = clone(transformer).fit_transform(X, sample_domain=sample_domain)
    np.testing.assert_allclose(mapped, expected, atol=1e-3)


@each
def test_names_frames_and_pickles(transformer, data):
    X, sample_domain = data
    frame = pd.DataFrame(X, columns=list("abcd"))
    fitted = clone(transformer).set_output(transform="pandas").fit(frame, None, sample_domain)
    mapped = pickle.loads(pickle.dumps(fitted)).transform(frame, sample_domain)
    assert list(mapped.columns) == list(fitted.get_feature_names_out())
    expected = clone(transformer).fit_transform(X, sample_domain=sample_domain)
    np.testing.assert_allclose(mapped, expected, atol=1e-9)


@each
def test_constant_features_and_few_rows_do_no_harm(transformer):
    X = np.concatenate([np.random.default_rng(0).normal(size=(6, 3)), np.full((6, 2), 3.0)], axis=1)
    mapped = clone(transformer).fit_transform(X, sample_domain=[0, 0, 0, -1, -1, -1])
    assert np.isfinite(mapped).all()


@each
def test_a_target_a_hundred_times_the_source(transformer):
    X = np.random.default_rng(0).normal(size=(1010, 4))
    sample_domain = np.repeat([0, -1], [10, 1000])
    mapped = clone(transformer).fit_transform(X, sample_domain=sample_domain)
    assert np.isfinite(mapped).all()


@each
def test_domains_pass_through_a_pipeline(transformer, data):
    X, sample_domain = data
    y = (X[:, 0] > 1).astype(int)
    steps = [StandardScaler(), clone(transformer), LogisticRegression()]
    name = type(transformer).__name__.lower()
    prefixed = make_pipeline(*steps).fit(X, y, **{f"{name}__sample_domain": sample_domain})
    with config_context(enable_metadata_routing=True):
        routed = make_pipeline(*map(clone, steps)).fit(X, y, sample_domain=sample_domain)
        found = routed.predict_proba(X, sample_domain=sample_domain)
        plain = routed.predict_proba(X)
    np.testing.assert_allclose(prefixed.predict_proba(X), plain)
    assert found.shape == (60, 2)


@each
def test_a_target_a_hundred_times_the_source_is_no_matter(transformer):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(2020, 4)) * [3, 2, 1, 0.5]
    sample_domain = np.repeat([1, -1], [20, 2000])
    mapped = clone(transformer).fit_transform(X, sample_domain=sample_domain)
    assert len(mapped) == 2020
    assert np.isfinite(mapped).all()
