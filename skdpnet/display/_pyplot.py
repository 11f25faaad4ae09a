"""matplotlib, imported when something is drawn."""

from __future__ import annotations

from typing import Any

from skdpnet.utils.optional import import_optional

__all__ = ["pyplot"]


def pyplot() -> Any:
    """Return ``matplotlib.pyplot``.

    Raises
    ------
    skdpnet.exceptions.MissingPackageError
        If matplotlib is not installed.
    """
    return import_optional("matplotlib.pyplot", "drawing a figure", "matplotlib")
