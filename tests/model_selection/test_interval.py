"""The interval is that of the paper's formula."""

import numpy as np
import pytest
from scipy import stats

from sktl.model_selection._interval import corrected_interval

SCORES = np.array([0.8, 0.9, 0.7, 0.85, 0.95])


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_five_folds_have_the_interval_of_the_corrected_t_test(confidence):
    n_train, n_test = np.full(5, 80), np.full(5, 20)
    found = corrected_interval(SCORES, n_train, n_test, confidence)
    variance = (1 / 5 + 20 / 80) * SCORES.var(ddof=1)
    low, high = stats.t.interval(confidence, df=4, loc=SCORES.mean(), scale=np.sqrt(variance))
    np.testing.assert_allclose(found, [SCORES.mean(), low, high], rtol=1e-12)


def test_the_numbers_are_those_worked_out_by_hand():
    # Mean 0.84, S² = 0.0370 / 4, (1/5 + 1/4) S² = 0.0041625, t(0.975, 4) = 2.776445.
    found = corrected_interval(SCORES, np.full(5, 80), np.full(5, 20))
    half = 2.776445 * np.sqrt(0.0041625)
    np.testing.assert_allclose(found, [0.84, 0.84 - half, 0.84 + half], rtol=1e-6)


def test_without_overlap_it_is_the_plain_interval_of_a_mean():
    found = corrected_interval(SCORES, np.full(5, 10**12), np.full(5, 1))
    low, high = stats.t.interval(0.95, df=4, loc=SCORES.mean(), scale=stats.sem(SCORES))
    np.testing.assert_allclose(found[1:], [low, high], rtol=1e-9)


def test_folds_of_unequal_size_count_by_their_rows():
    found = corrected_interval(
        SCORES, np.array([75, 75, 80, 85, 85]), np.array([25, 25, 20, 15, 15])
    )
    np.testing.assert_allclose(found, corrected_interval(SCORES, np.full(5, 80), np.full(5, 20)))


def test_equal_scores_have_an_interval_of_no_width():
    assert corrected_interval(np.ones(3), np.full(3, 2), np.full(3, 1)) == (1.0, 1.0, 1.0)


def test_it_covers_the_truth_as_often_as_it_says_where_splits_are_random():
    # Scores with the correlation n_test / (n_test + n_train) that the paper assumes.
    rng = np.random.default_rng(0)
    n_splits, correlation = 10, 0.2
    shared = rng.normal(size=(4000, 1)) * np.sqrt(correlation)
    scores = shared + rng.normal(size=(4000, n_splits)) * np.sqrt(1 - correlation)
    n_train, n_test = np.full(n_splits, 80), np.full(n_splits, 20)
    covered = [
        low <= 0 <= high
        for _, low, high in (corrected_interval(row, n_train, n_test) for row in scores)
    ]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)
