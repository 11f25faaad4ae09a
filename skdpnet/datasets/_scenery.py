"""Images of birds among leaves and branches, with the truth about their parts."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import find_objects

from skdpnet.datasets._birds import (
    PARTS,
    Coat,
    Color,
    Points,
    Pose,
    Shape,
    blend,
    draw_bird,
    ellipse,
    envelope,
    ribbon,
    rotation,
    shade,
    smooth,
)

__all__ = ["Scene", "render"]

# Shapes are drawn this much larger than the image, then reduced: antialiasing.
_OVER = 3
# Hue, saturation and value of sky or far ground, of near ground, and of leaves.
_LANDSCAPES = (
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


@dataclass(frozen=True)
class Scene:
    """One finished image with the truth about its parts."""

    image: NDArray[np.uint8]
    boxes: dict[str, tuple[float, float, float, float]]
    visible: dict[str, float]


def _hsv(h: float, s: float, v: float) -> Color:
    r, g, b = colorsys.hsv_to_rgb(h % 1.0, min(max(s, 0.0), 1.0), min(max(v, 0.0), 1.0))
    return int(255 * r), int(255 * g), int(255 * b)


def _vary(hsv: tuple[float, float, float], rng: np.random.Generator) -> Color:
    h, s, v = hsv
    dh, ds, dv = rng.normal(size=3)
    return _hsv(h + 0.025 * dh, s + 0.08 * ds, v + 0.09 * dv)


def _coat(rng: np.random.Generator) -> Coat:
    """Draw the colours of a bird: two related hues and one accent."""
    hue = rng.uniform()
    sat, value = rng.uniform(0.12, 0.6), rng.uniform(0.42, 0.8)
    body = _hsv(hue, sat, value)
    near = hue + rng.normal(0.0, 0.05)
    wing = _hsv(near, sat * rng.uniform(0.7, 1.3), value * rng.uniform(0.55, 0.8))
    accent = _hsv(rng.uniform(), rng.uniform(0.35, 0.75), rng.uniform(0.5, 0.85))
    pale = _hsv(rng.uniform(0.05, 0.16), rng.uniform(0.03, 0.3), 0.94)
    return Coat(
        body=body,
        belly=blend(body, pale, rng.uniform(0.35, 0.8)),
        wing=wing,
        mark=pale if rng.uniform() < 0.7 else shade(wing, 0.35),
        tail=blend(wing, accent, rng.uniform(0.0, 0.6)),
        crest=blend(accent, body, rng.uniform(0.0, 0.5)),
        beak=_hsv(
            rng.uniform(0.03, 0.15), rng.uniform(0.15, 0.85), rng.uniform(0.4, 1)
        ),
        legs=_hsv(
            rng.uniform(0.03, 0.12), rng.uniform(0.2, 0.6), rng.uniform(0.3, 0.7)
        ),
        iris=_hsv(rng.uniform(0.0, 0.17), rng.uniform(0.1, 0.9), 0.9),
    )


def _noise(rng: np.random.Generator, size: int, cells: int) -> NDArray[np.float32]:
    """Return a smooth random field of values around 0, about -1 to 1."""
    grid = Image.fromarray(rng.uniform(-1.0, 1.0, (cells, cells)).astype(np.float32))
    return np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC))


def _paint(draw: ImageDraw.ImageDraw, points: Points, color: Color | int) -> None:
    draw.polygon(points.ravel().tolist(), fill=color)


def _leaf(
    draws: tuple[ImageDraw.ImageDraw, ...], at: Points, size: float, angle: float,
    color: Color, breadth: float = 1.0,
) -> None:  # fmt: skip
    """Paint a leaf of two halves, one in the light; later draws take its mask."""
    leaf = (_LEAF * (1.0, breadth)) @ (rotation(angle) * size) + at
    _paint(draws[0], leaf, shade(color, 1.12))
    _paint(draws[0], leaf[len(_HALF_LEAF) :], shade(color, 0.84))
    for mask in draws[1:]:
        _paint(mask, leaf, 0)


def _branch(
    draws: tuple[ImageDraw.ImageDraw, ...], start: Points, end: Points, width: float,
    color: Color, rng: np.random.Generator,
) -> None:  # fmt: skip
    """Paint a bent branch, dark below and light above."""
    t = np.linspace(0.0, 1.0, 10)[:, None]
    side = np.array([-(end - start)[1], (end - start)[0]])
    path = start + t * (end - start) + side * 0.06 * rng.normal() * np.sin(np.pi * t)
    path = path + rng.normal(0.0, 0.12 * width, path.shape)
    half = width * np.linspace(1.0, 0.7, 10)
    _paint(draws[0], ribbon(path, half), shade(color, 0.7))
    _paint(draws[0], ribbon(path - (0.0, 0.25 * width), half * 0.62), color)
    _paint(draws[0], ribbon(path - (0.0, 0.5 * width), half * 0.2), shade(color, 1.25))
    for mask in draws[1:]:
        _paint(mask, ribbon(path, half), 0)


def _backdrop(
    rng: np.random.Generator, size: int, difficulty: float, land: Any
) -> Image.Image:
    """Return the blurred far ground: a slope of colour, light and foliage."""
    far, near, green = land
    t = np.linspace(0.0, 1.0, size)[:, None, None] ** rng.uniform(0.6, 1.6)
    slope = (1 - t) * np.array(_vary(far, rng)) + t * np.array(_vary(near, rng))
    mottle = 0.6 * _noise(rng, size, 5) + 0.4 * _noise(rng, size, 17)
    field = slope.astype(np.float32) * (1.0 + 0.5 * difficulty * mottle[:, :, None])
    image = Image.fromarray(np.clip(field, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(round(4 * difficulty)):
        a, b = rng.uniform(-0.2, 1.2, (2, 2)) * size
        _branch((draw,), a, b, size * rng.uniform(0.008, 0.025),
                _hsv(0.07, 0.3, rng.uniform(0.2, 0.5)), rng)  # fmt: skip
    # Leaves grow in tufts, never spread evenly.
    tufts = rng.uniform(-0.1, 1.1, (9, 2))
    breadth = rng.uniform(0.4, 1.8)
    for _ in range(round(200 * difficulty * rng.uniform(0.1, 1.9))):
        at = (tufts[rng.integers(9)] + rng.normal(0.0, 0.11, 2)) * size
        reach = size * rng.uniform(0.025, 0.085)
        _leaf((draw,), at, reach, rng.uniform(0, 7), _vary(green, rng), breadth)
    blur = size / 224 * (2.4 - 1.4 * difficulty * rng.uniform(0.3, 1.0))
    return image.filter(ImageFilter.GaussianBlur(blur))


def _distract(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: float, unit: float,
    coat: Coat, land: Any, kind: int,
) -> None:  # fmt: skip
    """Paint what is no bird: a stone, berries, a feather, a flower or grass."""
    at = rng.uniform(0.03, 0.97, 2) * size
    angle = rng.uniform(0, 2 * np.pi)
    tints = (coat.body, coat.wing, coat.tail, coat.crest, coat.beak)
    color = blend(tints[rng.integers(5)], _vary(land[1], rng), rng.uniform(0, 0.4))
    turn = rotation(angle) * unit * rng.uniform(0.6, 1.2)
    if kind == 0:
        corners = [
            (0.5 * np.cos(a) * r, 0.4 * np.sin(a) * r)
            for a, r in zip(np.arange(7) * 0.9, rng.uniform(0.8, 1.2, 7), strict=True)
        ]
        stone = smooth(corners)
        _paint(draw, stone @ turn + at, shade(color, 0.6))
        _paint(draw, stone * 0.85 @ turn + at - 0.05 * unit, color)
        _paint(draw, stone * 0.4 @ turn + at - 0.12 * unit, shade(color, 1.15))
    elif kind == 1:
        for x, y in rng.normal(0.0, 0.35, (5, 2)):
            spot = at + np.array([x, y]) * unit
            r = unit * rng.uniform(0.1, 0.2)
            # A ball lit from above: lighter and smaller circles toward the light.
            for lift, share, tint in (
                (0.0, 1.0, shade(color, 0.75)),
                (0.15, 0.75, color),
                (0.4, 0.25, blend(color, (255, 255, 255), 0.6)),
            ):
                u, v = spot - lift * r
                _paint(draw, ellipse(u, v, share * r, share * r, n=12), tint)
    elif kind == 2:
        vane = ellipse(0.0, 0.0, 0.8, 0.2)
        _paint(draw, vane @ turn + at, color)
        for x in np.arange(-0.5, 0.7, rng.uniform(0.2, 0.4)):
            bar = np.array([(x, -0.14), (x + 0.1, -0.14), (x + 0.1, 0.14), (x, 0.14)])
            _paint(draw, bar @ turn + at, coat.mark)
        shaft = np.array([(-1.1, -0.02), (0.7, -0.02), (0.7, 0.02), (-1.1, 0.02)])
        _paint(draw, shaft @ turn + at, shade(color, 1.4))
    elif kind == 3:
        for a in np.arange(5) * 1.2566:
            c, s = np.cos(a), np.sin(a)
            petal = ellipse(0.32 * c, 0.32 * s, 0.28, 0.17, angle=a)
            _paint(draw, petal @ turn + at, shade(color, 1.0 + 0.1 * s))
        _paint(draw, ellipse(0, 0, 0.15, 0.15, n=12) @ turn + at, coat.beak)
    else:
        for a in rng.uniform(-0.9, 0.9, 5):
            blade = np.array([(-0.06, 0.3), (np.sin(a), -np.cos(a)), (0.06, 0.3)])
            _paint(draw, blade @ turn + at, shade(color, 0.8 + 0.3 * abs(a)))


def _place(
    pose: Pose, rng: np.random.Generator, size: float, difficulty: float
) -> tuple[Points, Points, float]:
    """Return matrix and shift from the bird to pixels, and pixels per unit.

    They come from the extent of all variants: a bird's place tells no class.
    """
    angle = 0.3 * difficulty * rng.uniform(-1.0, 1.0)
    mirror = -1.0 if rng.uniform() < min(0.5, difficulty) else 1.0
    unit = size * (0.17 - difficulty * rng.uniform(0.0, 0.04))
    matrix = (np.array([[mirror], [1.0]]) * rotation(angle)) * unit
    span = envelope(pose) @ matrix
    low, high = span.min(0), span.max(0)
    slack = 0.99 * size - (high - low)
    where = 0.5 + min(1.0, 2 * difficulty) * rng.uniform(-0.5, 0.5, 2) * (slack > 0)
    return matrix, 0.005 * size + slack * where - low, unit


def _relief(mask: Image.Image, radius: float, light: Points) -> NDArray[np.float32]:
    """Return how much a soft body of this outline faces the light."""
    height = np.asarray(mask.filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255
    dy, dx = np.gradient(height)
    return -(dx * light[0] + dy * light[1]) * np.float32(2.0 * radius)


def render(
    seed: tuple[int, ...], variants: dict[str, str], size: int, difficulty: float
) -> Scene:
    """Make one image; nothing but the bird's parts depends on `variants`."""
    # Streams of their own: no stage may shift the random numbers of another one.
    far, things, bird, front, lamp, plumes = map(
        np.random.default_rng, np.random.SeedSequence(seed).spawn(6)
    )
    land = _LANDSCAPES[far.integers(len(_LANDSCAPES))]
    big = size * _OVER
    image = _backdrop(far, size, difficulty, land)
    coat = _coat(bird)
    pose = Pose(*(difficulty * bird.uniform(-1.0, 1.0, 3) * (0.45, 0.4, 0.6)))
    matrix, shift, unit = _place(pose, bird, big, difficulty)
    shapes = [
        Shape(s.part, s.points @ matrix + shift, s.color)
        for s in draw_bird(variants, coat, pose, plumes)
    ]
    legs = np.vstack([s.points for s in shapes if s.part == "legs"])
    feet = np.array([legs[:, 0].mean(), legs[:, 1].max() - 0.08 * unit])

    # The last reduction undoes this one exactly: the far ground is soft already.
    image = image.resize((big, big), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(image)
    # Each image has its own kinds and amounts of things. Were they alike in all
    # images, they would only shift the mean of an image's features.
    kinds = things.integers(0, 5, 2)
    for kind in things.choice(kinds, round(24 * difficulty * things.uniform())):
        _distract(draw, things, big, unit, coat, land, int(kind))
    breadth, reach = things.uniform(0.4, 1.8), unit * things.uniform(0.25, 0.6)
    for _ in range(round(140 * difficulty * things.uniform(0.1, 1.9))):
        _leaf((draw,), things.uniform(0, big, 2), reach * things.uniform(0.6, 1.4),
              things.uniform(0, 7), _vary(land[2], things), breadth)  # fmt: skip
    bark = _hsv(0.07, things.uniform(0.15, 0.45), things.uniform(0.25, 0.55))
    slope = np.array([1.0, things.uniform(-0.2, 0.2)])
    _branch((draw,), feet - big * slope, feet + big * slope, 0.13 * unit, bark, things)

    label = Image.new("L", (big, big))
    marker = ImageDraw.Draw(label)
    for shape in shapes:
        _paint(draw, shape.points, shape.color)
        _paint(marker, shape.points, PARTS.index(shape.part) + 1)
    whole = np.array(label)
    solid = label.point([0] + [255] * 255).reduce(_OVER)
    raised = label.point([255 * (k == PARTS.index("wing") + 1) for k in range(256)])

    both = (draw, marker)
    for _ in range(round(8 * difficulty)):
        at = feet + unit * (front.normal(0.0, 1.7, 2) - (0.0, 1.2))
        green = shade(_vary(land[2], front), front.uniform(0.6, 1.2))
        _leaf(both, at, unit * front.uniform(0.3, 0.6), front.uniform(0, 7), green)
    if front.uniform() < difficulty:
        a = feet + unit * front.uniform(-2.5, 2.5, 2) - (0.0, unit)
        turn = front.uniform(0, np.pi)
        along = big * np.array([np.cos(turn), np.sin(turn)])
        _branch(
            both, a - along, a + along, unit * front.uniform(0.05, 0.1), bark, front
        )

    boxes, visible = _truth(whole, np.asarray(label))
    seen = np.asarray(label.point([0] + [255] * 255).reduce(_OVER), np.float32) / 255
    pixels = np.asarray(image.reduce(_OVER), np.float32)
    small = unit / _OVER
    sun = np.array([lamp.uniform(-0.7, 0.7), -1.0])
    glow = 0.55 * _relief(solid, 0.42 * small, sun)
    glow += 0.22 * _relief(raised.reduce(_OVER), 0.14 * small, sun)
    pixels = pixels * (1.0 + seen * np.clip(glow, -0.5, 0.4))[:, :, None]
    return Scene(_expose(pixels, lamp, difficulty), boxes, visible)


def _truth(whole: NDArray[np.uint8], left: NDArray[np.uint8]) -> tuple[Any, Any]:
    """Return boxes and visible fractions from the part of each pixel."""
    total = np.bincount(whole.ravel(), minlength=len(PARTS) + 1)
    kept = np.bincount(left.ravel(), minlength=len(PARTS) + 1)
    found = find_objects(whole, max_label=len(PARTS))
    boxes, visible = {}, {}
    for k, (part, place) in enumerate(zip(PARTS, found, strict=True), start=1):
        visible[part] = float(kept[k] / total[k]) if total[k] else 0.0
        if visible[part] > 0:
            rows, cols = place
            corners = (cols.start, rows.start, cols.stop, rows.stop)
            boxes[part] = tuple(c / _OVER for c in corners)
    return boxes, visible


def _expose(
    pixels: NDArray[np.float32], rng: np.random.Generator, difficulty: float
) -> NDArray[np.uint8]:
    """Return the image a camera would take: light, tint, blur and grain."""
    size = len(pixels)
    light = 1.0 + difficulty * (0.3 * _noise(rng, size, 4) + 0.25 * rng.uniform(-1, 1))
    tint = 1.0 + 0.12 * difficulty * rng.uniform(-1.0, 1.0, 3)
    pixels = pixels * light[:, :, None] * tint.astype(np.float32)
    grain = rng.standard_normal((size, size, 1), np.float32) * (8.0 * difficulty)
    soft = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(size / 224 * 0.8 * difficulty * rng.uniform())
    )
    return np.clip(np.asarray(soft, np.float32) + grain, 0, 255).astype(np.uint8)
