"""Learning rates in the course of training, as factors of the rate given."""

import math
from collections.abc import Callable

__all__ = ["RATE_SCHEDULES", "rate_factor"]

# Smith and Topin's cycle with the shape of torch.optim.lr_scheduler.OneCycleLR.
RISING = 0.3
FIRST, LAST = 1 / 25, 1 / 25e4


def rate_factor(schedule: str, step: int, n_steps: int, n_warmup: int = 0) -> float:
    """Factor of the learning rate at one of `n_steps` steps.

    Parameters
    ----------
    schedule : {"constant", "cosine", "one_cycle"}
    step : int
        From 0 on.
    n_steps : int
        Of the whole training.
    n_warmup : int, default=0
        Steps in which the rate rises in a straight line, before the schedule begins.

    Returns
    -------
    float
        In (0, 1].
    """
    if step < n_warmup:
        return (step + 1) / n_warmup
    # A net that is trained for longer than was planned keeps its last rate.
    progress = (min(step, n_steps - 1) - n_warmup) / max(1, n_steps - n_warmup)
    return RATE_SCHEDULES[schedule](progress)


def _cosine(progress: float) -> float:
    """Half a cosine: Loshchilov and Hutter, 2017, equation 5, without restarts."""
    return (1.0 + math.cos(math.pi * progress)) / 2


def _one_cycle(progress: float) -> float:
    """Up, then further down (Smith and Topin, 2019)."""
    if progress < RISING:
        return 1.0 - (1.0 - FIRST) * _cosine(progress / RISING)
    return LAST + (1.0 - LAST) * _cosine((progress - RISING) / (1 - RISING))


RATE_SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    "cosine": _cosine,
    "one_cycle": _one_cycle,
}
