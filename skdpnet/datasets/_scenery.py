"""What surrounds the bird in an image: background, leaves, branches and objects."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from skdpnet.datasets._bird_parts import Coat
from skdpnet.datasets._shapes import (
    Colour,
    Points,
    blend,
    ellipse,
    ribbon,
    rotation,
    shade,
    smooth,
)

__all__ = [
    "LANDSCAPES",
    "Landscape",
    "draw_background",
    "from_hsv",
    "paint",
    "paint_branch",
    "paint_distractor",
    "paint_leaf",
    "smooth_noise",
    "vary",
]

_HSV = tuple[float, float, float]
Landscape = tuple[_HSV, _HSV, _HSV]

# Each landscape has the hue, saturation and value of the sky or far ground, of the near
# ground, and of the leaves.
LANDSCAPES: tuple[Landscape, ...] = (
    ((0.56, 0.25, 0.85), (0.27, 0.35, 0.55), (0.28, 0.50, 0.48)),
    ((0.25, 0.30, 0.60), (0.30, 0.55, 0.30), (0.30, 0.55, 0.42)),
    ((0.10, 0.25, 0.85), (0.08, 0.40, 0.55), (0.12, 0.50, 0.55)),
    ((0.52, 0.20, 0.75), (0.50, 0.35, 0.50), (0.38, 0.35, 0.45)),
    ((0.07, 0.35, 0.80), (0.65, 0.20, 0.45), (0.06, 0.60, 0.55)),
    ((0.60, 0.08, 0.80), (0.10, 0.15, 0.55), (0.20, 0.35, 0.40)),
)
_HALF_LEAF = np.column_stack(
    [np.linspace(-1.0, 1.0, 7), 0.42 * np.sin(np.pi * np.linspace(0, 1, 7) ** 0.8)]
)
_LEAF = np.vstack([_HALF_LEAF, (_HALF_LEAF * (1.0, -0.8))[::-1]])


def from_hsv(h: float, s: float, v: float) -> Colour:
    """Convert hue, saturation and value, brought within 0 to 1, to RGB."""
    r, g, b = colorsys.hsv_to_rgb(h % 1.0, min(max(s, 0.0), 1.0), min(max(v, 0.0), 1.0))
    return int(255 * r), int(255 * g), int(255 * b)


def vary(hsv: _HSV, rng: np.random.Generator) -> Colour:
    """Draw a colour that differs a little from the given hue, saturation and value."""
    h, s, v = hsv
    dh, ds, dv = rng.normal(size=3)
    return from_hsv(h + 0.025 * dh, s + 0.08 * ds, v + 0.09 * dv)


def smooth_noise(
    rng: np.random.Generator, size: int, cells: int
) -> NDArray[np.float32]:
    """Return a smooth random field of size×size values between about -1 and 1."""
    grid = Image.fromarray(rng.uniform(-1.0, 1.0, (cells, cells)).astype(np.float32))
    return np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC))


def paint(draw: ImageDraw.ImageDraw, points: Points, colour: Colour | int) -> None:
    """Paint a polygon of shape (k, 2)."""
    draw.polygon(points.ravel().tolist(), fill=colour)


def paint_leaf(
    draws: tuple[ImageDraw.ImageDraw, ...], at: Points, size: float, angle: float,
    colour: Colour, breadth: float = 1.0,
) -> None:  # fmt: skip
    """Paint a leaf with a light and a dark half.

    The first of `draws` paints the image, the others erase the leaf from masks.
    """
    leaf = (_LEAF * (1.0, breadth)) @ (rotation(angle) * size) + at
    paint(draws[0], leaf, shade(colour, 1.12))
    paint(draws[0], leaf[len(_HALF_LEAF) :], shade(colour, 0.84))
    for mask in draws[1:]:
        paint(mask, leaf, 0)


def paint_branch(
    draws: tuple[ImageDraw.ImageDraw, ...], start: Points, end: Points, width: float,
    colour: Colour, rng: np.random.Generator,
) -> None:  # fmt: skip
    """Paint a bent branch, dark below and light above; `draws` as in `paint_leaf`."""
    t = np.linspace(0.0, 1.0, 10)[:, None]
    side = np.array([-(end - start)[1], (end - start)[0]])
    path = start + t * (end - start) + side * 0.06 * rng.normal() * np.sin(np.pi * t)
    path = path + rng.normal(0.0, 0.12 * width, path.shape)
    half = width * np.linspace(1.0, 0.7, 10)
    paint(draws[0], ribbon(path, half), shade(colour, 0.7))
    paint(draws[0], ribbon(path - (0.0, 0.25 * width), half * 0.62), colour)
    paint(draws[0], ribbon(path - (0.0, 0.5 * width), half * 0.2), shade(colour, 1.25))
    for mask in draws[1:]:
        paint(mask, ribbon(path, half), 0)


def draw_background(
    rng: np.random.Generator, size: int, difficulty: float, landscape: Landscape
) -> Image.Image:
    """Return the blurred background: a gradient of colour, light and foliage."""
    far, near, green = landscape
    t = np.linspace(0.0, 1.0, size)[:, None, None] ** rng.uniform(0.6, 1.6)
    slope = (1 - t) * np.array(vary(far, rng)) + t * np.array(vary(near, rng))
    mottle = 0.6 * smooth_noise(rng, size, 5) + 0.4 * smooth_noise(rng, size, 17)
    field = slope.astype(np.float32) * (1.0 + 0.5 * difficulty * mottle[:, :, None])
    image = Image.fromarray(np.clip(field, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(round(4 * difficulty)):
        a, b = rng.uniform(-0.2, 1.2, (2, 2)) * size
        paint_branch((draw,), a, b, size * rng.uniform(0.008, 0.025),
                     from_hsv(0.07, 0.3, rng.uniform(0.2, 0.5)), rng)  # fmt: skip
    # Leaves grow in tufts; they are not spread evenly.
    tufts = rng.uniform(-0.1, 1.1, (9, 2))
    breadth = rng.uniform(0.4, 1.8)
    for _ in range(round(200 * difficulty * rng.uniform(0.1, 1.9))):
        at = (tufts[rng.integers(9)] + rng.normal(0.0, 0.11, 2)) * size
        reach = size * rng.uniform(0.025, 0.085)
        paint_leaf((draw,), at, reach, rng.uniform(0, 7), vary(green, rng), breadth)
    blur = size / 224 * (2.4 - 1.4 * difficulty * rng.uniform(0.3, 1.0))
    return image.filter(ImageFilter.GaussianBlur(blur))


def paint_distractor(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: float, unit: float,
    coat: Coat, landscape: Landscape, kind: int,
) -> None:  # fmt: skip
    """Paint an object other than the bird, in its colours, at a random position."""
    at = rng.uniform(0.03, 0.97, 2) * size
    angle = rng.uniform(0, 2 * np.pi)
    tints = (coat.body, coat.wing, coat.tail, coat.crest, coat.beak)
    colour = blend(tints[rng.integers(5)], vary(landscape[1], rng), rng.uniform(0, 0.4))
    turn = rotation(angle) * unit * rng.uniform(0.6, 1.2)
    if kind == 0:  # a stone
        corners = [
            (0.5 * np.cos(a) * r, 0.4 * np.sin(a) * r)
            for a, r in zip(np.arange(7) * 0.9, rng.uniform(0.8, 1.2, 7), strict=True)
        ]
        stone = smooth(corners)
        paint(draw, stone @ turn + at, shade(colour, 0.6))
        paint(draw, stone * 0.85 @ turn + at - 0.05 * unit, colour)
        paint(draw, stone * 0.4 @ turn + at - 0.12 * unit, shade(colour, 1.15))
    elif kind == 1:  # berries
        for x, y in rng.normal(0.0, 0.35, (5, 2)):
            spot = at + np.array([x, y]) * unit
            r = unit * rng.uniform(0.1, 0.2)
            # A ball lit from above: lighter and smaller circles towards the light.
            for lift, scale, tint in (
                (0.0, 1.0, shade(colour, 0.75)),
                (0.15, 0.75, colour),
                (0.4, 0.25, blend(colour, (255, 255, 255), 0.6)),
            ):
                u, v = spot - lift * r
                paint(draw, ellipse(u, v, scale * r, scale * r, n=12), tint)
    elif kind == 2:  # a feather
        vane = ellipse(0.0, 0.0, 0.8, 0.2)
        paint(draw, vane @ turn + at, colour)
        for x in np.arange(-0.5, 0.7, rng.uniform(0.2, 0.4)):
            bar = np.array([(x, -0.14), (x + 0.1, -0.14), (x + 0.1, 0.14), (x, 0.14)])
            paint(draw, bar @ turn + at, coat.mark)
        shaft = np.array([(-1.1, -0.02), (0.7, -0.02), (0.7, 0.02), (-1.1, 0.02)])
        paint(draw, shaft @ turn + at, shade(colour, 1.4))
    elif kind == 3:  # a flower
        for a in np.arange(5) * 1.2566:
            c, s = np.cos(a), np.sin(a)
            petal = ellipse(0.32 * c, 0.32 * s, 0.28, 0.17, angle=a)
            paint(draw, petal @ turn + at, shade(colour, 1.0 + 0.1 * s))
        paint(draw, ellipse(0, 0, 0.15, 0.15, n=12) @ turn + at, coat.beak)
    else:  # grass
        for a in rng.uniform(-0.9, 0.9, 5):
            blade = np.array([(-0.06, 0.3), (np.sin(a), -np.cos(a)), (0.06, 0.3)])
            paint(draw, blade @ turn + at, shade(colour, 0.8 + 0.3 * abs(a)))
