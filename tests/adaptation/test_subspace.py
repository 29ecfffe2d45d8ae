import numpy as np
import pytest

from sktl.adaptation import SubspaceAlignmentTransformer


def axes_of(rows, count):
    """Leading eigenvectors of the covariance."""
    _, vectors = np.linalg.eigh(np.cov(rows.T))
    return vectors[:, ::-1][:, :count]


@pytest.fixture
def domains():
    generator = np.random.default_rng(0)
    source = generator.normal(size=(50, 5)) @ generator.normal(size=(5, 5)) + 1
    target = generator.normal(size=(40, 5)) @ generator.normal(size=(5, 5)) - 2
    return source, target


@pytest.mark.parametrize("count", [1, 3, 5])
def test_equals_the_formula(domains, count):
    source, target = domains
    sample_domain = np.repeat([3, -2], [50, 40])
    transformer = SubspaceAlignmentTransformer(count)
    mapped = transformer.fit_transform(np.concatenate(domains), sample_domain=sample_domain)
    # Fernando et al. 2013, equations 1 and 2; the sign of an axis is free.
    of_source, of_target = axes_of(source, count), axes_of(target, count)
    signs = np.sign((of_target * transformer.target_components_.T).sum(0))
    of_target = of_target * signs
    aligned = of_source @ of_source.T @ of_target
    expected = [(source - source.mean(0)) @ aligned, (target - target.mean(0)) @ of_target]
    np.testing.assert_allclose(mapped, np.concatenate(expected), atol=1e-9)


def test_a_target_that_is_the_turned_source_is_met(domains):
    source, _ = domains
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))
    X = np.concatenate([source, source @ turn.T])
    sample_domain = np.repeat([1, -1], 50)
    transformer = SubspaceAlignmentTransformer().fit(X, sample_domain=sample_domain)
    assert transformer.map_.shape == (5, 5)
    np.testing.assert_allclose(transformer.map_ @ transformer.map_.T, np.eye(5), atol=1e-9)


def test_no_more_axes_than_both_domains_have(domains):
    source, target = domains
    X, sample_domain = np.concatenate([source, target[:4]]), np.repeat([1, -1], [50, 4])
    whole = SubspaceAlignmentTransformer().fit(X, sample_domain=sample_domain)
    assert whole.transform(X).shape == (54, 3)
    message = r"n_components=4, but 50 and 4 rows .* 5 features have 3 principal axes in common"
    with pytest.raises(ValueError, match=message):
        SubspaceAlignmentTransformer(4).fit(X, sample_domain=sample_domain)
    with pytest.raises(ValueError, match="'n_components' parameter"):
        SubspaceAlignmentTransformer(0).fit(X, sample_domain=sample_domain)


def test_names_are_of_the_class(domains):
    X, sample_domain = np.concatenate(domains), np.repeat([1, -1], [50, 40])
    fitted = SubspaceAlignmentTransformer(2).fit(X, sample_domain=sample_domain)
    names = ["subspacealignmenttransformer0", "subspacealignmenttransformer1"]
    assert list(fitted.get_feature_names_out()) == names


def test_a_single_row_has_no_axes():
    X = np.random.default_rng(0).normal(size=(6, 3))
    with pytest.raises(ValueError, match="X holds 1 sample of the target, which has no axes"):
        SubspaceAlignmentTransformer().fit(X, sample_domain=[1, 1, 1, 1, 1, -1])
