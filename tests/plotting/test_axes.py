"""Cells lie where librosa's formulae put frames and bands; ticks are round."""

import pickle

import librosa
import numpy as np
import pytest
from matplotlib.figure import Figure

from sktl.plotting._axes import (
    coefficient_edges,
    label_rows,
    linear_edges,
    mel_edges,
    scale_rows,
    time_edges,
)


def row_axis(y_axis, edges, names=None, htk=False, **figure):
    """Axes of a figure that pyplot knows nothing of, drawn."""
    ax = Figure(**figure).add_subplot()
    scale_rows(ax, y_axis, htk)
    ax.pcolormesh([0, 1], edges, np.zeros((len(edges) - 1, 1)))
    label_rows(ax, y_axis, edges, names)
    ax.figure.canvas.draw()
    return ax


def tick_labels(ax):
    low, high = sorted(ax.get_ylim())
    return {
        float(tick): label.get_text()
        for tick, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)
        if low <= tick <= high
    }


@pytest.mark.parametrize(("sr", "hop_length"), [(16000, 160), (22050, 512), (8000, 1)])
def test_the_middle_of_a_centred_frame_is_librosas_time(sr, hop_length):
    edges = time_edges(7, sr, hop_length, center=True, frame_length=512)
    expected = librosa.frames_to_time(np.arange(7), sr=sr, hop_length=hop_length)
    np.testing.assert_allclose((edges[:-1] + edges[1:]) / 2, expected, atol=1e-12)
    np.testing.assert_allclose(np.diff(edges), hop_length / sr)


@pytest.mark.parametrize("n_fft", [400, 401, 1])
def test_the_middle_of_a_frame_that_is_not_centred_is_librosas_time_with_n_fft(n_fft):
    edges = time_edges(7, 16000, 160, center=False, frame_length=n_fft)
    expected = librosa.frames_to_time(np.arange(7), sr=16000, hop_length=160, n_fft=n_fft)
    np.testing.assert_allclose((edges[:-1] + edges[1:]) / 2, expected, atol=1e-12)


def test_frames_that_are_not_centred_need_their_length():
    with pytest.raises(ValueError, match="center=False needs n_fft"):
        time_edges(7, 16000, 160, center=False, frame_length=None)


MEL = [(64, 16000, 0.0, None), (40, 8000, 300.0, 3400.0), (128, 44100, 20.0, 20000.0)]


@pytest.mark.parametrize("htk", [False, True])
@pytest.mark.parametrize(("n_mels", "sr", "fmin", "fmax"), MEL)
def test_bands_reach_halfway_in_mel_to_the_next_centre(n_mels, sr, fmin, fmax, htk):
    top = sr / 2 if fmax is None else fmax
    centres = librosa.mel_frequencies(n_mels + 2, fmin=fmin, fmax=top, htk=htk)[1:-1]
    mels = librosa.hz_to_mel(centres, htk=htk)
    edges = mel_edges(n_mels, sr, fmin, fmax, htk)
    halfway = librosa.mel_to_hz((mels[:-1] + mels[1:]) / 2, htk=htk)
    np.testing.assert_allclose(edges[1:-1], halfway)
    assert (edges[0], edges[-1]) == (fmin, top)
    assert np.all(edges[:-1] < centres)
    assert np.all(centres < edges[1:])


@pytest.mark.parametrize("htk", [False, True])
def test_the_band_of_a_frequency_weighs_it_most(htk):
    filters = librosa.filters.mel(sr=16000, n_fft=8192, n_mels=32, htk=htk, norm=None)
    frequencies = librosa.fft_frequencies(sr=16000, n_fft=8192)
    edges = mel_edges(32, 16000, 0.0, None, htk)
    clear = np.abs(frequencies[:, None] - edges).min(axis=1) > 0.01 * frequencies + 2
    band = np.searchsorted(edges, frequencies[clear]) - 1
    np.testing.assert_array_equal(band, filters[:, clear].argmax(axis=0))
    assert clear.sum() > 1000


def test_one_band_covers_everything():
    assert mel_edges(1, 16000, 100.0, 4000.0, False).tolist() == [100.0, 4000.0]


def test_band_limits_are_checked():
    with pytest.raises(ValueError, match="fmax=9000 Hz but clips at sr=16000 Hz hold nothing"):
        mel_edges(64, 16000, 0.0, 9000, False)


@pytest.mark.parametrize(("sr", "n_fft"), [(16000, 512), (22050, 2048), (8000, 255)])
def test_bins_lie_around_librosas_frequencies(sr, n_fft):
    centres = librosa.fft_frequencies(sr=sr, n_fft=n_fft)
    edges = linear_edges(len(centres), sr, n_fft)
    np.testing.assert_allclose(edges[1:-1], (centres[:-1] + centres[1:]) / 2)
    assert edges[0] == 0
    assert edges[-1] == pytest.approx(sr / 2)


def test_the_lowest_bins_of_an_fft_may_be_drawn_alone():
    np.testing.assert_allclose(linear_edges(3, 16000, 512), [0, 15.625, 46.875, 78.125])


def test_more_rows_than_bins_are_refused():
    with pytest.raises(
        ValueError, match="S has 300 rows but an FFT of n_fft=512 samples gives 257"
    ):
        linear_edges(300, 16000, 512)


def test_coefficients_lie_around_whole_numbers():
    assert coefficient_edges(3).tolist() == [-0.5, 0.5, 1.5, 2.5]


@pytest.mark.parametrize("htk", [False, True])
def test_a_mel_axis_is_even_in_mel_and_its_data_are_in_hz(htk):
    ax = row_axis("mel", mel_edges(40, 16000, 0.0, None, htk), htk=htk)
    assert ax.get_ylim() == pytest.approx((0, 8000))
    hz = np.array([100.0, 900.0, 2500.0, 7000.0])
    drawn = ax.transData.transform(np.stack([np.zeros(4), hz], axis=1))[:, 1]
    bottom, height = ax.bbox.y0, ax.bbox.height
    expected = librosa.hz_to_mel(hz, htk=htk) / librosa.hz_to_mel(8000, htk=htk)
    np.testing.assert_allclose((drawn - bottom) / height, expected, atol=1e-9)


@pytest.mark.parametrize("htk", [False, True])
def test_a_mel_axis_goes_on_below_zero(htk):
    ax = row_axis("mel", mel_edges(40, 16000, 0.0, None, htk), htk=htk)
    ax.set_ylim(-1000, 8000)
    ax.figure.canvas.draw()
    points = np.array([[0.0, -900.0], [0.0, 900.0]])
    back = ax.transData.inverted().transform(ax.transData.transform(points))
    np.testing.assert_allclose(back, points, atol=1e-6)


def test_a_mel_axis_is_labelled_at_octaves():
    ax = row_axis("mel", mel_edges(64, 16000, 0.0, None, False))
    octaves = {0: "0", 250: "250", 500: "500", 1000: "1k", 2000: "2k", 4000: "4k", 8000: "8k"}
    assert tick_labels(ax) == octaves
    assert ax.get_ylabel() == "Frequency (Hz)"


def test_octaves_outside_the_bands_are_left_out():
    ax = row_axis("mel", mel_edges(40, 8000, 300.0, 3400.0, False))
    assert list(tick_labels(ax).values()) == ["500", "1k", "2k"]


def test_a_narrow_mel_axis_has_other_round_ticks():
    ax = row_axis("mel", mel_edges(10, 16000, 1100.0, 1900.0, False))
    labels = tick_labels(ax)
    assert len(labels) >= 3
    assert "1.5k" in labels.values()


def test_a_linear_axis_is_labelled_evenly():
    ax = row_axis("linear", linear_edges(257, 16000, 512))
    labels = tick_labels(ax)
    assert len(set(np.diff(list(labels)))) == 1
    assert {labels[0], labels[8000]} == {"0", "8k"}


def test_coefficients_are_labelled_by_name_at_whole_rows():
    names = [f"mfcc_{k:02}" for k in range(13)]
    labels = tick_labels(row_axis("coefficients", coefficient_edges(13), names))
    assert labels == {row: names[round(row)] for row in labels}
    assert len(labels) >= 5


def test_coefficients_without_names_are_numbered():
    ax = row_axis("coefficients", coefficient_edges(3))
    assert tick_labels(ax) == {0: "0", 1: "1", 2: "2"}
    assert ax.get_ylabel() == "Coefficient"


def test_there_are_fewer_labels_where_there_is_less_room():
    counts = [
        len(tick_labels(row_axis("coefficients", coefficient_edges(60), figsize=(4, height))))
        for height in (1.5, 6)
    ]
    assert counts[0] < counts[1] < 30


def test_axes_that_were_in_mel_become_linear_again():
    ax = row_axis("mel", mel_edges(40, 16000, 0.0, None, False))
    scale_rows(ax, "coefficients", False)
    assert ax.get_yscale() == "linear"


@pytest.mark.parametrize("y_axis", ["mel", "linear", "coefficients"])
def test_the_figure_can_be_pickled(y_axis):
    ax = row_axis(y_axis, np.array([0.0, 1000.0, 4000.0]))
    again = pickle.loads(pickle.dumps(ax.figure)).axes[0]
    assert again.get_yscale() == ax.get_yscale()
