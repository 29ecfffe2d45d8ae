import importlib.util
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

import sktl.datasets
from sktl.datasets import load_voices

SHIPPED = Path(sktl.datasets.__file__).parent / "data" / "voices"
SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "datasets" / "make_voices.py"


@pytest.fixture(scope="module")
def voices():
    return load_voices()


def test_every_voice_says_every_digit_three_times(voices):
    said = list(zip(voices.speaker, voices.target, voices.take, strict=True))
    assert len(said) == len(set(said)) == 840
    assert len(set(voices.speaker)) == 28
    assert set(voices.target) == set(range(10))
    assert set(voices.take) == {0, 1, 2}
    assert len(voices.target_names) == 10
    assert voices.target_names[7] == "seven"


def test_half_of_the_voices_are_source_and_none_is_in_both_domains(voices):
    source = set(voices.speaker[voices.sample_domain >= 0])
    target = set(voices.speaker[voices.sample_domain < 0])
    assert len(source) == len(target) == 14
    assert not source & target
    assert voices.domain_names == {1: "clean", -2: "telephone"}
    assert set(voices.sample_domain) == set(voices.domain_names)


def test_clips_are_float32_waveforms_within_one(voices):
    assert all(clip.dtype == np.float32 and clip.ndim == 1 for clip in voices.data)
    peaks = np.array([np.abs(clip).max() for clip in voices.data])
    assert peaks.min() > 0.2
    assert peaks.max() <= 1
    lengths = np.array([clip.size for clip in voices.data]) / voices.sr
    assert 0.15 < lengths.min() < lengths.max() < 0.75


@pytest.mark.parametrize("domain", [1, -2])
def test_clips_end_to_end_are_the_whole_file(voices, domain):
    clips = [c for c, d in zip(voices.data, voices.sample_domain, strict=True) if d == domain]
    name = voices.domain_names[domain]
    samples, sr = soundfile.read(SHIPPED / f"{name}.flac", dtype="float32")
    assert sr == voices.sr == 16000
    np.testing.assert_array_equal(np.concatenate(clips), samples)


def test_the_telephone_passes_its_band_only(voices):
    def share_outside(domain):
        shares = []
        for clip, number in zip(voices.data, voices.sample_domain, strict=True):
            if number == domain:
                power = np.abs(np.fft.rfft(clip.astype(float))) ** 2
                frequency = np.fft.rfftfreq(clip.size, 1 / voices.sr)
                shares.append(power[(frequency < 200) | (frequency > 4500)].sum() / power.sum())
        return np.mean(shares)

    assert share_outside(1) > 0.05
    assert share_outside(-2) < 0.02


def test_the_telephone_has_background_noise(voices):
    def quietest_frame_db(domain):
        levels = []
        for clip, number in zip(voices.data, voices.sample_domain, strict=True):
            if number == domain:
                frames = np.lib.stride_tricks.sliding_window_view(clip, 160)[::160]
                power = (frames.astype(float) ** 2).mean(1)
                levels.append(power.min() / power.max())
        return 10 * np.log10(np.median(levels) + 1e-12)

    assert quietest_frame_db(1) < -60
    assert quietest_frame_db(-2) > -50


def test_another_sample_rate_is_resampled_clip_by_clip(voices):
    slow = load_voices(sr=8000)
    assert slow.sr == 8000
    for row in (0, 500):
        expected = soxr.resample(voices.data[row], 16000, 8000, quality="HQ")
        np.testing.assert_array_equal(slow.data[row], expected)
        assert slow.data[row].dtype == np.float32


def test_return_x_y_gives_clips_labels_and_domains(voices):
    X, y, sample_domain = load_voices(return_X_y=True)
    assert len(X) == 840
    np.testing.assert_array_equal(X[3], voices.data[3])
    np.testing.assert_array_equal(y, voices.target)
    np.testing.assert_array_equal(sample_domain, voices.sample_domain)


def test_clips_may_be_changed_without_changing_the_others():
    first = load_voices()
    for clip in first.data[:2]:
        clip[:] = 0
    assert all(clip.any() for clip in load_voices().data[:2])


@pytest.mark.parametrize("sr", [0, -16000, float("nan"), float("inf"), "16000", None, True])
def test_nonsensical_sample_rates_are_refused(sr):
    with pytest.raises(ValueError, match=r"sr=.* is not (a sample rate|positive); give"):
        load_voices(sr=sr)


def test_the_shipped_files_stay_small():
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) <= 2_500_000


def test_the_telephone_is_hard_for_a_clean_model_and_learnable(voices):
    librosa = pytest.importorskip("librosa")
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = np.flatnonzero(voices.take == 0)
    mfcc = [
        librosa.feature.mfcc(y=voices.data[i], sr=16000, n_mfcc=20, n_fft=512, hop_length=160)
        for i in rows
    ]
    X = np.array([np.r_[m.mean(1), m.std(1)] for m in mfcc])
    y, source = voices.target[rows], voices.sample_domain[rows] >= 0
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    source_only = model.fit(X[source], y[source]).score(X[~source], y[~source])
    groups = voices.speaker[rows][~source]
    folds = GroupKFold(7)
    labelled = cross_val_score(model, X[~source], y[~source], groups=groups, cv=folds).mean()
    assert 0.3 < source_only < 0.7
    assert labelled > source_only + 0.15


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_the_script_reproduces_the_first_voice_of_each_domain(monkeypatch):
    spec = importlib.util.spec_from_file_location("make_voices", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    version = subprocess.run(["espeak-ng", "--version"], capture_output=True, text=True).stdout
    if f" {script.ESPEAK_VERSION} " not in version:
        pytest.skip(f"the data were made with espeak-ng {script.ESPEAK_VERSION}")
    monkeypatch.setattr(script, "VOICES", {k: v[:1] for k, v in script.VOICES.items()})
    for domain, step in script.STEP.items():
        samples, _ = script.make_domain(domain)
        shipped, _ = soundfile.read(SHIPPED / f"{domain}.flac", dtype="int16", stop=samples.size)
        # Other processors may round the filters' output to the neighbouring step.
        assert np.abs(shipped.astype(int) - samples).max() <= step
