"""Images of birds among leaves and branches, with the positions of their parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import find_objects

from skdpnet.datasets._bird_parts import PARTS, Coat
from skdpnet.datasets._birds import Pose, Shape, draw_bird, envelope
from skdpnet.datasets._scenery import (
    LANDSCAPES,
    Landscape,
    draw_background,
    from_hsv,
    paint,
    paint_branch,
    paint_distractor,
    paint_leaf,
    smooth_noise,
    vary,
)
from skdpnet.datasets._shapes import Colour, Points, blend, rotation, shade

__all__ = ["Box", "Scene", "draw_coat", "render"]

Box = tuple[float, float, float, float]

# Images are drawn this much larger than they are returned, for antialiasing.
_OVERSAMPLING = 3


@dataclass(frozen=True)
class Scene:
    """A finished image with its true parts.

    `boxes` holds (left, top, right, bottom) in pixels for each part that is visible,
    `visible` the share of each part that nothing in front covers.
    """

    image: NDArray[np.uint8]
    boxes: dict[str, Box]
    visible: dict[str, float]


def render(
    seed: tuple[int, ...], variants: dict[str, str], size: int, difficulty: float
) -> Scene:
    """Make an image in which only the bird's parts depend on `variants`.

    Parameters
    ----------
    seed : tuple of int
        Everything random follows from it.
    variants : dict of str to str
        Variant of each part of `VARIANTS`.
    size : int
        Height and width in pixels.
    difficulty : float
        From 0 to 1, see `skdpnet.datasets.make_part_images`.

    Returns
    -------
    Scene
    """
    # Each stage has a generator of its own, so that the numbers that it draws do not
    # depend on how many another stage draws.
    background_rng, object_rng, bird_rng, front_rng, light_rng, plumage_rng = map(
        np.random.default_rng, np.random.SeedSequence(seed).spawn(6)
    )
    landscape = LANDSCAPES[background_rng.integers(len(LANDSCAPES))]
    large = size * _OVERSAMPLING
    image = draw_background(background_rng, size, difficulty, landscape)
    coat = draw_coat(bird_rng)
    pose = Pose(*(difficulty * bird_rng.uniform(-1.0, 1.0, 3) * (0.45, 0.4, 0.6)))
    matrix, shift, unit = _draw_position(pose, bird_rng, large, difficulty)
    shapes = [
        Shape(shape.part, shape.points @ matrix + shift, shape.colour)
        for shape in draw_bird(variants, coat, pose, plumage_rng)
    ]
    legs = np.vstack([shape.points for shape in shapes if shape.part == "legs"])
    feet = np.array([legs[:, 0].mean(), legs[:, 1].max() - 0.08 * unit])

    # The reduction at the end undoes this enlargement exactly. The background is soft
    # already and needs no antialiasing.
    image = image.resize((large, large), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(image)
    _paint_objects(draw, object_rng, large, unit, coat, landscape, difficulty)
    bark = from_hsv(
        0.07, object_rng.uniform(0.15, 0.45), object_rng.uniform(0.25, 0.55)
    )
    slope = large * np.array([1.0, object_rng.uniform(-0.2, 0.2)])
    paint_branch((draw,), feet - slope, feet + slope, 0.13 * unit, bark, object_rng)

    # Pixels of the mask hold the number of the part that they show, from 1, or 0.
    mask = Image.new("L", (large, large))
    draw_mask = ImageDraw.Draw(mask)
    for shape in shapes:
        paint(draw, shape.points, shape.colour)
        paint(draw_mask, shape.points, PARTS.index(shape.part) + 1)
    whole_mask = mask.copy()
    _paint_foreground(
        (draw, draw_mask), front_rng, feet, large, unit, bark, landscape, difficulty
    )

    boxes, visible = _true_parts(np.asarray(whole_mask), np.asarray(mask))
    pixels = np.asarray(image.reduce(_OVERSAMPLING), np.float32)
    glow = _glow(whole_mask, unit / _OVERSAMPLING, light_rng)
    share = np.asarray(_is_bird(mask).reduce(_OVERSAMPLING), np.float32) / 255
    lit = pixels * (1.0 + share * glow)[:, :, None]
    return Scene(_expose(lit, light_rng, difficulty), boxes, visible)


def draw_coat(rng: np.random.Generator) -> Coat:
    """Draw the colours of a bird: two related hues and an accent."""
    hue = rng.uniform()
    sat, value = rng.uniform(0.12, 0.6), rng.uniform(0.42, 0.8)
    body = from_hsv(hue, sat, value)
    near = hue + rng.normal(0.0, 0.05)
    wing = from_hsv(near, sat * rng.uniform(0.7, 1.3), value * rng.uniform(0.55, 0.8))
    accent = from_hsv(rng.uniform(), rng.uniform(0.35, 0.75), rng.uniform(0.5, 0.85))
    pale = from_hsv(rng.uniform(0.05, 0.16), rng.uniform(0.03, 0.3), 0.94)
    return Coat(
        body=body,
        belly=blend(body, pale, rng.uniform(0.35, 0.8)),
        wing=wing,
        mark=pale if rng.uniform() < 0.7 else shade(wing, 0.35),
        tail=blend(wing, accent, rng.uniform(0.0, 0.6)),
        crest=blend(accent, body, rng.uniform(0.0, 0.5)),
        beak=from_hsv(
            rng.uniform(0.03, 0.15), rng.uniform(0.15, 0.85), rng.uniform(0.4, 1)
        ),
        legs=from_hsv(
            rng.uniform(0.03, 0.12), rng.uniform(0.2, 0.6), rng.uniform(0.3, 0.7)
        ),
        iris=from_hsv(rng.uniform(0.0, 0.17), rng.uniform(0.1, 0.9), 0.9),
    )


def _draw_position(
    pose: Pose, rng: np.random.Generator, size: float, difficulty: float
) -> tuple[Points, Points, float]:
    """Return the matrix and shift from the bird's units to pixels, and pixels per unit.

    They depend on the extent of all variants together, so that the position of a bird
    does not reveal its class.
    """
    angle = 0.3 * difficulty * rng.uniform(-1.0, 1.0)
    mirror = -1.0 if rng.uniform() < min(0.5, difficulty) else 1.0
    unit = size * (0.17 - difficulty * rng.uniform(0.0, 0.04))
    matrix = (np.array([[mirror], [1.0]]) * rotation(angle)) * unit
    extent = envelope(pose) @ matrix
    low, high = extent.min(0), extent.max(0)
    slack = 0.99 * size - (high - low)
    offset = 0.5 + min(1.0, 2 * difficulty) * rng.uniform(-0.5, 0.5, 2) * (slack > 0)
    return matrix, 0.005 * size + slack * offset - low, unit


def _paint_objects(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: int, unit: float,
    coat: Coat, landscape: Landscape, difficulty: float,
) -> None:  # fmt: skip
    """Paint distractors and leaves behind the bird."""
    # Each image has other kinds and amounts of objects. If all images had the same, the
    # objects would only shift the mean of the images' features.
    kinds = rng.integers(0, 5, 2)
    for kind in rng.choice(kinds, round(24 * difficulty * rng.uniform())):
        paint_distractor(draw, rng, size, unit, coat, landscape, int(kind))
    breadth, reach = rng.uniform(0.4, 1.8), unit * rng.uniform(0.25, 0.6)
    for _ in range(round(140 * difficulty * rng.uniform(0.1, 1.9))):
        paint_leaf((draw,), rng.uniform(0, size, 2), reach * rng.uniform(0.6, 1.4),
                   rng.uniform(0, 7), vary(landscape[2], rng), breadth)  # fmt: skip


def _paint_foreground(
    draws: tuple[ImageDraw.ImageDraw, ...], rng: np.random.Generator, feet: Points,
    size: int, unit: float, bark: Colour, landscape: Landscape, difficulty: float,
) -> None:  # fmt: skip
    """Paint leaves and perhaps a branch in front of the bird."""
    for _ in range(round(8 * difficulty)):
        at = feet + unit * (rng.normal(0.0, 1.7, 2) - (0.0, 1.2))
        green = shade(vary(landscape[2], rng), rng.uniform(0.6, 1.2))
        paint_leaf(draws, at, unit * rng.uniform(0.3, 0.6), rng.uniform(0, 7), green)
    if rng.uniform() < difficulty:
        centre = feet + unit * rng.uniform(-2.5, 2.5, 2) - (0.0, unit)
        turn = rng.uniform(0, np.pi)
        along = size * np.array([np.cos(turn), np.sin(turn)])
        paint_branch(
            draws, centre - along, centre + along, unit * rng.uniform(0.05, 0.1), bark,
            rng,
        )  # fmt: skip


def _true_parts(
    whole: NDArray[np.uint8], uncovered: NDArray[np.uint8]
) -> tuple[dict[str, Box], dict[str, float]]:
    """Return boxes and visible shares from the masks without and with a foreground."""
    n_whole = np.bincount(whole.ravel(), minlength=len(PARTS) + 1)
    n_uncovered = np.bincount(uncovered.ravel(), minlength=len(PARTS) + 1)
    extents = find_objects(whole, max_label=len(PARTS))
    boxes, visible = {}, {}
    for k, (part, extent) in enumerate(zip(PARTS, extents, strict=True), start=1):
        visible[part] = float(n_uncovered[k] / n_whole[k]) if n_whole[k] else 0.0
        if visible[part] > 0:
            rows, columns = extent
            edges = (columns.start, rows.start, columns.stop, rows.stop)
            left, top, right, bottom = (edge / _OVERSAMPLING for edge in edges)
            boxes[part] = left, top, right, bottom
    return boxes, visible


def _is_bird(mask: Image.Image) -> Image.Image:
    """Return a mask of 255 where another shows a part, else 0."""
    return mask.point([0] + [255] * 255)


def _glow(
    mask: Image.Image, unit: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the share by which light on the bird brightens or darkens each pixel."""
    wing = mask.point([255 * (k == PARTS.index("wing") + 1) for k in range(256)])
    light = np.array([rng.uniform(-0.7, 0.7), -1.0])
    glow = 0.55 * _relief(_is_bird(mask).reduce(_OVERSAMPLING), 0.42 * unit, light)
    glow += 0.22 * _relief(wing.reduce(_OVERSAMPLING), 0.14 * unit, light)
    return np.clip(glow, -0.5, 0.4)


def _relief(mask: Image.Image, radius: float, light: Points) -> NDArray[np.float32]:
    """Return how much the surface of a rounded body of this outline faces the light."""
    height = np.asarray(mask.filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255
    dy, dx = np.gradient(height)
    return -(dx * light[0] + dy * light[1]) * np.float32(2.0 * radius)


def _expose(
    pixels: NDArray[np.floating], rng: np.random.Generator, difficulty: float
) -> NDArray[np.uint8]:
    """Return the image as a camera takes it, with light, tint, blur and grain."""
    size = len(pixels)
    light = 1.0 + difficulty * (
        0.3 * smooth_noise(rng, size, 4) + 0.25 * rng.uniform(-1, 1)
    )
    tint = 1.0 + 0.12 * difficulty * rng.uniform(-1.0, 1.0, 3)
    exposed = pixels * light[:, :, None] * tint.astype(np.float32)
    grain = rng.standard_normal((size, size, 1), np.float32) * (8.0 * difficulty)
    soft = Image.fromarray(np.clip(exposed, 0, 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(size / 224 * 0.8 * difficulty * rng.uniform())
    )
    return np.clip(np.asarray(soft, np.float32) + grain, 0, 255).astype(np.uint8)
