"""Rows, spectrograms and lists of spectrograms of the same bands."""

import numpy as np
import pytest

from sktl import BandStatisticsTransformer, DomainStandardScaler
from sktl.adaptation._spectra import moments, scale_and_shift
from sktl.exceptions import NoAdaptationWarning

MODELS = [BandStatisticsTransformer(), DomainStandardScaler()]
each = pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)


@pytest.fixture
def spectra():
    return np.random.default_rng(0).normal(size=(12, 3, 7)) + np.arange(3)[:, None]


MASK = np.arange(12) < 5


def test_moments_are_over_rows_and_frames(spectra):
    for given in (spectra, list(spectra)):
        mean, std = moments(given, MASK)
        np.testing.assert_allclose(mean, spectra[:5].mean(axis=(0, 2)))
        np.testing.assert_allclose(std, spectra[:5].std(axis=(0, 2)))
    mean, std = moments(spectra[:, :, 0], MASK)
    np.testing.assert_allclose(mean, spectra[:5, :, 0].mean(0))
    np.testing.assert_allclose(std, spectra[:5, :, 0].std(0))


def test_only_rows_of_the_mask_are_mapped(spectra):
    scale, shift = np.array([1.0, 2, 3]), np.array([4.0, 5, 6])
    expected = np.where(MASK[:, None, None], spectra * scale[:, None] + shift[:, None], spectra)
    np.testing.assert_allclose(scale_and_shift(spectra, MASK, scale, shift), expected)
    np.testing.assert_allclose(scale_and_shift(list(spectra), MASK, scale, shift), expected)
    rows = scale_and_shift(spectra[:, :, 0], MASK, scale, shift)
    np.testing.assert_allclose(rows, expected[:, :, 0])


@each
def test_ragged_spectrograms_come_back_as_they_were_given(model, spectra):
    sample_domain = np.where(MASK, 1, -1)
    whole = model.fit_transform(spectra, sample_domain=sample_domain)
    ragged = model.fit_transform(list(spectra), sample_domain=sample_domain)
    assert ragged.dtype == object
    np.testing.assert_allclose(np.stack(ragged), whole)
    again = model.transform(ragged, sample_domain)
    assert [row.shape for row in again] == [(3, 7)] * 12
    cut = [row[:, : 3 + i % 3] for i, row in enumerate(spectra.astype(np.float32))]
    found = model.fit_transform(cut, sample_domain=sample_domain)
    assert [row.shape for row in found] == [row.shape for row in cut]
    assert {row.dtype for row in found} == {np.dtype(np.float32)}


@each
def test_what_was_given_is_left_as_it_was(model, spectra):
    before = spectra.copy()
    model.fit_transform(spectra, sample_domain=np.where(MASK, 1, -1))
    np.testing.assert_array_equal(spectra, before)


@each
def test_spectra_that_do_not_fit_are_refused(model, spectra):
    sample_domain = np.where(MASK, 1, -1)
    with pytest.raises(ValueError, match=r"X has shape \(12, 3, 7, 1\); give rows"):
        model.fit(spectra[..., None], sample_domain=sample_domain)
    with pytest.raises(ValueError, match=r"X\[1\] has 2 bands but X\[0\] has 3"):
        model.fit([spectra[0], spectra[1][:2]], sample_domain=[1, -1])
    with pytest.raises(ValueError, match="NaN"):
        model.fit([spectra[0], spectra[1] * np.nan], sample_domain=[1, -1])
    model.fit(list(spectra), sample_domain=sample_domain)
    with pytest.raises(ValueError, match=r"X has 2 bands, but \w+ was fitted with 3"):
        model.transform([spectra[0][:2]])
    with pytest.raises(ValueError, match="X holds no spectrogram"):
        model.fit(np.empty(0, dtype=object), sample_domain=[])


@each
def test_without_target_rows_it_warns(model, spectra):
    with pytest.warns(NoAdaptationWarning, match="saw no target rows and adapts nothing"):
        model.fit(spectra)
