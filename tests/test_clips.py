"""Clips as arrays, ragged lists and files go the whole way through scikit-learn's tools."""

import numpy as np
import pandas as pd
import pytest
import soundfile
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktl import (
    LPC,
    MFCC,
    DANNClassifier,
    FineTunedClassifier,
    MelSpectrogram,
    MMDAligner,
    PretrainedEmbedding,
)
from sktl.datasets import load_voices
from sktl.exceptions import AudioReadError

QUICK = {"max_epochs": 3, "batch_size": 16, "frozen_layers": -1, "random_state": 0}
MODELS = {
    "mfcc": make_pipeline(MFCC(), StandardScaler(), LogisticRegression(max_iter=500)),
    "lpc": make_pipeline(LPC(), StandardScaler(), LogisticRegression(max_iter=500)),
    "cnn": make_pipeline(MelSpectrogram(duration=0.5), FineTunedClassifier("cnn", **QUICK)),
    "gru": make_pipeline(MelSpectrogram(duration=0.5), FineTunedClassifier("gru", **QUICK)),
    "crnn": make_pipeline(MelSpectrogram(duration=0.5), FineTunedClassifier("crnn", **QUICK)),
    "embedding": make_pipeline(PretrainedEmbedding(), LogisticRegression(max_iter=500)),
    "network": FineTunedClassifier("speech-mini", **QUICK),
}


@pytest.fixture(scope="module")
def voices():
    """Digits 0 to 2 by eight clean and eight telephone voices, ragged."""
    bunch = load_voices()
    chosen = np.flatnonzero((bunch.target < 3) & (bunch.take == 0))[::2]
    clips = [bunch.data[i] for i in chosen]
    return clips, bunch.target[chosen], bunch.sample_domain[chosen]


@pytest.fixture(scope="module")
def files(voices, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    paths = [folder / f"{i}.wav" for i in range(len(voices[0]))]
    for path, clip in zip(paths, voices[0], strict=True):
        soundfile.write(path, clip, 16000, subtype="FLOAT")
    return paths


def forms_of(clips, files):
    """The same recordings in every form that keeps their lengths."""
    ragged = np.empty(len(clips), dtype=object)
    ragged[:] = clips
    return {
        "list": clips,
        "tuple": tuple(clips),
        "object array": ragged,
        "Series": pd.Series(clips),
        "paths": files,
        "strings": [str(path) for path in files],
    }


@pytest.mark.parametrize("name", MODELS)
def test_cross_validation_is_the_same_for_every_form_of_the_clips(name, voices, files):
    clips, y, _ = voices
    forms = forms_of(clips, files)
    scores = {form: cross_val_score(MODELS[name], X, y, cv=2) for form, X in forms.items()}
    assert scores["list"].shape == (2,)
    for form, score in scores.items():
        np.testing.assert_array_equal(score, scores["list"], err_msg=form)


@pytest.mark.parametrize("name", MODELS)
def test_dense_arrays_and_lists_of_their_rows_agree(name, voices):
    clips, y, _ = voices
    dense = np.stack([np.resize(clip, 6000) for clip in clips])
    from_array = MODELS[name].fit(dense, y)
    expected = from_array.predict_proba(dense)
    assert from_array.n_features_in_ == 6000
    with pytest.raises(ValueError, match="6000 features"):
        from_array.predict(dense[:, :5000])
    rows = list(dense)
    np.testing.assert_array_equal(MODELS[name].fit(rows, y).predict_proba(rows), expected)


def test_lists_are_split_and_searched(voices, files):
    _, y, _ = voices
    X_train, X_test, y_train, y_test = train_test_split(files, y, stratify=y, random_state=0)
    grid = {"frozen_layers": [-1, "all"], "lr": [1e-3, 1e-2]}
    search = GridSearchCV(FineTunedClassifier(**QUICK), grid, cv=2, n_jobs=2)
    search.fit(X_train, y_train)
    assert search.best_params_["frozen_layers"] in (-1, "all")
    assert len(search.predict(X_test)) == len(y_test)
    assert not hasattr(search.best_estimator_, "n_features_in_")


@pytest.mark.parametrize("estimator", [DANNClassifier(**QUICK), MMDAligner(**QUICK)])
def test_adaptation_from_files(estimator, voices, files):
    clips, y, sample_domain = voices
    hidden = np.where(sample_domain < 0, -1, y)
    from_files = estimator.fit(files, hidden, sample_domain=sample_domain)
    expected = from_files.predict_proba(files)
    assert expected.shape == (len(files), 3)
    from_clips = estimator.fit(clips, hidden, sample_domain=sample_domain)
    np.testing.assert_array_equal(from_clips.predict_proba(clips), expected)


def test_a_frozen_network_tells_real_digits_apart(fsdd_dir):
    paths = [fsdd_dir / f"{d}_theo_{take}.wav" for d in range(10) for take in range(10)]
    y = np.repeat(np.arange(10), 10)
    model = make_pipeline(PretrainedEmbedding(), StandardScaler(), LogisticRegression(C=0.1))
    assert cross_val_score(model, paths, y, cv=5).mean() > 0.8


def bad_clips():
    good = np.zeros(800, dtype=np.float32)
    yield "empty", [good, good[:0]], "empty|no samples|zero"
    yield "nan", [good, np.full(800, np.nan)], "NaN"
    yield "infinite", [good, np.full(800, np.inf)], "infinit"
    yield "stereo", [good, np.zeros((2, 800))], "2-D|stereo|1-D"
    yield "stereo array", np.zeros((4, 2, 800)), "stereo|mono|dim"
    yield "int16", [good, np.full(800, 3000, dtype=np.int16)], "int16"


@pytest.mark.parametrize(("X", "message"), [case[1:] for case in bad_clips()])
def test_a_network_refuses_bad_clips_before_training(X, message):
    with pytest.raises(ValueError, match=f"(?i){message}"):
        FineTunedClassifier("speech-mini").fit(X, np.arange(len(X)) % 2)


def test_every_missing_file_is_named_before_anything_is_read(files, voices):
    paths = [*files[:2], "nowhere.wav", "nor-there.flac"]
    with pytest.raises(AudioReadError, match=r"(?s)nowhere\.wav.*nor-there\.flac"):
        FineTunedClassifier().fit(paths, [0, 1, 0, 1])


def test_a_file_that_is_not_audio_is_named(files, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"this is not audio")
    with pytest.raises(AudioReadError, match=r"broken\.wav"):
        FineTunedClassifier().fit([*files[:3], broken], [0, 1, 0, 1])


def test_clips_for_a_network_on_arrays_are_refused_with_advice(voices):
    clips, y, _ = voices
    with pytest.raises(ValueError, match=r"takes spectrograms.*as for a list of clips"):
        FineTunedClassifier("cnn").fit(clips, y)
