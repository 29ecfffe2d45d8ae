"""Checks that several folders share."""

import joblib
import numpy as np
import pytest
import torch

import sktl._validation as validation
from sktl._validation import check_sr, count_threads, resolve_device


@pytest.mark.parametrize("sr", [16000, 8000.5, np.int64(44100), np.float32(22050)])
def test_sample_rates_are_let_through(sr):
    assert check_sr(sr) == sr


@pytest.mark.parametrize(
    ("sr", "message"),
    [
        (None, "sr=None is not a sample rate; give the rate of the clips in Hz, e.g. sr=16000"),
        ("16k", "sr='16k' is not a sample rate"),
        (True, "sr=True is not a sample rate"),
        (np.nan, "sr=nan is not a sample rate"),
        (np.inf, "sr=inf is not a sample rate"),
        ([16000], r"sr=\[16000\] is not a sample rate"),
        (0, "sr=0 is not positive"),
        (-16000, "sr=-16000 is not positive"),
        (16, r"sr=16 Hz is too low for audio; .* did you mean sr=16000\?"),
        (44.1, r"did you mean sr=44100\?"),
        (10**9, "sr=1000000000 Hz is beyond any recording"),
    ],
)
def test_what_is_no_sample_rate_is_refused(sr, message):
    with pytest.raises(ValueError, match="^.*" + message):
        check_sr(sr)


def test_threads_are_counted_as_joblib_counts_them():
    assert [count_threads(n_jobs) for n_jobs in (None, 1, np.int64(3))] == [1, 1, 3]
    assert count_threads(-1) == joblib.cpu_count()
    assert count_threads(-10_000) == 1
    with joblib.parallel_config(n_jobs=2):
        assert count_threads(None) == 2


def test_threads_are_those_of_this_machine_and_not_of_a_cluster(monkeypatch):
    class Cluster(joblib.parallel.ThreadingBackend):
        def effective_n_jobs(self, n_jobs):
            return 1000

    monkeypatch.setitem(joblib.parallel.BACKENDS, "cluster", Cluster)
    with joblib.parallel_config(backend="cluster"):
        assert count_threads(None) == 1
        assert count_threads(3) == 3
    for n_jobs, expected in ((2, 2), (-1, joblib.cpu_count())):
        with joblib.parallel_config(backend="cluster", n_jobs=n_jobs):
            assert count_threads(None) == expected


@pytest.mark.parametrize("n_jobs", [0, 1.5, "2"])
def test_what_is_no_number_of_threads_is_refused(n_jobs):
    with pytest.raises(ValueError, match=f"n_jobs={n_jobs!r} is no number of threads; give 1 or"):
        count_threads(n_jobs)


def test_auto_takes_a_gpu_where_there_is_one():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert resolve_device("auto").type == expected
    assert resolve_device("cpu") == resolve_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.gpu
def test_a_gpu_is_taken_by_name():
    assert resolve_device("cuda").type == "cuda"
    assert resolve_device("cuda:0").index == 0


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("tpu9", "device='tpu9' is not a device; give 'auto', 'cpu', 'cuda' or 'cuda:<index>'"),
        (None, "device=None is not a device"),
        (3.5, "device=3.5 is not a device"),
        ("cuda:99", r"device='cuda:99' but torch sees \d+ CUDA devices; give device='auto'"),
        ("xla", "device='xla' cannot be used here"),
    ],
)
def test_what_is_no_device_here_is_refused(device, message):
    with pytest.raises(ValueError, match=message):
        resolve_device(device)


def test_every_name_is_there():
    assert all(hasattr(validation, name) for name in validation.__all__)
