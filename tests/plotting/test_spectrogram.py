"""What is drawn: the transformer's numbers, at their times and frequencies."""

import sys

import librosa
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import soundfile
import torch
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

from sktl import LPC, MFCC, MelSpectrogram
from sktl.exceptions import AudioReadError
from sktl.plotting import SpectrogramDisplay

CLIP = np.random.default_rng(0).uniform(-0.5, 0.5, 8000).astype(np.float32)
from_transformer = SpectrogramDisplay.from_transformer
from_array = SpectrogramDisplay.from_array


@pytest.fixture(autouse=True)
def figures_closed():
    yield
    plt.close("all")


def mesh(display):
    """Corners of the cells drawn, times and rows, and their values."""
    corners = display.im_.get_coordinates()
    np.testing.assert_array_equal(corners[..., 0], corners[:1, :, 0].repeat(len(corners), axis=0))
    np.testing.assert_array_equal(
        corners[..., 1], corners[:, :1, 1].repeat(corners.shape[1], axis=1)
    )
    return corners[0, :, 0], corners[:, 0, 1], display.im_.get_array()


def test_a_mel_spectrogram_is_drawn_at_librosas_times_and_frequencies():
    options = {"sr": 8000, "n_fft": 256, "hop_length": 100, "n_mels": 30, "fmin": 50, "fmax": 3500}
    display = from_transformer(MelSpectrogram(**options), CLIP)
    times, edges, values = mesh(display)
    power = librosa.feature.melspectrogram(y=CLIP, pad_mode="constant", **options)
    expected = librosa.power_to_db(power)
    np.testing.assert_allclose(values, expected, atol=2e-3)
    np.testing.assert_allclose(
        (times[:-1] + times[1:]) / 2, librosa.times_like(expected, sr=8000, hop_length=100)
    )
    mels = librosa.hz_to_mel(librosa.mel_frequencies(32, fmin=50, fmax=3500))[1:-1]
    np.testing.assert_allclose(librosa.hz_to_mel(edges[1:-1]), (mels[:-1] + mels[1:]) / 2)
    assert display.ax_.get_xlim() == pytest.approx((-0.5 * 100 / 8000, 80.5 * 100 / 8000))
    assert display.ax_.get_ylim() == pytest.approx((50, 3500))


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("htk", [True, False])
def test_a_beep_lies_where_it_was_heard(center, htk):
    y = np.zeros(16000)
    start, stop, hz = 4800, 8000, 3000
    y[start:stop] = np.sin(2 * np.pi * hz * np.arange(stop - start) / 16000)
    transformer = MelSpectrogram(center=center, htk=htk, dtype="float64")
    times, edges, values = mesh(from_transformer(transformer, y))
    band = np.searchsorted(edges, hz) - 1
    assert band in np.argsort(values.max(axis=1))[-2:]
    loud = np.flatnonzero(values[band] > values.max() - 6)
    assert times[loud[0]] == pytest.approx(start / 16000, abs=0.01)
    assert times[loud[-1] + 1] == pytest.approx(stop / 16000, abs=0.01)


@pytest.mark.parametrize(
    "transformer",
    [MelSpectrogram(n_mels=20, center=False), MFCC(center=False, n_fft=400), LPC(center=False)],
)
def test_a_frame_that_is_not_centred_is_drawn_at_its_middle(transformer):
    times, _, values = mesh(from_transformer(transformer, CLIP))
    length = getattr(transformer, "n_fft", None) or transformer.frame_length
    expected = librosa.times_like(values, sr=16000, hop_length=160, n_fft=length)
    np.testing.assert_allclose((times[:-1] + times[1:]) / 2, expected)


def test_a_clip_of_one_sample_is_one_cell():
    times, _, values = mesh(from_transformer(MelSpectrogram(), CLIP[:1]))
    assert values.shape == (64, 1)
    np.testing.assert_allclose(times, [-0.005, 0.005])


@pytest.mark.parametrize(
    ("transformer", "first", "last"),
    [
        (MFCC(n_mfcc=13), "mfcc_00", "mfcc_12"),
        (LPC(order=8), "lpc_01", "lpc_08"),
        (MFCC(n_mfcc=13, deltas=2), "mfcc_00", "mfcc_12_delta2"),
        (MFCC(n_mfcc=13, normalize="band"), "mfcc_00", "mfcc_12"),
        (LPC(order=8, deltas=1), "lpc_01", "lpc_08_delta"),
        (MelSpectrogram(n_mels=20, deltas=1), "mel_00", "mel_19_delta"),
    ],
)
def test_coefficients_are_drawn_as_named_rows(transformer, first, last):
    display = from_transformer(transformer, CLIP)
    _, edges, values = mesh(display)
    expected = clone(transformer).set_params(pooling=None).fit_transform([CLIP])[0]
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(edges, np.arange(len(values) + 1) - 0.5)
    assert (display.names[0], display.names[-1], len(display.names)) == (first, last, len(values))
    assert display.ax_.get_ylabel() == "Coefficient"
    assert display.colorbar_.ax.get_ylabel() == "Value"


@pytest.mark.parametrize(
    ("normalize", "label"),
    [(None, "Level (dB)"), ("clip", "Normalized level"), ("pcen", "PCEN")],
)
def test_the_colour_bar_says_what_is_drawn(normalize, label):
    display = from_transformer(MelSpectrogram(normalize=normalize), CLIP)
    assert display.colorbar_.ax.get_ylabel() == label
    assert display.ax_.get_xlabel() == "Time (s)"
    assert display.ax_.get_ylabel() == "Frequency (Hz)"


@pytest.mark.parametrize("pooling", [None, "mean_std", np.ptp])
@pytest.mark.parametrize("output", ["numpy", "torch"])
def test_pooling_and_output_are_disregarded_and_kept(pooling, output):
    transformer = MelSpectrogram(pooling=pooling, output=output)
    display = from_transformer(transformer, CLIP)
    np.testing.assert_array_equal(mesh(display)[2], MelSpectrogram().fit_transform([CLIP])[0])
    assert (transformer.pooling, transformer.output) == (pooling, output)
    assert isinstance(display.spectrogram, np.ndarray)


def test_a_transformer_fitted_on_clips_of_another_length_draws_any():
    transformer = MelSpectrogram().fit(np.zeros((2, 500)))
    assert from_transformer(transformer, CLIP).spectrogram.shape == (64, 51)
    assert transformer.n_features_in_ == 500


def test_arrays_tensors_lists_and_paths_are_drawn_alike(tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, CLIP, 16000, subtype="FLOAT")
    expected = MFCC(pooling=None).fit_transform([CLIP])[0]
    for clip in (CLIP, torch.from_numpy(CLIP), CLIP.tolist(), path, str(path)):
        np.testing.assert_array_equal(from_transformer(MFCC(), clip).spectrogram, expected)


@pytest.mark.gpu
def test_tensors_on_a_gpu_are_drawn():
    clip = torch.from_numpy(CLIP).cuda()
    drawn = from_transformer(MelSpectrogram(output="torch"), clip).spectrogram
    assert drawn.shape == from_array(torch.from_numpy(drawn).cuda()).spectrogram.shape


def test_an_fft_is_drawn_at_librosas_frequencies():
    S = np.abs(librosa.stft(CLIP, n_fft=512, hop_length=128))
    options = {"sr": 22050, "hop_length": 128, "y_axis": "linear", "unit": "amplitude"}
    display = from_array(S, **options)
    times, edges, values = mesh(display)
    np.testing.assert_allclose(values, librosa.amplitude_to_db(S), atol=1e-4)
    frequencies = librosa.fft_frequencies(sr=22050, n_fft=512)
    np.testing.assert_allclose(edges[1:-1], (frequencies[:-1] + frequencies[1:]) / 2)
    np.testing.assert_allclose(
        (times[:-1] + times[1:]) / 2, librosa.times_like(S, sr=22050, hop_length=128)
    )
    assert display.ax_.get_yscale() == "linear"
    assert display.colorbar_.ax.get_ylabel() == "Level (dB)"


def test_an_array_is_drawn_as_the_transformer_that_made_it():
    options = {"sr": 8000, "hop_length": 80, "fmin": 100.0, "fmax": 3000.0, "htk": True}
    options |= {"n_fft": 256, "center": False}
    one = from_transformer(MelSpectrogram(n_mels=24, **options), CLIP)
    other = from_array(one.spectrogram, **options)
    for a, b in zip(mesh(one), mesh(other), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (one.htk, one.value_label) == (other.htk, other.value_label)


def test_coefficients_in_an_array_are_drawn_as_they_are():
    display = from_array([[-1.0, 2.0], [3.0, -4.0]], y_axis="coefficients", names=range(1, 3))
    np.testing.assert_array_equal(mesh(display)[2], [[-1, 2], [3, -4]])
    assert display.names == ["1", "2"]
    assert display.value_label == "Value"


def test_values_that_are_not_finite_are_left_blank():
    values = mesh(from_array([[0.0, np.nan, -np.inf], [1.0, 2.0, 3.0]], sr=16000))[2]
    np.testing.assert_array_equal(values.mask, [[False, True, True], [False, False, False]])


def test_the_constructor_only_stores_and_plot_draws_again():
    parts = {"spectrogram": np.eye(2), "time_edges": np.arange(3), "band_edges": np.arange(3)}
    display = SpectrogramDisplay(**parts, y_axis="linear", value_label="x")
    assert all(getattr(display, name) is part for name, part in parts.items())
    assert not plt.get_fignums()
    assert display.plot() is display
    first = display.ax_
    assert display.plot().ax_ is not first


def test_axes_given_are_drawn_on_and_no_figure_is_made():
    ax = mpl.figure.Figure().add_subplot()
    display = from_transformer(MelSpectrogram(), CLIP, ax=ax)
    assert (display.ax_, display.figure_) == (ax, ax.figure)
    assert display.im_ in ax.collections
    assert display.colorbar_.ax in ax.figure.axes
    assert not plt.get_fignums()


@pytest.mark.parametrize("ax", [3, "left", np.array([None, None]), mpl.figure.Figure()])
def test_what_is_not_axes_is_refused_before_any_work(ax):
    display = SpectrogramDisplay(
        spectrogram=np.eye(2), time_edges=np.arange(3), band_edges=np.arange(3)
    )
    message = "ax=.* is not matplotlib Axes; give one, such as plt.gca()"
    with pytest.raises(TypeError, match=message):
        from_transformer(MelSpectrogram(), "no_such.wav", ax=ax)
    with pytest.raises(TypeError, match=message):
        from_array(np.eye(2), ax=ax)
    with pytest.raises(TypeError, match=message):
        display.plot(ax)


def test_shading_that_is_not_for_cells_is_refused_and_no_figure_is_left():
    for shading in ("gouraud", "nearest"):
        with pytest.raises(ValueError, match=f"shading='{shading}' needs the middles of cells"):
            from_array(np.eye(4), shading=shading)
    assert not plt.get_fignums()
    assert from_array(np.eye(4), shading="auto").im_ is not None


def test_options_reach_the_picture_and_the_colour_bar_may_be_left_out():
    display = from_array(np.eye(4), cmap="viridis", colorbar=False, vmin=-3, vmax=5, alpha=0.5)
    assert display.im_.get_cmap().name == "viridis"
    assert display.im_.get_clim() == (-3, 5)
    assert display.im_.get_alpha() == 0.5
    assert display.colorbar_ is None
    assert display.figure_.axes == [display.ax_]


def test_settings_of_matplotlib_stay_as_they_are():
    with mpl.rc_context({"pcolor.shading": "gouraud"}):
        before = dict(mpl.rcParams)
        from_transformer(MelSpectrogram(), CLIP)
        assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(
    ("transformer", "match"),
    [
        (StandardScaler(), "StandardScaler gives no frames of a clip; give MelSpectrogram, MFCC"),
        (MFCC, r"the class MFCC; give an instance, MFCC\(\)"),
    ],
)
def test_what_gives_no_frames_is_refused(transformer, match):
    with pytest.raises(TypeError, match=match):
        from_transformer(transformer, CLIP)


@pytest.mark.parametrize(
    ("clip", "error", "match"),
    [
        (np.zeros((2, 100)), ValueError, r"clip has shape \(2, 100\): a batch"),
        (np.zeros(0), ValueError, "empty"),
        (np.full(100, np.nan), ValueError, "contains NaN"),
        (np.zeros(100, dtype=np.int16), ValueError, "PCM that was not scaled"),
        ("no_such.wav", AudioReadError, "no_such.wav"),
    ],
)
def test_what_is_not_one_clip_is_refused_and_no_figure_is_left(clip, error, match):
    with pytest.raises(error, match=match):
        from_transformer(MelSpectrogram(on_error="nan"), clip)
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"sr": 16}, "did you mean sr=16000"),
        ({"hop_length": 0}, "'hop_length' parameter .* Got 0"),
        ({"y_axis": "log"}, "'y_axis' parameter .* Got 'log'"),
        ({"unit": "db"}, "'unit' parameter .* Got 'db'"),
        ({"fmax": 9000}, "fmax=9000 Hz but clips at sr=16000 Hz hold nothing above"),
        ({"fmin": 5000, "fmax": 4000}, "fmin=5000 Hz is not below"),
        ({"center": False}, "center=False needs n_fft"),
        ({"y_axis": "linear", "n_fft": 4}, "S has 4 rows but an FFT of n_fft=4 samples gives 3"),
        ({"names": ["a"], "y_axis": "coefficients"}, "names has 1 elements but S has 4 rows"),
        ({"unit": "power"}, "S holds -1 but unit='power' is never negative"),
    ],
)
def test_options_that_do_not_fit_are_refused_and_no_figure_is_left(options, match):
    with pytest.raises(ValueError, match=match):
        from_array(-np.eye(4), **options)
    assert not plt.get_fignums()


def test_one_row_is_no_fft():
    with pytest.raises(ValueError, match="S has 1 row; an FFT gives 2 at least"):
        from_array([[1.0]], y_axis="linear")


def test_matplotlib_that_is_missing_is_named_with_its_extra(monkeypatch):
    display = SpectrogramDisplay(
        spectrogram=np.eye(2), time_edges=np.arange(3), band_edges=np.arange(3)
    )
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    message = r"SpectrogramDisplay needs 'matplotlib'.* pip install 'sktl\[plot\]'"
    with pytest.raises(ImportError, match=message):
        from_transformer(MelSpectrogram(), CLIP)
    with pytest.raises(ImportError, match=message):
        from_array(np.eye(2))
    with pytest.raises(ImportError, match=message):
        display.plot()
