"""Tables hold every weight once and every bin's place."""

import numpy as np
import pytest

from sktl.features import mel_filters
from sktl.features._mel_tables import (
    UNROLL,
    band_weights,
    fft_tables,
    has_tables,
    mel_tables,
    padded_basis,
)


@pytest.mark.parametrize("n_fft", [1, 2, 3, 4, 6, 10, 14, 16, 400, 441, 512, 551, 1024, 1102, 4096])
def test_lengths_with_small_factors_have_tables(n_fft):
    assert has_tables(n_fft)
    tables = fft_tables(n_fft, "float32")
    length = n_fft if n_fft % 2 else n_fft // 2
    assert sorted(tables.slots) == list(range(length))
    assert np.prod(tables.radices) == length
    assert tables.twiddles.dtype == tables.turns.dtype == np.complex64


@pytest.mark.parametrize("n_fft", [131, 262, 1103, 2 * 1103])
def test_other_lengths_have_none(n_fft):
    assert not has_tables(n_fft)


@pytest.mark.filterwarnings("ignore:.* bands hold no FFT bin:UserWarning")
@pytest.mark.parametrize("options", [{}, {"n_fft": 128}, {"n_fft": 8, "n_mels": 1}])
def test_bands_hold_every_weight_once(options):
    filters = mel_filters(**options)
    bands = band_weights(filters)
    rebuilt = np.zeros_like(filters)
    for band, (first, stop) in enumerate(zip(bands.first[:-1], bands.first[1:], strict=True)):
        assert (stop - first) % UNROLL == 0
        np.add.at(rebuilt[band], bands.bins[first:stop], bands.weights[first:stop])
    np.testing.assert_array_equal(rebuilt, filters)


def test_weights_point_to_the_rows_of_their_bins():
    filters = np.eye(9)
    window, _, _, slots, _, _, rows, weights = mel_tables(np.ones(16), band_weights(filters))
    assert (window == 0.5).all()
    assert rows[weights == 1.0].tolist() == [*(2 * slots), 1]


def test_an_odd_length_has_no_bin_in_row_one():
    window, _, _, slots, _, _, rows, weights = mel_tables(np.ones(15), band_weights(np.eye(8)))
    assert (window == 1.0).all()
    assert rows[weights == 1.0].tolist() == (2 * slots[:8]).tolist()


def test_basis_is_filled_up_with_zeros():
    basis = np.arange(12.0).reshape(2, 6)
    padded = padded_basis(basis, np.dtype("float32"))
    assert padded.shape == (8, 2)
    np.testing.assert_array_equal(padded[:6], basis.T)
    assert not padded[6:].any()
    assert padded_basis(None, np.dtype("float32")).shape == (0, 0)
