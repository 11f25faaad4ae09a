"""Reading and checking images, and mapping boxes back to their pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skdpnet.exceptions import ImageError

if TYPE_CHECKING:
    from skdpnet.images.inputs import network_inputs

__all__ = ["ImageError", "network_inputs"]


def __getattr__(name: str) -> Any:
    # It needs NumPy and torch, which would delay the help of the commands.
    if name == "network_inputs":
        from skdpnet.images.inputs import network_inputs

        return network_inputs
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
