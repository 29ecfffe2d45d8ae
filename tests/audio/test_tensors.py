"""Tensors are told from arrays, brought to numpy, and checked for NaN and infinity."""

import numpy as np
import pytest
import torch

from sktl.audio._tensors import all_finite, is_tensor, to_numpy, torch_dtype

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def test_only_tensors_are_tensors():
    assert is_tensor(torch.zeros(2))
    assert is_tensor(torch.nn.Parameter(torch.zeros(2)))
    assert not is_tensor(np.zeros(2))
    assert not is_tensor("a.wav")


@pytest.mark.parametrize("dtype", [*FLOATS, torch.int16])
def test_tensors_of_every_dtype_come_to_numpy(device, dtype):
    values = torch.tensor([0, 1], dtype=dtype, device=device)
    np.testing.assert_array_equal(to_numpy(values), [0, 1])


def test_the_rest_is_left_alone():
    values = [1, 2]
    assert to_numpy(values) is values


def test_dtypes_have_the_same_names():
    assert torch_dtype(np.dtype("float32")) is torch.float32
    assert torch_dtype(np.dtype(np.float64)) is torch.float64


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_one_bad_value_among_clips_is_found(device, dtype, bad):
    clips = [torch.ones(n, dtype=dtype, device=device) for n in (3, 1, 5)]
    assert all_finite(clips)
    for clip in clips:
        clip[-1] = bad
        assert not all_finite(clips)
        clip[-1] = 1
    clips[0][:2] = torch.tensor([float("inf"), float("-inf")])
    assert not all_finite(clips)


@pytest.mark.parametrize("dtype", FLOATS)
def test_large_values_are_finite(device, dtype):
    clip = torch.full((100,), torch.finfo(dtype).max, dtype=dtype, device=device)
    assert all_finite([clip, -clip])
