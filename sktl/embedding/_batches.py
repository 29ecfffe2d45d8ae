"""How much goes through a network at once, and less of it once memory ran out."""

import math
import threading
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..backbones import Ragged

__all__ = ["ROW_MULTIPLE", "BatchSize", "BatchSizes", "is_out_of_memory", "pad_rows"]

# A row of an array counts as one second.
SECONDS_AT_ONCE = {"cpu": 64.0, "cuda": 256.0}
# Of the seconds: fewer units differ less in length, so that less is padding.
MIXED_SHARE = 0.25
# A matrix product or convolution over another number of rows may round differently.
ROW_MULTIPLE = 16
# What torch, cuDNN, cuBLAS and allocators say in errors of no class of their own.
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "status_alloc_failed",
)


class BatchSize:
    """How much audio a network is given at once; halved when memory runs out.

    Several threads may use one; what fits becomes less for all of them, never more.

    Parameters
    ----------
    seconds : float, default=64.0
        To begin with, but at least 16 units.
    """

    def __init__(self, seconds: float = SECONDS_AT_ONCE["cpu"]) -> None:
        self.seconds = seconds
        # Known once memory ran out; numbers in a tensor, as durations differ by clip.
        self._most_samples: int | None = None
        self._most_values: int | None = None
        self._warned = False
        self._lock = threading.Lock()

    def map_clips(
        self, function: Callable[[list[Tensor]], list[Any]], clips: list[Tensor], sr: float
    ) -> list[Any]:
        """Results of a `function` that returns one for each of a list of clips."""
        made: list[Any] = []
        while len(made) < len(clips):
            part = self._first(clips[len(made) :], sr)
            result, problem = _attempt(function, part)
            if problem:
                n_samples = sum(map(len, part))
                self._run_out(len(part), n_samples / sr, problem)
                self._most_samples = _less(n_samples // 2, self._most_samples)
            else:
                made += result
        return made

    def _first(self, clips: list[Tensor], sr: float) -> list[Tensor]:
        """As many as there is room for, at least one."""
        most = int(self.seconds * sr) if self._most_samples is None else self._most_samples
        n_samples = 0
        for count, clip in enumerate(clips):
            n_samples += len(clip)
            if count and n_samples > most:
                return clips[:count]
        return clips

    def map_units(
        self,
        function: Callable[[Tensor], Tensor],
        units: Tensor,
        seconds: float = 1.0,
        *,
        multiple: int = ROW_MULTIPLE,
        most: int | None = None,
    ) -> Tensor:
        """`function` of units of one shape, each of so many `seconds`, `most` of them at once.

        A unit's result does not depend on how many there are, while there is memory for
        `multiple` of them.
        """
        n_values = max(1, math.prod(units.shape[1:]))
        made: list[Tensor] = []
        n_made = 0
        while n_made < len(units) or not made:
            size = self._count(seconds, n_values, multiple, most)
            part = units[n_made : n_made + size]
            padded = pad_rows(part, min(size, multiple))
            result, problem = _attempt(function, padded)
            if problem:
                self._run_out(len(padded), len(padded) * seconds, problem)
                self._most_values = _less(len(padded) // 2 * n_values, self._most_values)
            else:
                made.append(result[: len(part)])
                n_made += len(part)
        return torch.cat(made)

    def map_ragged(
        self, function: Callable[[Ragged], Tensor], units: Ragged, seconds: float
    ) -> Tensor:
        """`function` of units of several shapes, one at least, those of like length at once.

        Each value of a unit stands for so many `seconds`.
        """
        alone = units.one_by_one()
        order = sorted(range(len(alone)), key=lambda i: alone[i].numel())
        made: list[Tensor] = []
        n_made = 0
        while n_made < len(order):
            sizes = [alone[i].numel() for i in order[n_made:]]
            count = self._count_alike(sizes, int(self.seconds * MIXED_SHARE / seconds))
            part = order[n_made : n_made + count]
            result, problem = _attempt(function, Ragged.concat([alone[i] for i in part]))
            if problem:
                longest = sizes[count - 1]
                self._run_out(count, count * longest * seconds, problem)
                self._most_values = _less(count // 2 * longest, self._most_values)
            else:
                made.append(result)
                n_made += count
        place = torch.tensor(order).argsort()
        return torch.cat(made).index_select(0, place.to(made[0].device))

    def _count_alike(self, sizes: list[int], most: int) -> int:
        """How many units of ascending size fit, each as large as the largest of them."""
        most = _less(most, self._most_values)
        for count, size in enumerate(sizes):
            if count and (count + 1) * size > most:
                return count
        return len(sizes)

    def _count(self, seconds: float, n_values: int, multiple: int, most: int | None) -> int:
        count = max(multiple, int(self.seconds / seconds) if seconds else 0)
        if most is not None:
            count = min(count, most)
        if self._most_values is not None:
            count = max(1, min(count, self._most_values // n_values))
        return count - count % multiple if count > multiple else count

    def _run_out(self, n_tried: int, seconds: float, problem: str) -> None:
        if n_tried == 1:
            raise MemoryError(
                f"Memory ran out on {seconds:.3g} s of audio (or one row of an array) alone: "
                f"{problem}. Give shorter clips, another device, or precision='bf16'."
            )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        with self._lock:
            is_first, self._warned = not self._warned, True
        if is_first:
            warnings.warn(
                f"Memory ran out on {seconds:.3g} s of audio (or rows of an array) at once "
                f"({problem}); from now on half of that goes through the network, or less.",
                UserWarning,
                stacklevel=2,
            )


class BatchSizes:
    """What fits on each device; forgotten in a pickle, which may go to another machine."""

    def __init__(self) -> None:
        self._by_device: dict[str, BatchSize] = {}

    def on(self, device: torch.device) -> BatchSize:
        """The one of this device, in this process."""
        seconds = SECONDS_AT_ONCE.get(device.type, SECONDS_AT_ONCE["cpu"])
        return self._by_device.setdefault(str(device), BatchSize(seconds))

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(self), ()


def pad_rows(values: Tensor, multiple: int = ROW_MULTIPLE) -> Tensor:
    """Append zero rows until their number is a multiple of `multiple`, but not zero."""
    missing = max(-len(values) % multiple, multiple - len(values))
    if not missing:
        return values
    return torch.cat([values, values.new_zeros(missing, *values.shape[1:])])


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or elsewhere."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    message = str(error).lower()
    return isinstance(error, RuntimeError) and any(text in message for text in _OUT_OF_MEMORY)


def _less(count: int, most: int | None) -> int:
    return count if most is None else min(count, most)


def _attempt(function: Callable[[Any], Any], values: Any) -> tuple[Any, str]:
    """Result, or what ran out; the error itself would keep what was allocated alive."""
    try:
        return function(values), ""
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return None, str(error).partition("\n")[0] or type(error).__name__
