"""bf16 where it is asked for, or where the device is made for it."""

import numpy as np
import pytest
import torch

from sktl import PretrainedEmbedding
from sktl.datasets import load_voices
from sktl.embedding._precision import autocast_dtype


def test_auto_precision_is_full_on_the_cpu_and_for_float64():
    cpu = torch.device("cpu")
    assert autocast_dtype("auto", cpu, torch.float32) is None
    assert autocast_dtype("32", cpu, torch.float32) is None
    assert autocast_dtype("bf16", cpu, torch.float32) is torch.bfloat16
    assert autocast_dtype("auto", torch.device("cuda"), torch.float64) is None


@pytest.mark.gpu
def test_auto_precision_is_bf16_on_a_gpu_that_has_it():
    expected = torch.bfloat16 if torch.cuda.is_bf16_supported() else None
    assert autocast_dtype("auto", torch.device("cuda"), torch.float32) is expected


@pytest.fixture
def clips():
    return load_voices().data[:420:42]


@pytest.mark.parametrize(
    "parameters",
    [{}, {"layers": [3, 6], "pooling": "mean_std"}, {"layers": 3, "pooling": "max"}],
    ids=str,
)
def test_an_embedding_in_bf16_is_float32_and_close(clips, parameters):
    full, auto, half = (
        PretrainedEmbedding(precision=precision, **parameters).fit_transform(clips)
        for precision in ("32", "auto", "bf16")
    )
    assert half.dtype == np.float32
    if not torch.cuda.is_available():
        np.testing.assert_array_equal(auto, full)
    assert not np.array_equal(half, full)
    assert np.corrcoef(half.ravel(), full.ravel())[0, 1] > 0.999


def test_frames_in_bf16_keep_their_times(clips):
    parameters = {"layers": 6, "pooling": None, "output": "frames"}
    full, half = (
        PretrainedEmbedding(precision=precision, **parameters).fit_transform(clips)
        for precision in ("32", "bf16")
    )
    for one, other in zip(full, half, strict=True):
        np.testing.assert_array_equal(one.times, other.times)


def test_a_mean_over_many_units_loses_no_digits_in_bf16():
    clip = (0.1 * np.random.default_rng(0).normal(size=16000 * 60)).astype(np.float32)
    full, half = (
        PretrainedEmbedding(layers=6, precision=precision).fit_transform([clip])
        for precision in ("32", "bf16")
    )
    assert np.median(np.abs(half - full) / np.abs(full)) < 0.01


def test_another_precision_is_refused(clips):
    with pytest.raises(ValueError, match="'precision' parameter of PretrainedEmbedding"):
        PretrainedEmbedding(precision="16").fit(clips)
