import numpy as np
import pytest

from sktl._domains import check_sample_domain, is_source


def test_without_domains_every_row_is_source():
    assert is_source(check_sample_domain(None, 3)).all()


def test_zero_and_above_is_source_and_below_is_target():
    domain = check_sample_domain([0, 2, -1, -3], 4)
    assert is_source(domain).tolist() == [True, True, False, False]


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32, bool])
def test_whole_numbers_of_any_type_become_int64(dtype):
    domain = check_sample_domain(np.array([1, 0], dtype=dtype), 2)
    assert domain.dtype == np.int64
    assert domain.tolist() == [1, 0]


@pytest.mark.parametrize("domain", [[1, -1], [[1], [-1], [1]], 1])
def test_wrong_length_or_shape_names_both_sizes(domain):
    shape = np.shape(domain)
    with pytest.raises(ValueError, match=f"shape \\({', '.join(map(str, shape))}.* X has 3 rows"):
        check_sample_domain(domain, 3)


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf])
def test_fractions_are_refused_by_value(value):
    with pytest.raises(ValueError, match=f"holds {value}, which is not a whole number"):
        check_sample_domain([1.0, value], 2)


def test_strings_are_refused_by_type():
    with pytest.raises(ValueError, match="sample_domain has dtype <U6; give integers"):
        check_sample_domain(["source", "target"], 2)


def test_all_target_is_refused_only_on_request():
    domain = check_sample_domain([-1, -2], 2)
    assert not is_source(domain).any()
    with pytest.raises(ValueError, match="all 2 rows as target"):
        is_source(domain, allow_all_target=False)
