"""What every public estimator promises: scikit-learn's contract, and ours on domains."""

import pickle
import subprocess
import sys
from functools import partial

import joblib
import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sktl import (
    LPC,
    MFCC,
    BandStatisticsTransformer,
    CORALTransformer,
    DANNClassifier,
    DistilledClassifier,
    DomainAdaptiveClassifier,
    DomainShift,
    DomainStandardScaler,
    FeatureAugmentation,
    FeatureFusion,
    FineTunedClassifier,
    ImportanceWeightedClassifier,
    MelSpectrogram,
    MMDAligner,
    MultiTaskClassifier,
    PretrainedEmbedding,
    SelfTrainedClassifier,
    SubspaceAlignmentTransformer,
    TCATransformer,
)
from sktl.exceptions import NoAdaptationWarning

ESTIMATORS = [
    MelSpectrogram(),
    MFCC(),
    LPC(),
    FeatureFusion(),
    PretrainedEmbedding(),
    CORALTransformer(),
    SubspaceAlignmentTransformer(),
    TCATransformer(),
    BandStatisticsTransformer(),
    DomainShift(),
    DomainStandardScaler(),
    SelfTrainedClassifier(),
    FeatureAugmentation(),
    ImportanceWeightedClassifier(),
    FineTunedClassifier(),
    DomainAdaptiveClassifier(),
    DANNClassifier(),
    MMDAligner(),
    DistilledClassifier(LogisticRegression()),
    MultiTaskClassifier(),
]

QUICK = {"max_epochs": 4, "batch_size": 16, "random_state": 0}
NETWORKS = [
    FineTunedClassifier(**QUICK),
    DistilledClassifier(LogisticRegression(), **QUICK),
    MultiTaskClassifier(**QUICK),
    DomainAdaptiveClassifier(lambda_coral=1.0, lambda_entropy=0.1, **QUICK),
    DANNClassifier(**QUICK),
    DANNClassifier(conditional=True, entropy_weighting=True, **QUICK),
    MMDAligner(**QUICK),
    DomainAdaptiveClassifier(lambda_jmmd=1.0, lambda_mcc=0.1, lambda_mdd=1.0, **QUICK),
]
ADAPTIVE = NETWORKS[3:]
ids = [f"{type(e).__name__}{i}" for i, e in enumerate(NETWORKS)]
each_network = pytest.mark.parametrize("estimator", NETWORKS, ids=ids)
SHALLOW = [
    *(
        ImportanceWeightedClassifier(method=method, random_state=0)
        for method in ("kmm", "kliep", "rulsif", "classifier")
    ),
    SelfTrainedClassifier(),
]
each_classifier = pytest.mark.parametrize(
    "estimator",
    NETWORKS + SHALLOW,
    ids=ids + [f"{type(e).__name__}{i}" for i, e in enumerate(SHALLOW)],
)
each_adaptive = pytest.mark.parametrize("estimator", ADAPTIVE, ids=ids[3:])


@pytest.mark.filterwarnings("ignore::sktl.exceptions.NoAdaptationWarning")
@parametrize_with_checks(ESTIMATORS)
def test_estimator_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def data():
    """Three classes in 6 dimensions; the target is shifted and stretched; rows are mixed."""
    generator = np.random.default_rng(0)
    y = np.arange(90) % 3
    centres = 2.0 * generator.normal(size=(3, 6))
    X = centres[y] + generator.normal(size=(90, 6))
    sample_domain = np.where(generator.random(90) < 0.5, 1, -1)
    X[sample_domain < 0] = 1.5 * X[sample_domain < 0] + 1.0
    return X, y, sample_domain


@each_classifier
@pytest.mark.parametrize("mask", [-1, 7, np.nan])
def test_labels_of_target_rows_are_never_read(estimator, data, mask):
    X, y, sample_domain = data
    masked = np.where(sample_domain < 0, mask, y)
    if np.isnan(mask):
        y = y.astype(float)
    told = clone(estimator).fit(X, y, sample_domain=sample_domain)
    untold = clone(estimator).fit(X, masked, sample_domain=sample_domain)
    np.testing.assert_array_equal(told.predict_proba(X), untold.predict_proba(X))
    np.testing.assert_array_equal(untold.classes_, [0, 1, 2])


@each_classifier
def test_string_labels_are_learned_and_predicted(estimator, data):
    X, y, sample_domain = data
    names = np.array(["one", "two", "three"])
    masked = np.where(sample_domain < 0, "?", names[y])
    fitted = clone(estimator).fit(X, masked, sample_domain=sample_domain)
    numbers = clone(estimator).fit(X, np.array([0, 2, 1])[y], sample_domain=sample_domain)
    np.testing.assert_array_equal(fitted.classes_, sorted(names))
    np.testing.assert_array_equal(fitted.predict(X), np.array(sorted(names))[numbers.predict(X)])


@each_classifier
def test_labels_of_minus_one_are_a_class_like_any_other(estimator, data):
    X, y, sample_domain = data
    y = np.where(y == 0, -1, 1)
    fitted = clone(estimator).fit(X, y, sample_domain=sample_domain)
    np.testing.assert_array_equal(fitted.classes_, [-1, 1])
    assert set(fitted.predict(X)) == {-1, 1}


@each_classifier
def test_routed_and_prefixed_domains_give_the_same_fit(estimator, data):
    X, y, sample_domain = data
    pipe = make_pipeline(StandardScaler(), estimator)
    prefixed = clone(pipe).fit(X, y, **{f"{pipe.steps[-1][0]}__sample_domain": sample_domain})
    with config_context(enable_metadata_routing=True):
        routed = clone(pipe).fit(X, y, sample_domain=sample_domain)
        np.testing.assert_array_equal(
            routed.predict_proba(X, sample_domain=sample_domain), prefixed.predict_proba(X)
        )
        score = routed.score(X, np.where(sample_domain < 0, -1, y), sample_domain=sample_domain)
    source = sample_domain > 0
    assert score == pytest.approx(prefixed.score(X[source], y[source]))


def test_coral_passes_domains_through_a_pipeline(data):
    X, y, sample_domain = data
    pipe = make_pipeline(StandardScaler(), CORALTransformer(), FineTunedClassifier(**QUICK))
    prefixed = clone(pipe).fit(
        X,
        y,
        coraltransformer__sample_domain=sample_domain,
        finetunedclassifier__sample_domain=sample_domain,
    )
    with config_context(enable_metadata_routing=True):
        routed = clone(pipe).fit(X, y, sample_domain=sample_domain)
        np.testing.assert_array_equal(routed.predict_proba(X), prefixed.predict_proba(X))


@each_classifier
def test_every_row_is_predicted_whatever_its_domain(estimator, data):
    X, y, sample_domain = data
    fitted = clone(estimator).fit(X, y, sample_domain=sample_domain)
    for n in (1, 15, 16, 17, 90):
        for domain in (None, sample_domain[:n], np.full(n, -1)):
            assert fitted.predict(X[:n], sample_domain=domain).shape == (n,)
            assert fitted.predict_proba(X[:n], sample_domain=domain).shape == (n, 3)
    with pytest.raises(ValueError, match=r"allow_source=False but sample_domain marks \d+ of 90"):
        fitted.predict(X, sample_domain=sample_domain, allow_source=False)


@each_network
def test_a_prediction_does_not_depend_on_its_neighbours(estimator, data):
    X, y, sample_domain = data
    fitted = clone(estimator).fit(X, y, sample_domain=sample_domain)
    expected = fitted.predict_proba(X)
    order = np.random.default_rng(1).permutation(90)
    np.testing.assert_array_equal(fitted.predict_proba(X[order]), expected[order])
    np.testing.assert_array_equal(fitted.predict_proba(X[:5]), expected[:5])


@each_classifier
def test_masked_target_rows_are_no_errors_in_the_score(estimator, data):
    X, y, sample_domain = data
    fitted = clone(estimator).fit(X, y, sample_domain=sample_domain)
    source = sample_domain > 0
    masked = np.where(source, y, -1)
    weight = np.linspace(1, 2, 90)
    assert fitted.score(X, masked, weight, sample_domain) == pytest.approx(
        fitted.score(X[source], y[source], weight[source])
    )
    with pytest.raises(ValueError, match="none of the 90 labels"):
        fitted.score(X, np.full(90, -1), sample_domain=np.full(90, -1))


@each_network
def test_of_several_domains_the_sign_tells_whose_labels_are_read(estimator, data):
    X, y, sample_domain = data
    several = np.where(sample_domain > 0, np.arange(90) % 2, -1 - np.arange(90) % 3)
    if estimator not in ADAPTIVE:
        two = clone(estimator).fit(X, y, sample_domain=sample_domain)
        many = clone(estimator).fit(X, y, sample_domain=several)
        np.testing.assert_array_equal(many.predict_proba(X), two.predict_proba(X))
        return
    masked = np.where(several < 0, -1, y)
    told, untold = (clone(estimator).fit(X, labels, several) for labels in (y, masked))
    np.testing.assert_array_equal(told.predict_proba(X), untold.predict_proba(X))


@each_network
def test_rows_of_weight_zero_are_as_if_absent(estimator, data):
    X, y, sample_domain = data
    weight = (np.arange(90) % 4 > 0).astype(float)
    keep = weight > 0
    weighted = clone(estimator).fit(X, y, sample_domain, weight)
    removed = clone(estimator).fit(X[keep], y[keep], sample_domain[keep])
    np.testing.assert_array_equal(weighted.predict_proba(X), removed.predict_proba(X))


@each_adaptive
def test_without_target_rows_it_fits_plainly_and_warns_once(estimator, data):
    X, y, _ = data
    with pytest.warns(NoAdaptationWarning, match="without target rows") as caught:
        fitted = clone(estimator).fit(X, y, sample_domain=np.ones(90, int))
    assert len(caught) == 1
    np.testing.assert_array_equal(
        fitted.predict(X), FineTunedClassifier(**QUICK).fit(X, y).predict(X)
    )


@each_classifier
@pytest.mark.parametrize(
    ("sample_domain", "message"),
    [
        (np.full(90, -1), "marks all 90 rows as target"),
        (np.ones(89), r"shape \(89,\) but X has 90 rows"),
        (np.full(90, 0.5), r"holds 0\.5, which is not a whole number"),
        (np.full(90, np.nan), "holds nan, which is not a whole number"),
        (np.full(90, "source"), "has dtype <U6; give integers"),
        (np.arange(90) % 2 == 0, "has dtype bool; give integers"),
    ],
)
def test_domains_that_mean_nothing_are_refused(estimator, data, sample_domain, message):
    X, y, _ = data
    with pytest.raises(ValueError, match=message):
        clone(estimator).fit(X, y, sample_domain=sample_domain)


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (DANNClassifier, "lambda_adv"),
        (MMDAligner, "lambda_mmd"),
        (DomainAdaptiveClassifier, "lambda_adv"),
        (DomainAdaptiveClassifier, "lambda_mmd"),
        (DomainAdaptiveClassifier, "lambda_coral"),
        (DomainAdaptiveClassifier, "lambda_entropy"),
        (DomainAdaptiveClassifier, "lambda_jmmd"),
        (DomainAdaptiveClassifier, "lambda_mcc"),
        (DomainAdaptiveClassifier, "lambda_mdd"),
    ],
)
def test_each_lambda_changes_the_body_and_zero_is_source_only(data, cls, name):
    X, y, sample_domain = data
    make = partial(cls, lambda_schedule="constant", **QUICK)
    fits = [make(**{name: value}).fit(X, y, sample_domain) for value in (0.0, 0.3, 3.0)]
    plain = FineTunedClassifier(**QUICK).fit(X, y, sample_domain)
    np.testing.assert_array_equal(fits[0].predict_proba(X), plain.predict_proba(X))
    weights = [next(fit.backbone_.parameters()).detach().numpy() for fit in fits]
    assert not np.allclose(weights[1], weights[0], atol=1e-6)
    assert not np.allclose(weights[2], weights[1], atol=1e-6)
    with pytest.raises(ValueError, match=f"The '{name}' parameter of {cls.__name__}"):
        make(**{name: -1.0}).fit(X, y, sample_domain)


@each_network
def test_a_batch_larger_than_the_data_still_trains(estimator, data):
    X, y, sample_domain = data
    large = clone(estimator).set_params(batch_size=10_000, max_epochs=60, lr=1e-2)
    source = sample_domain > 0
    assert large.fit(X, y, sample_domain).score(X[source], y[source]) > 0.9
    assert large.n_iter_ == 60


@each_network
def test_a_clone_carries_no_weights(estimator, data):
    X, y, sample_domain = data
    fitted = clone(estimator).fit(X, y, sample_domain)
    copy = clone(fitted)
    with pytest.raises(NotFittedError):
        copy.predict(X)
    assert len(pickle.dumps(copy)) < 5_000
    np.testing.assert_array_equal(
        copy.fit(X, y, sample_domain).predict_proba(X), fitted.predict_proba(X)
    )


@each_classifier
def test_a_second_fit_starts_anew(estimator, data):
    X, y, sample_domain = data
    fitted = clone(estimator).fit(X, y, sample_domain)
    first = fitted.predict_proba(X)
    np.testing.assert_array_equal(fitted.fit(X, y, sample_domain).predict_proba(X), first)


@each_network
def test_random_state_alone_decides_the_result(estimator, data):
    X, y, sample_domain = data
    seeds = [0, 0, 1, None]
    results = [
        clone(estimator).set_params(random_state=s).fit(X, y, sample_domain).predict_proba(X)
        for s in seeds
    ]
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.allclose(results[0], results[2])
    assert not np.allclose(results[0], results[3])


@each_network
def test_a_fitted_estimator_survives_dump_into_another_process(estimator, data, tmp_path):
    X, y, sample_domain = data
    fitted = clone(estimator).fit(X, y, sample_domain)
    joblib.dump((fitted, X), tmp_path / "fitted.joblib")
    script = (
        "import sys, joblib, numpy as np; from pathlib import Path; folder = Path(sys.argv[1]);"
        "fitted, X = joblib.load(folder / 'fitted.joblib');"
        "np.save(folder / 'proba.npy', fitted.predict_proba(X))"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "proba.npy"), fitted.predict_proba(X))
    assert fitted.n_iter_ == len(fitted.history_) == 4


def test_one_and_two_jobs_give_the_same_search(data):
    X, y, sample_domain = data
    grid = {"lambda_adv": [0.0, 1.0], "frozen_layers": [0, "all"]}
    results = [
        GridSearchCV(DANNClassifier(**QUICK), grid, cv=2, n_jobs=n_jobs)
        .fit(X, y, sample_domain=sample_domain)
        .cv_results_["mean_test_score"]
        for n_jobs in (1, 2)
    ]
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_cross_validation_in_parallel_equals_the_serial_one(data, backend):
    X, y, _ = data
    serial = cross_val_score(FineTunedClassifier(**QUICK), X, y, cv=4)
    with joblib.parallel_config(backend=backend):
        parallel = cross_val_score(FineTunedClassifier(**QUICK), X, y, cv=4, n_jobs=2)
    np.testing.assert_array_equal(parallel, serial)


def test_mmd_aligner_transforms_for_a_classical_model(data):
    X, y, sample_domain = data
    aligner = MMDAligner(**QUICK).set_output(transform="pandas")
    embedded = aligner.fit_transform(X, y, sample_domain)
    assert list(embedded.columns) == list(aligner.get_feature_names_out())
    np.testing.assert_array_equal(embedded, aligner.transform(X, sample_domain))
    pipe = make_pipeline(MMDAligner(**QUICK), LogisticRegression())
    pipe.fit(X, y, mmdaligner__sample_domain=sample_domain)
    assert pipe.score(X, y) > 0.5


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=[type(e).__name__ for e in ESTIMATORS])
def test_estimator_is_shown_cloned_and_asked_before_fitting(estimator):
    assert type(estimator).__name__ in estimator._repr_html_()
    assert clone(estimator).get_params().keys() == estimator.get_params().keys()
    if is_classifier(estimator):
        with pytest.raises(NotFittedError, match="is not fitted yet"):
            estimator.predict(np.zeros((2, 3)))
