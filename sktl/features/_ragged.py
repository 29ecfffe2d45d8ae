"""Results of clips that differ in length."""

from collections.abc import Callable
from threading import get_ident
from typing import Any

__all__ = ["RaggedResults"]


class RaggedResults(list[Any]):
    """A result for each clip, None as long as there is none, and memory for those to come.

    Memory is allocated by the thread that makes this, a little ahead of what it works on itself:
    what that thread gives back is used again, what others give back is lost to the system and
    has to be cleared by it the next time.

    Parameters
    ----------
    counts : list of int
        Frames of each clip.
    allocate : callable
        From a list of counts to as many arrays or tensors.
    ahead : int
        Results for which there is memory before they are worked on.
    """

    def __init__(
        self, counts: list[int], allocate: Callable[[list[int]], list[Any]], ahead: int
    ) -> None:
        super().__init__([None] * len(counts))
        self._counts, self._allocate, self._ahead = counts, allocate, ahead
        self._owner = get_ident()
        self._allocated: list[Any] = []
        self._grow(ahead)

    def room(self, first: int, n_clips: int) -> list[Any]:
        """Arrays or tensors to be filled for clips from number `first` on."""
        stop = first + n_clips
        if get_ident() == self._owner:
            self._grow(stop + self._ahead)
        found = self._allocated[first:stop]
        return found + self._allocate(self._counts[first + len(found) : stop])

    def _grow(self, stop: int) -> None:
        self._allocated += self._allocate(self._counts[len(self._allocated) : stop])
