"""Domain-adversarial training does what the paper says it does."""

import numpy as np
import pytest

from sktl import DANNClassifier, FineTunedClassifier

COMMON = {"max_epochs": 60, "lr": 2e-3, "random_state": 0}


def test_the_target_gains_from_the_adversary(shifted):
    X, y, sample_domain = shifted
    target = sample_domain < 0
    masked = np.where(target, -1, y)
    plain = FineTunedClassifier(**COMMON).fit(X, masked, sample_domain)
    adapted = DANNClassifier(**COMMON).fit(X, masked, sample_domain)
    assert adapted.score(X[~target], y[~target]) > 0.97
    assert adapted.score(X[target], y[target]) > plain.score(X[target], y[target]) + 0.03


@pytest.mark.parametrize("conditional", [False, True])
def test_the_adversary_is_confused_more_the_larger_lambda_is(shifted, conditional):
    X, y, sample_domain = shifted
    losses = [
        DANNClassifier(lambda_adv=weight, conditional=conditional, **COMMON)
        .fit(X, y, sample_domain)
        .history_[-1]["train_loss_adv"]
        for weight in (1e-6, 1.0)
    ]
    assert losses[0] < losses[1] < 2 * np.log(2) + 0.2


def test_the_adversary_keeps_up_with_the_body_on_a_wide_shift():
    generator = np.random.default_rng(0)
    y = generator.integers(0, 4, 600)
    X = 1.2 * generator.normal(size=(4, 20))[y] + generator.normal(size=(600, 20))
    X[300:] = 1.3 * X[300:] + 1.5 * generator.normal(size=20)
    sample_domain = np.repeat([1, -1], 300)
    fitted = DANNClassifier(max_epochs=40, random_state=0).fit(X, y, sample_domain)
    losses = [epoch["train_loss_adv"] for epoch in fitted.history_]
    # Chance is 2 log 2; with equal learning rates this one ends far from it.
    assert losses[-1] == pytest.approx(2 * np.log(2), abs=0.35)
    assert fitted.score(X[300:], y[300:]) > 0.95
