import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import inv, sqrtm
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sktl.adaptation import CORALTransformer, coral_map
from sktl.exceptions import NoAdaptationWarning


def two_domains(n_source=60, n_target=50, n_features=4, seed=0):
    """Rows of two correlated Gaussians of different mean, and a target domain of -1."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(2, n_features, n_features))
    source = rng.normal(size=(n_source, n_features)) @ mixing[0] - 1
    target = rng.normal(size=(n_target, n_features)) @ mixing[1] + 3
    return np.concatenate([source, target]), np.repeat([1, -1], [n_source, n_target])


def map_from_the_paper(source, target, reg):
    """Algorithm 1 of Sun, Feng and Saenko 2016."""
    identity = np.eye(source.shape[1])
    c_source = np.cov(source, rowvar=False) + reg * identity
    c_target = np.cov(target, rowvar=False) + reg * identity
    return inv(sqrtm(c_source)) @ sqrtm(c_target)


@pytest.mark.parametrize("reg", [0, 0.1, 1.0, 10])
def test_map_equals_the_formula(reg):
    X, domain = two_domains()
    source, target = X[domain > 0], X[domain < 0]
    expected = map_from_the_paper(source, target, reg)
    np.testing.assert_allclose(coral_map(source, target, reg), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("n_source", "n_target"), [(5, 40), (40, 5), (5, 6), (12, 12), (2, 2)])
def test_map_equals_the_formula_with_fewer_rows_than_features(n_source, n_target):
    X, domain = two_domains(n_source, n_target, n_features=12)
    source, target = X[domain > 0], X[domain < 0]
    expected = map_from_the_paper(source, target, 0.5)
    np.testing.assert_allclose(coral_map(source, target, 0.5), expected, rtol=1e-9, atol=1e-9)


def test_map_gives_the_target_covariance_exactly_without_reg():
    X, domain = two_domains()
    source, target = X[domain > 0], X[domain < 0]
    mapped = source @ coral_map(source, target, reg=0)
    np.testing.assert_allclose(
        np.cov(mapped, rowvar=False), np.cov(target, rowvar=False), rtol=1e-9
    )


def test_map_between_equal_covariances_is_the_identity():
    X, _ = two_domains()
    np.testing.assert_allclose(coral_map(X, X + 7, reg=0.3), np.eye(4), atol=1e-10)


def test_map_without_reg_drops_directions_in_which_the_source_is_constant():
    X, domain = two_domains()
    X[:, 2] = 5.0
    source, target = X[domain > 0], X[domain < 0]
    kept = [0, 1, 3]
    mapping = coral_map(source, target, reg=0)
    expected = map_from_the_paper(source[:, kept], target[:, kept], 0)
    np.testing.assert_allclose(mapping[np.ix_(kept, kept)], expected, rtol=1e-8)
    np.testing.assert_allclose(mapping[2], 0, atol=1e-12)
    np.testing.assert_allclose(mapping[:, 2], 0, atol=1e-12)


def test_map_leaves_constant_features_apart_with_reg():
    X, domain = two_domains()
    X[:, 2] = 5.0
    mapping = coral_map(X[domain > 0], X[domain < 0], reg=1.0)
    np.testing.assert_allclose(mapping[2], [0, 0, 1, 0], atol=1e-12)


@pytest.mark.parametrize("reg", [0, 1.0])
def test_map_of_identical_rows_is_finite(reg):
    assert np.isfinite(coral_map(np.ones((5, 3)), np.ones((4, 3)), reg)).all()


@pytest.mark.parametrize(
    ("source", "target", "reg", "message"),
    [
        (np.ones((3, 2)), np.ones((3, 4)), 1.0, "source has 2 features but target has 4"),
        (np.ones((1, 2)), np.ones((3, 2)), 1.0, "source has 1 row; a covariance needs"),
        (np.ones((3, 2)), np.ones((1, 2)), 1.0, "target has 1 row; a covariance needs"),
        (np.ones((3, 2)), np.full((3, 2), np.nan), 1.0, "Input target contains NaN"),
        (np.ones((3, 2)), np.ones((3, 2)), -0.5, "reg=-0.5; give a finite number, 0 or above"),
        (np.ones((3, 2)), np.ones((3, 2)), np.nan, "reg=nan"),
        (np.ones((3, 2)), np.ones((3, 2)), "auto", "reg='auto'"),
    ],
)
def test_map_names_bad_input(source, target, reg, message):
    with pytest.raises(ValueError, match=message):
        coral_map(source, target, reg)


def test_source_rows_get_the_mean_and_covariance_of_the_target():
    X, domain = two_domains()
    aligned = CORALTransformer(reg=0).fit_transform(X, sample_domain=domain)
    target = X[domain < 0]
    np.testing.assert_allclose(aligned[domain > 0].mean(axis=0), target.mean(axis=0))
    np.testing.assert_allclose(np.cov(aligned[domain > 0].T), np.cov(target.T), rtol=1e-9)


def test_without_means_it_is_the_product_of_the_paper():
    X, domain = two_domains()
    aligned = CORALTransformer(align_means=False).fit_transform(X, sample_domain=domain)
    expected = X[domain > 0] @ map_from_the_paper(X[domain > 0], X[domain < 0], 1.0)
    np.testing.assert_allclose(aligned[domain > 0], expected, rtol=1e-9)


def test_centred_domains_are_mapped_the_same_with_and_without_means():
    X, domain = two_domains()
    for side in (domain > 0, domain < 0):
        X[side] -= X[side].mean(axis=0)
    aligned, paper = (
        CORALTransformer(align_means=align_means).fit_transform(X, sample_domain=domain)
        for align_means in (True, False)
    )
    np.testing.assert_allclose(aligned, paper, atol=1e-12)


def test_target_rows_and_rows_without_a_domain_are_unchanged():
    X, domain = two_domains()
    coral = CORALTransformer().fit(X, sample_domain=domain)
    np.testing.assert_array_equal(coral.transform(X), X)
    np.testing.assert_array_equal(coral.transform(X, np.full(len(X), -3)), X)
    np.testing.assert_array_equal(coral.transform(X, domain)[domain < 0], X[domain < 0])


def test_input_is_not_written_to():
    X, domain = two_domains()
    before = X.copy()
    coral = CORALTransformer().fit(X, sample_domain=domain)
    for sample_domain in (domain, None):
        coral.transform(X, sample_domain)[:] = 0
    np.testing.assert_array_equal(X, before)


def test_fit_transform_is_fit_then_transform():
    X, domain = two_domains()
    once = CORALTransformer().fit_transform(X, None, domain)
    twice = CORALTransformer().fit(X, None, domain).transform(X, domain)
    np.testing.assert_array_equal(once, twice)


def test_several_sources_and_targets_are_pooled():
    X, domain = two_domains()
    many = np.where(domain > 0, np.arange(len(X)) % 3, -1 - np.arange(len(X)) % 2)
    pooled = CORALTransformer().fit_transform(X, sample_domain=domain)
    np.testing.assert_array_equal(CORALTransformer().fit_transform(X, sample_domain=many), pooled)


def test_order_of_rows_does_not_matter():
    X, domain = two_domains()
    order = np.random.default_rng(1).permutation(len(X))
    straight = CORALTransformer().fit_transform(X, sample_domain=domain)
    shuffled = CORALTransformer().fit_transform(X[order], sample_domain=domain[order])
    np.testing.assert_allclose(shuffled, straight[order], rtol=1e-9)


def test_labels_are_never_read():
    X, domain = two_domains()
    unlabelled = CORALTransformer().fit_transform(X, sample_domain=domain)
    for y in (np.arange(len(X)), np.full(len(X), np.nan), ["a"] * len(X)):
        labelled = CORALTransformer().fit_transform(X, y, sample_domain=domain)
        np.testing.assert_array_equal(labelled, unlabelled)


@pytest.mark.parametrize("domain", [None, np.zeros(110), np.arange(110)])
def test_all_source_is_the_identity_and_warns_once(domain):
    X, _ = two_domains()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = CORALTransformer().fit_transform(X, sample_domain=domain)
    assert [warning.category for warning in caught] == [NoAdaptationWarning]
    assert "no target rows" in str(caught[0].message)
    np.testing.assert_array_equal(result, X)


def test_a_second_fit_forgets_the_first():
    X, domain = two_domains()
    coral = CORALTransformer().fit(X, sample_domain=domain)
    with pytest.warns(NoAdaptationWarning):
        coral.fit(X)
    np.testing.assert_array_equal(coral.transform(X, domain), X)


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (np.full(110, -1), "marks all 110 rows as target"),
        (np.ones(7), r"shape \(7,\) but X has 110 rows"),
        (np.full(110, 0.5), "holds 0.5, which is not a whole number"),
        (np.repeat([1, -1], [109, 1]), "target has 1 row"),
        (np.repeat([1, -1], [1, 109]), "source has 1 row"),
    ],
)
def test_bad_domains_are_named(domain, message):
    X, _ = two_domains()
    with pytest.raises(ValueError, match=message):
        CORALTransformer().fit(X, sample_domain=domain)


def test_transform_checks_domains_too():
    X, domain = two_domains()
    coral = CORALTransformer().fit(X, sample_domain=domain)
    with pytest.raises(ValueError, match="X has 110 rows"):
        coral.transform(X, domain[:-1])
    with pytest.raises(ValueError, match="60 rows as source but allow_source=False"):
        coral.transform(X, domain, allow_source=False)
    target = domain < 0
    result = coral.transform(X[target], domain[target], allow_source=False)
    np.testing.assert_array_equal(result, X[target])


@pytest.mark.parametrize("params", [{"reg": -1}, {"reg": "auto"}, {"align_means": "yes"}])
def test_parameters_out_of_range_are_named(params):
    X, domain = two_domains()
    with pytest.raises(ValueError, match=f"'{next(iter(params))}' parameter of CORALTransformer"):
        CORALTransformer(**params).fit(X, sample_domain=domain)


def test_nan_is_refused():
    X, domain = two_domains()
    coral = CORALTransformer().fit(X, sample_domain=domain)
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        CORALTransformer().fit(X, sample_domain=domain)
    with pytest.raises(ValueError, match="contains NaN"):
        coral.transform(X, domain)


def test_float32_stays_float32_and_close():
    X, domain = two_domains(n_features=16)
    double = CORALTransformer().fit_transform(X, sample_domain=domain)
    single = CORALTransformer().fit_transform(X.astype(np.float32), sample_domain=domain)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, rtol=1e-3, atol=1e-4)


def test_wide_data_of_low_rank():
    X, domain = two_domains(n_source=10, n_target=8, n_features=300)
    aligned = CORALTransformer().fit_transform(X, sample_domain=domain)
    target_mean = X[domain < 0].mean(axis=0)
    np.testing.assert_allclose(aligned[domain > 0].mean(axis=0), target_mean, atol=1e-9)


def test_dataframes_keep_their_names_and_index():
    X, domain = two_domains()
    frame = pd.DataFrame(X, columns=list("abcd"), index=np.arange(len(X)) + 5)
    coral = CORALTransformer().set_output(transform="pandas")
    aligned = coral.fit_transform(frame, sample_domain=pd.Series(domain))
    assert list(coral.get_feature_names_out()) == list("abcd")
    pd.testing.assert_index_equal(aligned.columns, frame.columns)
    pd.testing.assert_index_equal(aligned.index, frame.index)
    expected = CORALTransformer().fit_transform(X, sample_domain=domain)
    np.testing.assert_array_equal(aligned, expected)


def test_clone_and_pickle():
    X, domain = two_domains()
    coral = CORALTransformer(reg=2.0, align_means=False).fit(X, sample_domain=domain)
    assert clone(coral).get_params() == {"reg": 2.0, "align_means": False}
    assert not hasattr(clone(coral), "map_")
    loaded = pickle.loads(pickle.dumps(coral))
    np.testing.assert_array_equal(loaded.transform(X, domain), coral.transform(X, domain))


@pytest.fixture(scope="module")
def dslr_and_webcam(sktl_home):
    """Rows divided by their sum, then z-scored in each domain (Office-Caltech10, SURF)."""
    path = sktl_home / "data" / "office_caltech10_surf.npz"
    if not path.is_file():
        pytest.skip(f"no Office-Caltech10 in {path}")
    domains = []
    with np.load(path) as data:
        for name in "DW":
            X = data[f"{name}_X"] / data[f"{name}_X"].sum(axis=1, keepdims=True)
            domains += [StandardScaler().fit_transform(X), data[f"{name}_y"]]
    return domains


def test_office_caltech_dslr_to_webcam(dslr_and_webcam):
    X_source, y_source, X_target, y_target = dslr_and_webcam
    domain = np.repeat([1, -1], [len(X_source), len(X_target)])
    X = np.concatenate([X_source, X_target])
    aligned = CORALTransformer().fit_transform(X, sample_domain=domain)[domain > 0]

    def accuracy(rows):
        svm = SVC(kernel="linear", C=0.01, random_state=0).fit(rows, y_source)
        return 100 * svm.score(X_target, y_target)

    assert accuracy(X_source) == pytest.approx(73.56, abs=0.5)
    assert accuracy(aligned) == pytest.approx(85.42, abs=0.5)


def test_office_caltech_with_the_kernel_of_the_authors(dslr_and_webcam):
    """Their program trains on the kernel ``X_s A X_s'`` and predicts with ``X_t A' X_s'``."""
    X_source, y_source, X_target, y_target = dslr_and_webcam
    mapped = X_source @ coral_map(X_source, X_target)
    svm = SVC(kernel="precomputed", C=0.01, random_state=0).fit(mapped @ X_source.T, y_source)
    assert 100 * svm.score(X_target @ mapped.T, y_target) == pytest.approx(84.75, abs=0.5)
