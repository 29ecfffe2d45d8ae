"""How far a long computation has come."""

from types import TracebackType
from typing import Self

from tqdm import tqdm

__all__ = ["Progress"]


class Progress:
    """Bar of rows done, with seconds of audio per second, on stderr; nothing at verbosity 0.

    Parameters
    ----------
    total : int
        Rows.
    verbose : int or bool
        Whether there is a bar.
    """

    def __init__(self, total: int, verbose: int | bool) -> None:
        # A disabled bar would start tqdm's thread as well.
        self._bar = tqdm(total=total, unit="row", dynamic_ncols=True) if verbose else None
        self._seconds = 0.0

    def add(self, n_rows: int, seconds: float = 0.0) -> None:
        """Count rows, of so many seconds of audio together."""
        if self._bar is None:
            return
        self._seconds += seconds
        elapsed = self._bar.format_dict["elapsed"]
        if self._seconds and elapsed:
            rate = f"{self._seconds / elapsed:.3g} s of audio/s"
            self._bar.set_postfix_str(rate, refresh=False)
        self._bar.update(n_rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
