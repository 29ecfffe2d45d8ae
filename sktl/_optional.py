"""Optional dependencies: imported where used, and missed by name."""

from importlib import import_module
from types import ModuleType

__all__ = ["import_optional"]


def import_optional(module: str, extra: str, purpose: str) -> ModuleType:
    """Import `module` or say which extra of sktl brings it."""
    try:
        return import_module(module)
    except (ImportError, OSError, RuntimeError) as error:  # the latter: compiled for another torch
        raise ImportError(
            f"{purpose} needs {module.partition('.')[0]!r}, which is not installed or "
            f"does not load here ({error}). Install it with: pip install 'sktl[{extra}]'."
        ) from error
