"""Files are decoded ahead of their use, in order, within bounds, and no thread is left."""

import subprocess
import sys
import threading
import time
from itertools import chain

import numpy as np
import pytest
import soundfile

from sktl.audio import _ahead
from sktl.audio._ahead import OVERHEAD, read_ahead
from sktl.audio._decode import Unreadable


class Decoder:
    """Stands for `decode`: paths are numbers of samples, or errors."""

    def __init__(self, delays=(0.0,)):
        self.delays = delays
        self.begun = []

    def __call__(self, path, sr, samples=None):
        self.begun.append(path)
        time.sleep(self.delays[len(self.begun) % len(self.delays)])
        if isinstance(path, Exception):
            raise path
        return np.full(path, path, dtype=np.float32)

    def settled(self):
        """Number of files begun, once no more are."""
        seen = -1
        while seen != len(self.begun):
            seen = len(self.begun)
            time.sleep(0.2)
        return seen


@pytest.fixture
def decoder(monkeypatch):
    made = Decoder()
    monkeypatch.setattr(_ahead, "decode", made)
    monkeypatch.setattr(_ahead, "FILES_WORTH_COMPILING", np.inf)
    return made


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("budget", [0, 300, 3000, 10**7])
def test_waveforms_come_in_order(decoder, n_threads, budget):
    decoder.delays = (0.0, 0.003, 0.001)
    paths = list(range(1, 60))
    found = chain(*read_ahead(paths, 16000, n_threads, budget))
    assert [len(waveform) for waveform in found] == paths
    assert sorted(decoder.begun) == paths


@pytest.mark.parametrize("seed", range(8))
def test_slow_and_long_files_among_short_ones_hold_nothing_up_for_ever(decoder, seed):
    rng = np.random.default_rng(seed)
    decoder.delays = rng.choice([0.0, 0.0, 0.0, 1e-4, 3e-3], size=97)
    paths = rng.choice([1, 20, 300, 5000], size=400, p=[0.4, 0.4, 0.15, 0.05]).tolist()
    found = chain(*read_ahead(paths, 16000, 1 + seed % 4, budget=10 ** (3 + seed % 3)))
    assert [len(waveform) for waveform in found] == paths


def test_nothing_is_decoded_before_the_first_use(decoder):
    waveforms = read_ahead([5, 6], 16000, 2, 1000)
    assert decoder.settled() == 0
    waveforms.close()


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("length", [500, 10_000, 100_000])
def test_what_waits_is_bounded_by_samples(decoder, n_threads, length):
    budget, cost = 50_000, length + OVERHEAD
    waveforms = read_ahead([length] * 2000, 16000, n_threads, budget)
    n_used = 0
    for turn in range(30):
        n_used += len(next(waveforms))
        if turn % 10 == 1:
            n_samples = (decoder.settled() - n_used) * cost
            assert n_samples <= budget + n_threads * (budget + cost) + cost
            assert n_samples >= min(cost, budget / 4)
    waveforms.close()


@pytest.mark.parametrize("n_threads", [1, 2])
def test_of_files_longer_than_the_budget_one_per_thread_waits(decoder, n_threads):
    waveforms = read_ahead([100_000] * 64, 16000, n_threads, 10_000)
    n_used = 0
    for _ in range(4):
        n_used += len(next(waveforms))
        assert n_threads <= decoder.settled() - n_used <= n_threads + 1
    waveforms.close()


def test_decoding_goes_on_while_the_consumer_works(decoder):
    waveforms = read_ahead([10] * 50, 16000, 1, 10**6)
    next(waveforms)
    assert decoder.settled() == 50
    waveforms.close()


def test_unreadable_files_say_why(decoder):
    found = list(chain(*read_ahead([3, Unreadable("torn"), 4], 16000, 1, 1000)))
    assert [len(found[0]), found[1], len(found[2])] == [3, "torn", 4]


@pytest.mark.parametrize("error", [RuntimeError("bug"), MemoryError()])
def test_an_unforeseen_error_reaches_the_consumer_and_ends_the_threads(decoder, error):
    before = threading.active_count()
    with pytest.raises(type(error)):
        list(read_ahead([3] * 20 + [error] + [4] * 500, 16000, 2, 1000))
    assert threading.active_count() == before
    assert len(decoder.begun) < 500


@pytest.mark.parametrize("n_threads", [1, 4])
def test_stopping_early_begins_no_more_files_and_leaves_no_thread(decoder, n_threads):
    before = threading.active_count()
    decoder.delays = (0.01,)
    waveforms = read_ahead([10] * 1000, 16000, n_threads, 10**6)
    next(waveforms)
    waveforms.close()
    assert threading.active_count() == before
    assert len(decoder.begun) < 200


PROGRAM = """
import sys
from sktl.audio._ahead import read_ahead
waveforms = read_ahead(sys.argv[1:] * 300, 16000, 2, 1000)
print(len(next(waveforms)[0]))
"""


def test_a_program_ends_although_it_keeps_an_unfinished_generator(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(800), 16000)
    command = [sys.executable, "-c", PROGRAM, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "800\n"
    assert done.stderr == ""


def test_no_files_give_no_waveforms(decoder):
    assert list(read_ahead([], 16000, 2, 1000)) == []
