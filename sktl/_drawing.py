"""What every display sees to before it draws."""

from typing import Any

from ._optional import import_optional

__all__ = ["axes_of", "check_axes"]


def check_axes(ax: Any, name: str) -> None:
    """See that matplotlib is there and that `ax` is something to draw on, or None."""
    axes = import_optional("matplotlib.axes", "plot", name)
    if ax is not None and not isinstance(ax, axes.Axes):
        raise TypeError(
            f"ax={ax!r} is not matplotlib Axes; give one, such as plt.gca(), or None for a new "
            "figure."
        )


def axes_of(ax: Any, name: str, **options: Any) -> Any:
    """Return `ax`, or the axes of a new figure for None."""
    check_axes(ax, name)
    if ax is None:
        _, ax = import_optional("matplotlib.pyplot", "plot", name).subplots(**options)
    return ax
