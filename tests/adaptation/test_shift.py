"""Recordings over another channel."""

import numpy as np
import pytest
import soundfile
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sktl import MFCC
from sktl.adaptation import DomainShift
from sktl.exceptions import AudioReadError


@pytest.fixture
def clips():
    generator = np.random.default_rng(0)
    return [(0.1 * generator.normal(size=n)).astype(np.float32) for n in (4000, 1, 16000, 300)]


ALL = {"room": 0.3, "snr": 10.0, "gain": (-20.0, 0.0), "codec": "gsm"}


def test_lengths_stay_and_clips_of_any_length_are_taken(clips):
    found = DomainShift(**ALL, random_state=0).fit_transform(clips)
    assert found.dtype == object
    assert [len(clip) for clip in found] == [len(clip) for clip in clips]
    assert {clip.dtype for clip in found} == {np.dtype(np.float32)}


def test_the_same_clip_comes_out_the_same_wherever_it_stands(clips):
    shift = DomainShift(**ALL, random_state=0).fit(clips)
    whole, part = shift.transform(clips), shift.transform(clips[2:3])
    np.testing.assert_array_equal(whole[2], part[0])
    again = DomainShift(**ALL, random_state=0).fit_transform(clips)
    np.testing.assert_array_equal(whole[0], again[0])
    other = DomainShift(**ALL, random_state=1).fit_transform(clips)
    assert not np.array_equal(whole[0], other[0])


def test_arrays_lists_and_files_come_out_alike(tmp_path):
    rows = (0.1 * np.random.default_rng(0).normal(size=(3, 2000))).astype(np.float32)
    paths = [tmp_path / f"{i}.wav" for i in range(3)]
    for path, row in zip(paths, rows, strict=True):
        soundfile.write(path, row, 16000, subtype="FLOAT")
    shift = DomainShift(snr=5.0, random_state=0).fit(rows)
    expected = shift.transform(rows)
    assert expected.shape == (3, 2000)
    for given in (list(rows), paths):
        np.testing.assert_array_equal(np.stack(shift.transform(given)), expected)


def test_nothing_asked_for_is_nothing_done(clips):
    found = DomainShift(band=None).fit_transform(clips)
    for clip, given in zip(found, clips, strict=True):
        np.testing.assert_array_equal(clip, given)


def test_gains_are_in_decibels_and_drawn_between_limits(clips):
    halved = DomainShift(band=None, gain=-6.0206).fit_transform(clips)
    np.testing.assert_allclose(halved[0], clips[0] / 2, rtol=1e-4)
    drawn = DomainShift(band=None, gain=(-20.0, 0.0), random_state=0).fit_transform(clips)
    ratios = [np.abs(a).max() / np.abs(b).max() for a, b in zip(drawn, clips, strict=True)]
    assert 0.1 <= min(ratios) < max(ratios) <= 1
    assert len(set(ratios)) == 4


def test_a_room_is_one_for_all_clips_and_may_be_measured(clips):
    response = np.array([1.0, 0.0, 0.5])
    found = DomainShift(band=None, room=response).fit_transform(clips[:1])
    expected = np.convolve(clips[0], response)[:4000]
    expected *= np.linalg.norm(clips[0]) / np.linalg.norm(expected)
    np.testing.assert_allclose(found[0], expected, atol=1e-6)
    shift = DomainShift(band=None, room=0.5, random_state=0).fit(clips)
    assert shift.response_.shape == (8000,)


def test_the_global_generator_is_left_as_it_was(clips):
    DomainShift(snr=0.0, room=0.2).fit_transform(clips)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"band": (300, 9000)}, r"band=\(300, 9000\) with sr=16000; give two frequencies in Hz"),
        ({"band": (500, 300)}, r"band=\(500, 300\)"),
        ({"band": "radio"}, "'band' parameter"),
        ({"sr": 4000}, "band='telephone' with sr=4000"),
        ({"codec": "opus"}, "'codec' parameter"),
        ({"gain": (0.0, -3.0)}, r"gain=\(0.0, -3.0\); give dB"),
        ({"room": 0.0}, "'room' parameter"),
        ({"room": [[1.0]]}, r"room has shape \(1, 1\); give one mono waveform"),
        ({"noise": np.zeros(5)}, r"noise has shape \(5,\)"),
        ({"noise": "brown"}, "'noise' parameter"),
        ({"snr": "high"}, "'snr' parameter"),
        ({"snr": np.nan}, "'snr' parameter"),
        ({"gain": np.inf}, "gain=inf; give dB"),
    ],
)
def test_what_is_no_channel_is_refused(clips, parameters, message):
    with pytest.raises(ValueError, match=message):
        DomainShift(**parameters).fit(clips)


def test_what_is_no_clip_is_refused_by_name(clips, tmp_path):
    shift = DomainShift().fit(clips)
    with pytest.raises(AudioReadError, match=r"missing\.wav"):
        shift.transform([tmp_path / "missing.wav"])
    with pytest.raises(ValueError, match=r"NaN|finite"):
        shift.transform([np.array([0.1, np.nan], np.float32)])


def test_it_stands_in_a_pipeline(clips):
    pipe = make_pipeline(DomainShift(), MFCC(), LogisticRegression(max_iter=2000))
    assert pipe.fit(clips, [0, 1, 0, 1]).predict(clips).shape == (4,)
