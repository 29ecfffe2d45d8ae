"""Parameters of the adaptive classifiers, and how they are made of the same terms."""

import numpy as np
import pytest

from sktl import DANNClassifier, DomainAdaptiveClassifier, MMDAligner
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
        (MMDAligner(**QUICK), {"lambda_mmd": 1.0}),
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
