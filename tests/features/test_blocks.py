"""Blocks agree in what they are given, and warn once of what they share."""

import warnings

import numpy as np
import pytest
import soundfile

from sktl.features import LPC, MFCC, FeatureFusion
from sktl.features._blocks import run_blocks

TWO_RATES = [("low", MFCC(sr=8000)), ("high", LPC(sr=16000)), ("also_low", LPC(sr=8000.0))]


@pytest.fixture
def paths(tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{index}.wav" for index in range(3)]
    for path in paths:
        soundfile.write(path, rng.uniform(-0.5, 0.5, 4000), 8000)
    return paths


@pytest.mark.parametrize("X", [np.zeros((2, 4000)), [np.zeros(4000), np.zeros(3000)]])
def test_blocks_of_two_rates_are_refused_for_arrays(X, paths):
    message = r"block 'low' has sr=8000 but block 'high' has sr=16000, and clips given as arrays"
    with pytest.raises(ValueError, match=message):
        FeatureFusion(TWO_RATES).fit(X)
    fitted = FeatureFusion(TWO_RATES).fit(paths)
    with pytest.raises(ValueError, match=message):
        fitted.transform(X)
    FeatureFusion([TWO_RATES[0], TWO_RATES[2]]).fit(X)


def test_files_are_read_at_the_rate_of_each_block(paths):
    rows = FeatureFusion(TWO_RATES, scale=None).fit_transform([str(path) for path in paths])
    blocks = [block.fit_transform(paths) for _, block in TWO_RATES]
    np.testing.assert_array_equal(rows, np.concatenate(blocks, axis=1))


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("action", ["always", "default", "once"])
def test_an_unreadable_file_is_warned_of_once_per_transform(paths, n_jobs, action):
    paths[1].write_text("not audio")
    blocks = [("mfcc", MFCC(on_error="nan")), ("lpc", LPC(on_error="nan"))]
    fusion = FeatureFusion(blocks, n_jobs=n_jobs)
    for method in (fusion.fit_transform, fusion.transform):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter(action)
            rows = method(paths)
        assert [str(w.message)[:36] for w in caught] == ["1 of 3 audio files cannot be read; t"]
        assert np.isnan(rows).all(axis=1).tolist() == [False, True, False]


def test_warnings_are_filtered_as_the_caller_says():
    def warn(text):
        warnings.warn(text, UserWarning, stacklevel=1)
        return text

    with pytest.warns(UserWarning, match="one|two") as caught:
        assert run_blocks(warn, [("one",), ("two",), ("one",)], None) == ["one", "two", "one"]
    assert [str(w.message) for w in caught] == ["one", "two"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="one"):
            run_blocks(warn, [("one",), ("two",)], None)
        warnings.simplefilter("ignore")
        run_blocks(warn, [("one",), ("two",)], None)


def test_zero_threads_are_refused():
    fusion = FeatureFusion(n_jobs=0)
    with pytest.raises(ValueError, match="n_jobs=0 is no number of threads"):
        fusion.fit(np.zeros((2, 4000)))
    fusion.set_params(n_jobs=1).fit(np.zeros((2, 4000)))
    with pytest.raises(ValueError, match="n_jobs=0 is no number of threads"):
        fusion.set_params(n_jobs=0).transform(np.zeros((2, 4000)))
