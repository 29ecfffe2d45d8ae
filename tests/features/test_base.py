"""What every feature of clips promises: shapes, names, independence of rows, pipelines."""

import pickle
import re

import joblib
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sktl.exceptions import AudioReadError
from sktl.features import LPC, MFCC, MelSpectrogram, _clipwise
from sktl.features import _base as base

FEATURES = [MelSpectrogram, MFCC, LPC]
each_feature = pytest.mark.parametrize("feature", FEATURES)
each_pooling = pytest.mark.parametrize("pooling", [None, "mean", "mean_std", "quantiles"])


@pytest.mark.global_state("scikit-learn's checks draw from numpy's global generator")
@parametrize_with_checks(
    [
        MelSpectrogram(pooling="quantiles"),
        MFCC(pooling=None, dtype="float64"),
        LPC(pooling="mean", dtype="float64"),
    ]
)
def test_other_settings_keep_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


@each_feature
@each_pooling
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_row_is_bit_equal_alone_and_among_others(feature, pooling, dtype, clips):
    transformer = feature(pooling=pooling, dtype=dtype, device="cpu")
    together = transformer.transform(clips)
    for clip, row in zip(clips, together, strict=True):
        np.testing.assert_array_equal(row, transformer.transform([clip])[0])


@each_feature
def test_row_does_not_depend_on_groups_and_threads(feature, clips, monkeypatch):
    expected = feature(device="cpu").transform(clips)
    monkeypatch.setattr(_clipwise, "CLIPS_PER_GROUP", 4)
    monkeypatch.setattr(_clipwise, "SAMPLES_PER_GROUP", 5000)
    for n_jobs in (1, 2):
        again = feature(device="cpu", n_jobs=n_jobs).transform(clips)
        for row, same in zip(again, expected, strict=True):
            np.testing.assert_array_equal(row, same)


@each_feature
def test_fading_clips_give_the_same_row_in_any_thread(feature):
    faded = np.geomspace(1.0, 1e-44, 8000) * np.random.default_rng(0).normal(size=8000)
    clips = [faded.astype("float32")] * 3
    expected = feature(device="cpu").transform(clips)
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(feature(device="cpu", n_jobs=2).transform(clips), expected)


@pytest.mark.parametrize(
    ("n_clips", "n_jobs", "groups"), [(7, 1, [3, 3, 1]), (8, 2, [2, 2, 2, 2]), (3, 2, [1, 1, 1])]
)
def test_groups_are_bounded_and_equal_for_threads(monkeypatch, n_clips, n_jobs, groups):
    sizes = []
    run = _clipwise.run_clips
    monkeypatch.setattr(_clipwise, "SAMPLES_PER_GROUP", 3000)
    monkeypatch.setattr(
        _clipwise,
        "run_clips",
        lambda clips, *rest: (sizes.append(len(clips)), run(clips, *rest))[1],
    )
    MFCC(device="cpu", n_jobs=n_jobs).transform(np.zeros((n_clips, 1000)))
    assert sizes == groups


@each_feature
def test_containers_of_the_same_clips_agree(feature, clips):
    transformer = feature(pooling="mean")
    expected = transformer.fit_transform(clips)
    tensors = [torch.from_numpy(clip) for clip in clips]
    object_array = np.empty(len(clips), dtype=object)
    object_array[:] = clips
    for X in (tuple(clips), object_array, pd.Series(clips), tensors):
        np.testing.assert_array_equal(transformer.fit_transform(X), expected)


@each_feature
def test_array_list_and_files_agree(feature, tmp_path):
    X = np.random.default_rng(0).uniform(-1, 1, size=(3, 2000)).astype(np.float32)
    paths = [tmp_path / f"{index}.wav" for index in range(3)]
    for path, clip in zip(paths, X, strict=True):
        soundfile.write(path, clip, 16000, subtype="FLOAT")
    transformer = feature()
    expected = transformer.fit_transform(X)
    names = [str(path) for path in paths]
    for other in (list(X), paths, names, np.array(names), pd.Series(names)):
        np.testing.assert_array_equal(transformer.fit_transform(other), expected)


@each_feature
@pytest.mark.gpu
def test_cuda_agrees_with_cpu(feature, clips):
    on_cpu = feature(pooling="mean", dtype="float64", device="cpu").transform(clips)
    on_cuda = feature(pooling="mean", dtype="float64", device="cuda").transform(clips)
    np.testing.assert_allclose(on_cuda, on_cpu, rtol=1e-6, atol=1e-6)


@each_feature
def test_equal_frame_counts_give_three_dimensions(feature):
    output = feature(pooling=None).fit_transform(np.zeros((2, 1600)))
    assert output.ndim == 3
    assert output.shape[::2] == (2, 11)


@each_feature
def test_ragged_clips_give_an_object_array(feature, clips):
    output = feature(pooling=None).fit_transform(clips)
    assert output.dtype == object
    assert [image.shape[1] for image in output] == [1 + len(clip) // 160 for clip in clips]


@each_feature
def test_duration_crops_and_pads_at_the_end(feature):
    clips = [np.linspace(0.1, 1, n) for n in (500, 1600, 3000)]
    fixed = [np.pad(clips[0], (0, 1100)), clips[1], clips[2][:1600]]
    actual = feature(pooling=None, duration=0.1).fit_transform(clips)
    np.testing.assert_array_equal(actual, feature(pooling=None).fit_transform(fixed))


@each_feature
@pytest.mark.parametrize("pooling", ["mean", "mean_std", "quantiles"])
def test_padding_never_enters_statistics(feature, pooling):
    clips = [np.linspace(0.1, 1, n) for n in (500, 3000)]
    actual = feature(pooling=pooling, duration=0.1).fit_transform(clips)
    expected = feature(pooling=pooling).fit_transform([clips[0], clips[1][:1600]])
    np.testing.assert_array_equal(actual, expected)


@each_feature
@each_pooling
def test_unreadable_files_become_nan_rows_with_one_warning(feature, pooling, tmp_path):
    paths = [tmp_path / name for name in ("a.wav", "gone.wav", "b.wav", "text.wav")]
    for path in paths[::2]:
        soundfile.write(path, np.full(1600, 0.1), 16000)
    paths[3].write_text("not audio")
    transformer = feature(pooling=pooling, on_error="nan")
    with pytest.warns(UserWarning, match="2 of 4 audio files cannot be read") as record:
        output = transformer.fit_transform(paths)
    assert len(record) == 1
    is_nan = [np.isnan(row).all() for row in output]
    assert is_nan == [False, True, False, True]
    assert output.shape == (4, *transformer.transform(paths[:1]).shape[1:])


@each_feature
def test_nan_rows_among_ragged_frames_are_one_frame_of_nan(feature, tmp_path):
    paths = [tmp_path / name for name in ("a.wav", "b.wav", "gone.wav")]
    for path, n_samples in zip(paths[:2], (800, 1600), strict=True):
        soundfile.write(path, np.full(n_samples, 0.1), 16000)
    with pytest.warns(UserWarning, match="1 of 3"):
        output = feature(pooling=None, on_error="nan").transform(paths)
    assert np.isnan(output[2]).all()
    assert output[2].shape == (output[0].shape[0], 1)


@each_feature
def test_missing_files_are_named_in_fit_and_transform(feature, tmp_path):
    paths = [str(tmp_path / "x.wav"), str(tmp_path / "y.wav")]
    for method in (feature().fit, feature().transform):
        with pytest.raises(AudioReadError, match=r"(?s)2 of 2 .*x\.wav\n.*y\.wav"):
            method(paths)


@each_feature
def test_bad_clips_are_refused_in_fit_and_transform(feature):
    for method in (feature().fit, feature().transform):
        with pytest.raises(ValueError, match=r"X\[1\] is empty"):
            method([np.zeros(4), np.zeros(0)])


@each_feature
def test_zero_threads_are_refused_in_fit_and_transform(feature):
    for method in (feature(n_jobs=0).fit, feature(n_jobs=0).transform):
        with pytest.raises(ValueError, match="n_jobs=0 is no number of threads; give 1 or more"):
            method(np.zeros((2, 1000)))


@each_feature
def test_the_row_that_holds_nan_is_named_in_fit_and_transform(feature):
    X = np.zeros((3, 1000))
    X[1, 500] = np.nan
    for method in (feature().fit, feature().transform):
        with pytest.raises(ValueError, match=r"X\[1\] contains NaN or infinity"):
            method(X)


@each_feature
def test_transform_without_fit_checks_parameters(feature):
    with pytest.raises(ValueError, match=f"'pooling' parameter of {feature.__name__}"):
        feature(pooling="max").transform(np.zeros((1, 9)))


@each_feature
def test_list_of_other_lengths_may_follow_an_array(feature):
    transformer = feature().fit(np.zeros((2, 1000)))
    assert transformer.n_features_in_ == 1000
    assert len(transformer.transform([np.zeros(300)])) == 1
    with pytest.raises(ValueError, match="expecting 1000 features"):
        transformer.transform(np.zeros((1, 300)))


@each_feature
@pytest.mark.parametrize("pooling", ["mean", "mean_std", "quantiles"])
def test_set_output_gives_named_columns(feature, pooling, clips):
    transformer = feature(pooling=pooling).set_output(transform="pandas")
    series = pd.Series(clips, index=list("uvwxyz"))
    frame = transformer.fit_transform(series)
    assert list(frame.columns) == list(transformer.get_feature_names_out())
    assert list(frame.index) == list("uvwxyz")


@each_feature
def test_names_and_set_output_exist_only_for_rows(feature):
    frames = feature(pooling=None)
    assert not hasattr(frames, "get_feature_names_out")
    with pytest.raises(AttributeError, match="set_output") as caught:
        frames.set_output(transform="pandas")
    assert "need `pooling`" in str(caught.value.__cause__)
    frames.set_params(pooling="mean")
    assert hasattr(frames, "get_feature_names_out")


def test_names_have_as_many_digits_as_needed():
    assert base.numbered("mel", 0, 3) == ["mel_00", "mel_01", "mel_02"]
    assert base.numbered("mel", 99, 2) == ["mel_099", "mel_100"]


@each_feature
def test_fitted_estimator_survives_clone_and_pickle(feature, clips):
    transformer = feature(hop_length=100).fit(clips)
    expected = transformer.transform(clips)
    for copy in (clone(transformer), pickle.loads(pickle.dumps(transformer))):
        assert str(copy.get_params()) == str(transformer.get_params())
        for row, same in zip(copy.transform(clips), expected, strict=True):
            np.testing.assert_array_equal(row, same)


@each_feature
def test_workers_of_joblib_agree(feature, clips):
    transformer = feature(pooling="mean")
    parallel = joblib.Parallel(n_jobs=2, prefer="threads")
    results = parallel(joblib.delayed(transformer.transform)(clips) for _ in range(4))
    for result in results:
        np.testing.assert_array_equal(result, results[0])


def test_paths_go_through_model_selection(speech_paths, speech):
    y = [int(path.name[0]) < 5 for path in speech_paths]
    model = make_pipeline(MFCC(), StandardScaler(), LogisticRegression())
    scores = cross_val_score(model, speech_paths, y, cv=3)
    assert scores.mean() > 0.6
    train, test, y_train, y_test = train_test_split(speech, y, random_state=0)
    model.set_params(mfcc__sr=8000).fit(train, y_train)
    assert len(model.predict(test)) == len(y_test)
    search = GridSearchCV(model, {"mfcc__n_mfcc": [5, 13]}, cv=2, n_jobs=2)
    assert search.fit(speech, y).best_score_ > 0.5


@each_feature
def test_a_file_of_floats_that_are_no_sound_is_a_row_of_nan(feature, tmp_path):
    paths = [tmp_path / "good.wav", tmp_path / "loud.wav"]
    for path, scale in zip(paths, (1, 1e30), strict=True):
        samples = scale * np.sin(np.arange(4000) / 5)
        soundfile.write(path, samples.astype("float32"), 16000, subtype="FLOAT")
    with pytest.raises(AudioReadError, match=r"1 of 2 .*:\n.*loud\.wav: holds samples too large"):
        feature(pooling="mean").fit_transform(paths)
    with pytest.warns(UserWarning, match=r"1 of 2 audio files cannot be read.*loud\.wav"):
        rows = feature(pooling="mean", on_error="nan").fit_transform(paths)
    assert np.isnan(rows).all(axis=1).tolist() == [False, True]


@pytest.mark.parametrize("duration", [1e10, 1e300])
@each_feature
def test_a_duration_beyond_all_memory_is_named(feature, duration):
    transformer = feature(duration=duration, pooling=None)
    message = (
        rf"duration={re.escape(str(duration))} s pads every clip to 1\.6e\+\d+ samples, too many"
    )
    with pytest.raises(ValueError, match=message):
        transformer.fit_transform([np.zeros(1000)])


@pytest.mark.parametrize(("dtype", "power"), [("float32", 50), ("float64", 500)])
@pytest.mark.parametrize("feature", [MelSpectrogram, MFCC])
def test_a_power_that_overflows_is_not_blamed_on_the_clips(feature, dtype, power):
    clip = np.sin(np.arange(4000) / 5)
    advice = ", or dtype='float64'" if dtype == "float32" else ""
    with pytest.raises(ValueError, match=rf"for {dtype}: give a smaller `power`{advice}\.$"):
        feature(power=power, dtype=dtype).fit_transform([clip])


@pytest.mark.parametrize("device", ["cuda:99", "xla", "tpu9"])
def test_a_device_that_is_not_there_is_refused_before_work(device):
    with pytest.raises(ValueError, match=f"device='{device}'"):
        MFCC(device=device).fit([np.zeros(1000)])
