"""Checks that several folders share."""

import pytest
import torch

from sktl._validation import check_sr, resolve_device


@pytest.mark.parametrize("sr", [8000, 22050.0])
def test_sample_rate_is_returned_as_given(sr):
    assert check_sr(sr) == sr


def test_auto_is_cuda_where_there_is_one():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert resolve_device("auto").type == expected


def test_device_objects_pass():
    assert resolve_device(torch.device("cpu")) == torch.device("cpu")


def test_unknown_device_is_refused():
    with pytest.raises(ValueError, match="device='gpu' is not a device; give 'auto', 'cpu'"):
        resolve_device("gpu")


def test_absent_cuda_device_is_refused():
    with pytest.raises(ValueError, match=r"device='cuda:63' but torch sees \d+ CUDA devices"):
        resolve_device("cuda:63")
