"""The form in which all measures of explanations are returned."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Measurement"]


class Measurement(NamedTuple):
    """The value of a measure, and its value by chance."""

    value: float
    chance: float
