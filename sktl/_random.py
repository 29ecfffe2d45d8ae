"""Local randomness: the global generators are left as they were found."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = ["integer_seed", "seed_torch", "torch_seed"]

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


def seed_torch(seed: int, device: "torch.device | str" = "cpu") -> None:
    """Seed the CPU's generator and that of `device`; `torch.manual_seed` seeds every GPU's."""
    import torch

    torch.default_generator.manual_seed(seed)
    device = torch.device(device)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


@contextmanager
def torch_seed(seed: int, device: "torch.device | str" = "cpu") -> Iterator[None]:
    """Seed torch inside the block, alone among threads, and restore it afterwards."""
    import torch

    device = torch.device(device)
    with _LOCK, torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        seed_torch(seed, device)
        yield
