"""Local randomness: the global generators are left as they were found."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = ["integer_seed", "torch_seed"]

# torch's generators belong to the process: two fits in threads would reseed each other.
_LOCK = threading.RLock()


def integer_seed(random_state: Any) -> int:
    """Turn scikit-learn's `random_state` into one integer seed.

    None takes fresh entropy from the system instead of numpy's global generator.
    """
    if random_state is None:
        return int(np.random.default_rng().integers(2**31 - 1))
    from sklearn.utils import check_random_state

    return int(check_random_state(random_state).randint(2**31 - 1))


@contextmanager
def torch_seed(seed: int, device: "torch.device | str" = "cpu") -> Iterator[None]:
    """Seed torch inside the block, alone among threads, and restore it afterwards."""
    import torch

    device = torch.device(device)
    index = device.index or 0
    devices = [index] if device.type == "cuda" else []
    with _LOCK, torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
