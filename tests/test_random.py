from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from sktl._random import integer_seed, torch_seed


def test_an_int_gives_the_same_seed_every_time():
    assert integer_seed(3) == integer_seed(3) != integer_seed(4)


def test_a_random_state_moves_on():
    random_state = np.random.RandomState(0)
    assert integer_seed(random_state) != integer_seed(random_state)


def test_none_takes_fresh_entropy():
    assert len({integer_seed(None) for _ in range(5)}) == 5


def test_torch_draws_the_same_inside_and_is_restored_after(device):
    before = torch.get_rng_state()
    draws = []
    for _ in range(2):
        with torch_seed(0, device):
            draws.append(torch.rand(3, device=device))
    assert torch.equal(*draws)
    assert torch.equal(torch.get_rng_state(), before)


def test_torch_is_restored_after_an_error():
    before = torch.get_rng_state()

    def draw_and_fail():
        with torch_seed(0):
            torch.rand(1)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        draw_and_fail()
    assert torch.equal(torch.get_rng_state(), before)


def test_threads_do_not_reseed_each_other():
    def draw(seed):
        with torch_seed(seed):
            return torch.cat([torch.rand(1) for _ in range(200)])

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(draw, range(8)))
    assert all(torch.equal(draw(seed), values) for seed, values in enumerate(together))
