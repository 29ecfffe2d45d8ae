import pytest
import torch

from sktl.losses._checks import check_matrix, check_pair


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_full_precision_passes_as_it_is(dtype):
    value = torch.zeros(3, 2, dtype=dtype)
    assert check_matrix("value", value) is value


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_single(dtype):
    assert check_matrix("value", torch.zeros(3, 2, dtype=dtype)).dtype == torch.float32


@pytest.mark.parametrize("shape", [(3,), (0, 2), (3, 0), (2, 3, 4)])
def test_what_is_no_matrix_is_named_with_its_shape(shape):
    with pytest.raises(ValueError, match=r"embedding has shape \("):
        check_matrix("embedding", torch.zeros(shape))


def test_a_pair_has_the_same_columns():
    check_pair(torch.zeros(3, 2), torch.zeros(5, 2))
    with pytest.raises(ValueError, match="source has 2 columns but target has 3"):
        check_pair(torch.zeros(3, 2), torch.zeros(3, 3))
