"""Randomness is local: seeded inside, as it was outside, one thread at a time."""

import threading

import numpy as np
import pytest
import torch

from sktl._random import integer_seed, seed_torch, torch_seed


def test_an_integer_gives_the_same_seed_every_time():
    assert integer_seed(3) == integer_seed(3) != integer_seed(4)
    assert 0 <= integer_seed(3) < 2**31


def test_a_random_state_goes_on():
    state = np.random.RandomState(0)
    assert integer_seed(state) != integer_seed(state)
    assert integer_seed(np.random.RandomState(0)) == integer_seed(np.random.RandomState(0))


def test_none_takes_fresh_entropy():
    assert len({integer_seed(None) for _ in range(20)}) > 15


def test_what_is_no_random_state_is_refused():
    with pytest.raises(ValueError, match="cannot be used to seed"):
        integer_seed("seed")


def draw(seed, device="cpu"):
    with torch_seed(seed, device):
        return torch.rand(3, device=device)


def test_the_seed_decides_the_draws_inside(device):
    assert torch.equal(draw(1, device), draw(1, device))
    assert not torch.equal(draw(1, device), draw(2, device))


def test_the_generator_outside_is_put_back_also_after_an_error():
    before = torch.get_rng_state()
    draw(0)
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(TypeError), torch_seed(0):
        torch.rand("three")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_block_within_a_block_gives_back_the_outer_one():
    with torch_seed(1):
        first = torch.rand(3)
        draw(2)
        rest = torch.rand(3)
    with torch_seed(1):
        assert torch.equal(torch.rand(6), torch.cat([first, rest]))


def test_threads_do_not_draw_from_each_others_block():
    expected = {seed: [] for seed in range(6)}
    got = {seed: [] for seed in range(6)}

    def work(seed, results):
        with torch_seed(seed):
            for _ in range(50):
                results[seed].append(float(torch.rand(1)))

    for seed in expected:
        work(seed, expected)
    threads = [threading.Thread(target=work, args=(seed, got)) for seed in got]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == expected


@pytest.mark.global_state("seeds torch's generator on purpose")
def test_seeding_is_that_of_torch():
    seed_torch(7)
    ours = torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(torch.rand(3), ours)


@pytest.mark.gpu
@pytest.mark.parametrize("used", ["cpu", "cuda", "cuda:0"])
def test_generators_of_gpus_are_put_back(used):
    before = torch.cuda.get_rng_state_all()
    draw(0, used)
    after = torch.cuda.get_rng_state_all()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
