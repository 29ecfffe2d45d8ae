"""Deltas, normalization, pooling and containers follow librosa and numpy for every feature."""

import librosa
import numpy as np
import pytest
import soundfile
import torch

from sktl.features import LPC, MFCC, MelSpectrogram, mfcc

pytestmark = pytest.mark.filterwarnings("ignore:.*slated for removal:DeprecationWarning")

each_feature = pytest.mark.parametrize("feature", [MelSpectrogram, MFCC, LPC])


@pytest.fixture(scope="module")
def voiced():
    """Clips of 5, 31, 31 and 101 frames."""
    rng = np.random.default_rng(0)
    return [rng.normal(size=n) * np.hanning(n) for n in (700, 4800, 4900, 16000)]


def by_librosa(frames, deltas, normalize):
    """Normalization, then derivatives, of one clip (n_coefficients, n_frames)."""
    if normalize == "clip":
        frames = (frames - frames.mean()) / frames.std()
    elif normalize == "band":
        frames = (frames - frames.mean(1, keepdims=True)) / frames.std(1, keepdims=True)
    mode = "interp" if frames.shape[1] >= 9 else "nearest"
    parts = [librosa.feature.delta(frames, order=k, mode=mode) for k in range(1, deltas + 1)]
    return np.concatenate([frames, *parts])


@each_feature
@pytest.mark.parametrize("normalize", [None, "clip", "band"])
@pytest.mark.parametrize("deltas", [0, 1, 2])
def test_deltas_and_normalization_equal_librosa(feature, normalize, deltas, voiced):
    plain = feature(pooling=None, dtype="float64").transform(voiced)
    options = {"dtype": "float64", "deltas": deltas, "normalize": normalize}
    frames = feature(pooling=None, **options).transform(voiced)
    rows = feature(pooling="mean_std", **options).transform(voiced)
    largest = feature(pooling=lambda S: S.max(axis=-1), **options).transform(voiced)
    for clip, actual, row, peak in zip(plain, frames, rows, largest, strict=True):
        expected = by_librosa(clip, deltas, normalize)
        np.testing.assert_allclose(actual, expected, rtol=1e-7, atol=1e-9)
        statistics = np.concatenate([expected.mean(1), expected.std(1)])
        np.testing.assert_allclose(row, statistics, rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(peak, expected.max(1), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_pcen_equals_librosa(voiced, power):
    options = {"sr": 16000, "n_fft": 512, "hop_length": 160, "n_mels": 64, "power": power}
    transformer = MelSpectrogram(normalize="pcen", dtype="float64", **options)
    for y, actual in zip(voiced, transformer.transform(voiced), strict=True):
        spectrogram = librosa.feature.melspectrogram(y=y, **options)
        expected = librosa.pcen(spectrogram * 2**31, sr=16000, hop_length=160)
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-9)


@each_feature
@pytest.mark.parametrize("options", [{}, {"deltas": 2, "normalize": "band"}])
@pytest.mark.parametrize("pooling", [None, "mean_std", "quantiles", np.ptp])
def test_row_is_bit_equal_alone_and_among_others(feature, options, pooling, voiced):
    if pooling is np.ptp:
        pooling = lambda S: np.ptp(S, axis=-1)  # noqa: E731
    transformer = feature(pooling=pooling, **options, device="cpu")
    for clip, row in zip(voiced, transformer.transform(voiced), strict=True):
        np.testing.assert_array_equal(row, transformer.transform([clip])[0])


def largest(S):
    return S.max(axis=-1)


@pytest.mark.parametrize(
    ("transformer", "expected"),
    [
        (MFCC(n_mfcc=1, deltas=1, pooling="mean"), ["mfcc_00_mean", "mfcc_00_delta_mean"]),
        (LPC(order=1, deltas=2, pooling=largest), ["lpc_01_largest", "lpc_01_delta_largest"]),
        (MelSpectrogram(n_mels=1, pooling="mean_std"), ["mel_00_mean", "mel_00_std"]),
    ],
)
def test_names_say_coefficient_derivative_and_statistic(transformer, expected):
    names = transformer.get_feature_names_out()
    assert list(names[:2]) == expected
    assert len(names) == transformer.transform(np.ones((1, 2000))).shape[1]


@each_feature
@pytest.mark.parametrize("pooling", [None, "mean_std", "quantiles"])
@pytest.mark.parametrize("options", [{}, {"deltas": 1, "normalize": "clip"}, {"duration": 0.2}])
def test_torch_output_has_the_numbers_of_numpy(feature, pooling, options, voiced, device):
    transformer = feature(pooling=pooling, device=device, **options)
    expected = transformer.transform(voiced)
    actual = transformer.set_params(output="torch").transform(voiced)
    tensors = [torch.from_numpy(clip).to(device) for clip in voiced]
    again = transformer.fit(tensors).transform(tensors)
    for row, same, truth in zip(actual, again, expected, strict=True):
        assert row.device.type == device
        np.testing.assert_array_equal(row.cpu().numpy(), truth)
        np.testing.assert_array_equal(same.cpu().numpy(), truth)


@each_feature
def test_two_dimensional_tensor_gives_a_tensor(feature):
    X = np.random.default_rng(0).uniform(-1, 1, size=(3, 2000)).astype(np.float32)
    transformer = feature(pooling=None, output="torch", device="cpu").fit(torch.from_numpy(X))
    actual = transformer.transform(torch.from_numpy(X))
    assert isinstance(actual, torch.Tensor)
    assert transformer.n_features_in_ == 2000
    np.testing.assert_array_equal(actual, feature(pooling=None, device="cpu").transform(X))


@each_feature
def test_tensors_have_no_data_frame(feature):
    with pytest.raises(AttributeError, match="set_output") as caught:
        feature(pooling="mean", output="torch").set_output(transform="pandas")
    assert "need output='numpy'" in str(caught.value.__cause__)


def test_torch_output_keeps_rows_of_unreadable_files(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full(800, 0.1), 16000)
    soundfile.write(tmp_path / "b.wav", np.full(1600, 0.1), 16000)
    paths = [tmp_path / name for name in ("a.wav", "gone.wav", "b.wav")]
    transformer = MelSpectrogram(on_error="nan", output="torch", device="cpu")
    with pytest.warns(UserWarning, match="1 of 3"):
        rows = transformer.transform(paths)
    assert [tuple(row.shape) for row in rows] == [(64, 6), (64, 1), (64, 11)]
    assert [bool(row.isnan().all()) for row in rows] == [False, True, False]


def test_long_clip_equals_the_plain_function():
    y = np.random.default_rng(0).uniform(-1, 1, size=3_000_000).astype(np.float32)
    actual = MFCC(pooling=None, device="cpu").transform([y, y[:5000]])
    assert torch.equal(torch.from_numpy(actual[0]), mfcc(torch.from_numpy(y)))


def test_rows_of_one_group_do_not_share_memory(voiced):
    first, second, *_ = MelSpectrogram(device="cpu").transform(voiced)
    assert first.base is None or first.base.base is None
    assert not np.shares_memory(first, second)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"deltas": 3}, "'deltas' parameter of MFCC"),
        ({"normalize": "pcen"}, "'normalize' parameter of MFCC"),
        ({"output": "jax"}, "'output' parameter of MFCC"),
    ],
)
def test_impossible_parameters_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        MFCC(**parameters).fit(np.zeros((2, 1000)))


@pytest.mark.filterwarnings("ignore:X holds values as large as .* divide them by:UserWarning")
@pytest.mark.parametrize("scale", [1e9, 1e15, 1e17])
def test_pcen_of_loud_clips_is_finite_or_refused(scale):
    clip = (scale * np.random.default_rng(0).uniform(-0.5, 0.5, 8000)).astype("float32")
    transformer = MelSpectrogram(normalize="pcen")
    if scale > 1e9:
        with pytest.raises(ValueError, match=r"X\[0\] holds samples as large as"):
            transformer.fit_transform([clip])
    else:
        assert np.isfinite(transformer.fit_transform([clip])).all()
