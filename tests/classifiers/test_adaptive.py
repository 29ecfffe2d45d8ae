"""Parameters of the adaptive classifiers, and how they are made of the same terms."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone

from sktl import DANNClassifier, DomainAdaptiveClassifier, MMDAligner
from sktl.exceptions import TrainingDivergedError
from sktl.losses import dann_schedule

QUICK = {"max_epochs": 3, "random_state": 0}


@pytest.mark.parametrize(
    ("special", "general"),
    [
        (DANNClassifier(**QUICK), {"lambda_adv": 1.0}),
        (
            DANNClassifier(conditional=True, discriminator_hidden=(8, 4), **QUICK),
            {"lambda_adv": 1.0, "conditional": True, "discriminator_hidden": (8, 4)},
        ),
        (
            DANNClassifier(conditional=True, entropy_weighting=True, **QUICK),
            {"lambda_adv": 1.0, "conditional": True, "entropy_weighting": True},
        ),
        (MMDAligner(**QUICK), {"lambda_mmd": 1.0}),
        (MMDAligner(use_target_labels=True, **QUICK), {"lambda_mmd": 1, "use_target_labels": True}),
        (MMDAligner(bandwidths=(1, 2.0), **QUICK), {"lambda_mmd": 1.0, "bandwidths": (1, 2.0)}),
    ],
)
def test_each_special_case_is_the_general_classifier(blobs, special, general):
    X, y, sample_domain = blobs
    special.fit(X, y, sample_domain)
    general = DomainAdaptiveClassifier(**general, **QUICK).fit(X, y, sample_domain)
    np.testing.assert_array_equal(special.predict_proba(X), general.predict_proba(X))


def test_schedules_by_name_are_the_functions(blobs):
    X, y, sample_domain = blobs
    for name, function in {"dann": dann_schedule, "constant": lambda progress: 1.0}.items():
        named, called = (
            MMDAligner(lambda_schedule=schedule, **QUICK).fit(X, y, sample_domain)
            for schedule in (name, function)
        )
        np.testing.assert_array_equal(named.predict_proba(X), called.predict_proba(X))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"lambda_adv": -0.1}, r"'lambda_adv' parameter .* must be a float in the range \[0"),
        ({"lambda_entropy": np.nan}, "'lambda_entropy' parameter"),
        ({"lambda_schedule": "linear"}, "'lambda_schedule' parameter of DomainAdaptive"),
        ({"lambda_mmd": 1.0, "bandwidths": [0.0]}, r"bandwidths=\[0\.0\]; give 'median' or pos"),
        ({"discriminator_hidden": 64}, "'discriminator_hidden' parameter"),
        ({"mdd_margin": 0.0}, "'mdd_margin' parameter"),
        ({"mcc_temperature": 0.0}, "'mcc_temperature' parameter"),
        ({"entropy_weighting": True}, "entropy_weighting=True weighs .*; give conditional=True"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(blobs, parameters, message):
    X, y, sample_domain = blobs
    with pytest.raises(ValueError, match=message):
        DomainAdaptiveClassifier(**parameters, **QUICK).fit(X, y, sample_domain)


def test_adaptation_and_a_frozen_cached_body_go_together(blobs, tmp_path):
    X, y, sample_domain = blobs
    common = {"lambda_coral": 1.0, "lambda_adv": 1.0, "frozen_layers": 1, **QUICK}
    fits = [
        DomainAdaptiveClassifier(**options, **common).fit(X, y, sample_domain)
        for options in ({}, {"cache": False}, {"memory": tmp_path}, {"memory": tmp_path})
    ]
    for fitted in fits[1:]:
        np.testing.assert_array_equal(fitted.predict_proba(X), fits[0].predict_proba(X))


def test_a_discriminator_is_built_only_where_it_is_used(blobs):
    X, y, sample_domain = blobs
    assert MMDAligner(**QUICK).fit(X, y, sample_domain).net_.module_.discriminator is None
    widths = DANNClassifier(discriminator_hidden=(8, 4), conditional=True, **QUICK)
    layers = widths.fit(X, y, sample_domain).net_.module_.discriminator[::2]
    assert [tuple(layer.weight.shape) for layer in layers] == [(8, 512), (4, 8), (1, 4)]


def test_domains_of_clips(ragged):
    clips, y = ragged
    sample_domain = np.repeat([0, -1], 5)
    fitted = DomainAdaptiveClassifier(lambda_mmd=1.0, batch_size=6, frozen_layers=9, **QUICK)
    masked = np.where(sample_domain < 0, -1, y)
    told = fitted.fit(clips, y, sample_domain).decision_function(clips)
    untold = fitted.fit(clips, masked, sample_domain).decision_function(clips)
    np.testing.assert_array_equal(told, untold)


def test_the_discriminator_has_a_score_for_each_of_several_domains(blobs):
    X, y, sample_domain = blobs
    several = np.where(sample_domain < 0, sample_domain, 4 + np.arange(60) % 2)
    fitted = DANNClassifier(**QUICK).fit(X, y, several)
    assert fitted.net_.module_.discriminator[-1].weight.shape == (3, 64)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))


def test_partial_fit_takes_the_domains_of_its_first_call(blobs):
    X, y, sample_domain = blobs
    several = np.where(sample_domain < 0, sample_domain, 4 + np.arange(60) % 2)
    fitted = DANNClassifier(**QUICK).partial_fit(X, y, [0, 1], several)
    some = several != 5
    fitted.partial_fit(X[some], y[some], sample_domain=several[some])
    with pytest.raises(ValueError, match=r"sample_domain holds 3, which is none of \[-1, 4, 5\]"):
        fitted.partial_fit(X, y, sample_domain=np.where(several == 5, 3, several))


def test_numbers_of_domains_mean_nothing_but_their_sign(blobs):
    X, y, sample_domain = blobs
    several = np.where(sample_domain < 0, -1 - np.arange(60) % 2, np.arange(60) % 3)
    renamed = np.where(several < 0, 10 * several, 7 + 5 * several)
    general = DomainAdaptiveClassifier(lambda_adv=1.0, lambda_mmd=1.0, lambda_coral=1.0, **QUICK)
    fits = [clone(general).fit(X, y, domain) for domain in (several, renamed, sample_domain)]
    first, second, pooled = (fit.predict_proba(X) for fit in fits)
    np.testing.assert_allclose(first, second, rtol=1e-6)
    assert not np.allclose(first, pooled)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_labels_of_target_rows_that_are_known_help(weight):
    generator = np.random.default_rng(0)
    y = np.arange(400) % 2
    sample_domain = np.repeat([0, -1], 200)
    # Of the target the classes lie the other way round.
    X = generator.normal(size=(400, 2)) + 2.0 * np.where(sample_domain < 0, -1, 1)[:, None]
    X[:, 0] += 3.0 * np.where(sample_domain < 0, 1 - y, y)
    target = sample_domain < 0
    few = np.where(target & (np.arange(400) < 300), -1, y)
    scores = [
        DomainAdaptiveClassifier(
            lambda_mmd=weight, use_target_labels=reads, max_epochs=30, lr=1e-2, random_state=0
        )
        .fit(X, few, sample_domain)
        .score(X[200:300], y[200:300])
        for reads in (False, True)
    ]
    assert scores[0] < 0.6
    assert scores[1] > 0.9


def test_target_labels_that_are_no_class_of_the_source_are_masked(blobs):
    X, y, sample_domain = blobs
    reader = DomainAdaptiveClassifier(lambda_mmd=1.0, use_target_labels=True, **QUICK)
    plain = DomainAdaptiveClassifier(lambda_mmd=1.0, **QUICK).fit(X, y, sample_domain)
    masked = np.where(sample_domain < 0, 9, y)
    found = clone(reader).fit(X, masked, sample_domain)
    np.testing.assert_allclose(found.predict_proba(X), plain.predict_proba(X), rtol=1e-6)
    assert not np.allclose(reader.fit(X, y, sample_domain).predict_proba(X), plain.predict_proba(X))


EVERYTHING = {
    "lambda_adv": 1.0,
    "lambda_mdd": 1.0,
    "lambda_mmd": 1.0,
    "lambda_jmmd": 1.0,
    "lambda_coral": 1.0,
    "lambda_entropy": 0.1,
    "lambda_mcc": 0.1,
}


@pytest.mark.parametrize(("n_source", "n_target"), [(60, 1), (5, 500), (3, 2), (2, 60)])
def test_a_domain_may_be_small_or_a_hundred_times_the_other(n_source, n_target):
    generator = np.random.default_rng(0)
    y = np.arange(n_source + n_target) % 2
    X = generator.normal(size=(len(y), 4)) + 3.0 * y[:, None]
    sample_domain = np.repeat([0, -1], [n_source, n_target])
    several = np.where(sample_domain < 0, -1 - np.arange(len(y)) % 2, 0)
    for domain in (sample_domain, several):
        fitted = DomainAdaptiveClassifier(**EVERYTHING, **QUICK).fit(X, y, domain)
        assert np.isfinite(fitted.predict_proba(X)).all()


def test_features_that_do_not_vary_do_no_harm(blobs):
    X, y, sample_domain = blobs
    X = np.concatenate([X, np.full((60, 2), 7.0), np.zeros((60, 1))], axis=1)
    fitted = DomainAdaptiveClassifier(**EVERYTHING, **QUICK).fit(X, y, sample_domain)
    assert np.isfinite(fitted.predict_proba(X)).all()
    nothing = DomainAdaptiveClassifier(**EVERYTHING, **QUICK)
    nothing.fit(np.zeros((60, 3)), y, sample_domain)
    assert np.isfinite(nothing.predict_proba(np.zeros((2, 3)))).all()


def test_a_weight_that_makes_the_loss_infinite_is_named(blobs):
    X, y, sample_domain = blobs
    huge = DomainAdaptiveClassifier(lambda_coral=1e308, lambda_schedule="constant", **QUICK)
    message = r"the loss became (inf|nan) in batch \d+ of epoch .* smaller weights lambda_\.\.\."
    with pytest.raises(TrainingDivergedError, match=message):
        huge.fit(X.astype(np.float32), y, sample_domain)
