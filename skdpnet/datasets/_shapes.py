"""The polygons and colours that images are drawn with."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Colour",
    "Points",
    "arc",
    "blend",
    "ellipse",
    "ribbon",
    "rotation",
    "shade",
    "smooth",
]

Points = NDArray[np.float64]
Colour = tuple[int, int, int]


def shade(colour: Colour, factor: float) -> Colour:
    """Return a colour made lighter (factor > 1) or darker (factor < 1)."""
    red, green, blue = (int(min(255.0, max(0.0, c * factor))) for c in colour)
    return red, green, blue


def blend(a: Colour, b: Colour, share: float) -> Colour:
    """Mix colour `a` with a share of colour `b`, from 0 to 1."""
    red, green, blue = (int(p + (q - p) * share) for p, q in zip(a, b, strict=True))
    return red, green, blue


def rotation(angle: float) -> Points:
    """Return the matrix that turns row vectors by `angle` radians."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, s], [-s, c]])


def ellipse(
    x: float, y: float, rx: float, ry: float, *, angle: float = 0.0, n: int = 20
) -> Points:
    """Return an ellipse as a polygon of `n` corners."""
    t = np.linspace(0.0, 2.0 * np.pi, n, endpoint=False)
    flat = np.column_stack([rx * np.cos(t), ry * np.sin(t)])
    return flat @ rotation(angle) + (x, y)


@lru_cache(maxsize=8)
def _spline_basis(n: int) -> Points:
    """Return the weights (n, 4) of a Catmull-Rom spline's four nearest corners."""
    t = np.linspace(0.0, 1.0, n, endpoint=False)[:, None]
    powers = np.hstack([np.ones_like(t), t, t**2, t**3])
    catmull_rom = 0.5 * np.array(
        [[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]], dtype=float
    )
    return powers @ catmull_rom


def smooth(corners: list[tuple[float, float]], n: int = 5) -> Points:
    """Return a closed smooth curve through `corners`, `n` points per corner."""
    p = np.asarray(corners, dtype=float)
    neighbours = np.stack(
        [np.roll(p, 1, 0), p, np.roll(p, -1, 0), np.roll(p, -2, 0)], axis=1
    )
    return (_spline_basis(n) @ neighbours).reshape(-1, 2)


def ribbon(path: Points, width: Points) -> Points:
    """Return the outline of a strip along `path` with half-widths `width`."""
    along = np.gradient(path, axis=0)
    along /= np.hypot(along[:, :1], along[:, 1:])
    side = np.column_stack([-along[:, 1], along[:, 0]]) * width[:, None]
    return np.vstack([path + side, (path - side)[::-1]])


def arc(
    start: tuple[float, float],
    middle: tuple[float, float],
    end: tuple[float, float],
    n: int = 9,
) -> Points:
    """Return `n` points of a quadratic Bézier curve, drawn towards `middle`."""
    t = np.linspace(0.0, 1.0, n)[:, None]
    return (
        (1 - t) ** 2 * np.array(start)
        + 2 * t * (1 - t) * np.array(middle)
        + t**2 * np.array(end)
    )
