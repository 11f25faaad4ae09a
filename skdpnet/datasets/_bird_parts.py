"""The parts of a bird, each sketched as polygons around its own origin.

A bird faces right: x grows forward, y grows downward, and a unit is about half the
length of its trunk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from skdpnet.datasets._shapes import (
    Colour,
    Points,
    arc,
    blend,
    ellipse,
    ribbon,
    shade,
    smooth,
)

__all__ = ["PARTS", "VARIANTS", "Coat", "sketch_parts", "sketch_variant"]

# The parts that distinguish the classes, each with its variants.
VARIANTS: dict[str, tuple[str, ...]] = {
    "beak": ("hooked", "dagger", "broad", "spoon"),
    "crest": ("plume", "spikes", "crown", "casque"),
    "wing": ("bars", "spots", "eyespot", "streaks"),
    "tail": ("forked", "fan", "pointed", "racket"),
}
# All parts, in the order of painting: later parts cover earlier ones.
PARTS = ("tail", "legs", "body", "crest", "head", "beak", "eye", "wing")

Sketch = list[tuple[Points, Colour]]


@dataclass(frozen=True)
class Coat:
    """The colours of a bird, which do not depend on its class."""

    body: Colour
    belly: Colour
    wing: Colour
    mark: Colour
    tail: Colour
    crest: Colour
    beak: Colour
    legs: Colour
    iris: Colour


def _beak(variant: str, coat: Coat) -> Sketch:
    base, dark = coat.beak, shade(coat.beak, 0.62)
    light = blend(coat.beak, (255, 255, 255), 0.35)
    if variant == "hooked":
        lower = smooth([(-0.1, 0.1), (0.34, 0.12), (0.36, 0.3), (0.0, 0.3)])
        upper = smooth(
            [
                (-0.12, -0.3), (0.3, -0.34), (0.64, -0.12), (0.72, 0.26),
                (0.6, 0.56), (0.54, 0.26), (0.36, 0.12), (-0.1, 0.16),
            ]
        )  # fmt: skip
        gleam = smooth([(0.05, -0.22), (0.34, -0.24), (0.56, -0.02), (0.3, -0.12)])
        return [(lower, dark), (upper, base), (gleam, light)]
    if variant == "dagger":
        lower = np.array([(-0.1, 0.0), (1.22, 0.03), (0.3, 0.14), (-0.1, 0.2)])
        upper = np.array([(-0.1, -0.2), (0.3, -0.14), (1.22, 0.03), (-0.1, 0.05)])
        gleam = np.array([(0.0, -0.13), (0.3, -0.1), (0.95, -0.01), (0.0, -0.06)])
        return [(lower, dark), (upper, base), (gleam, light)]
    if variant == "broad":
        lower = smooth([(-0.1, 0.04), (0.9, 0.1), (0.5, 0.34), (-0.1, 0.32)])
        upper = smooth(
            [
                (-0.1, -0.3), (0.4, -0.46), (0.86, -0.3), (1.14, 0.16),
                (0.8, 0.12), (0.3, 0.1), (-0.1, 0.1),
            ]
        )  # fmt: skip
        tip = smooth([(0.86, -0.28), (1.14, 0.16), (0.84, 0.1), (0.78, -0.06)])
        band = np.array([(0.3, -0.42), (0.46, -0.44), (0.5, 0.1), (0.34, 0.1)])
        return [(lower, dark), (upper, base), (band, light), (tip, shade(base, 0.3))]
    stalk = np.array([(-0.1, -0.16), (0.62, -0.08), (0.62, 0.1), (-0.1, 0.18)])
    seam = np.array([(-0.1, 0.02), (0.8, 0.02), (0.8, 0.07), (-0.1, 0.09)])
    blade = ellipse(0.88, 0.02, 0.36, 0.31)
    inner = ellipse(0.92, 0.0, 0.2, 0.16)
    return [(stalk, base), (blade, base), (seam, dark), (inner, light)]


def _crest(variant: str, coat: Coat) -> Sketch:
    base, dark = coat.crest, shade(coat.crest, 0.6)
    light = blend(coat.crest, (255, 255, 255), 0.3)
    if variant == "plume":
        sketch: Sketch = []
        width = 0.13 * np.sqrt(np.linspace(0.12, 1.0, 9))
        for end, colour in (
            ((-1.12, -0.02), dark), ((-1.0, -0.42), base), ((-0.66, -0.72), light),
        ):  # fmt: skip
            path = arc((0.16, 0.14), (end[0] * 0.35, end[1] - 0.32), end)
            sketch += [(ribbon(path, width), colour)]
            sketch += [(ellipse(end[0], end[1], 0.15, 0.13, n=14), colour)]
        return sketch
    if variant == "spikes":
        sketch = []
        for k, angle in enumerate(np.linspace(-2.75, -0.75, 5)):
            tip = 0.82 * np.array([np.cos(angle), np.sin(angle)])
            side = 0.15 * np.array([-np.sin(angle), np.cos(angle)])
            foot = 0.14 * np.array([np.cos(angle), np.sin(angle)]) + (0.0, 0.16)
            sketch += [(np.array([foot + side, tip, foot - side]), (base, dark)[k % 2])]
        return sketch
    if variant == "crown":
        angles = np.linspace(-2.9, -0.5, 7)
        sketch = []
        for k, angle in enumerate(angles):
            c, s = np.cos(angle), np.sin(angle)
            feather = ellipse(0.36 * c, 0.12 + 0.4 * s, 0.4, 0.13, angle=angle)
            sketch += [(feather, (base, shade(base, 0.86))[k % 2])]
        for angle in angles:
            c, s = np.cos(angle), np.sin(angle)
            sketch += [(ellipse(0.66 * c, 0.12 + 0.7 * s, 0.09, 0.09, n=10), dark)]
        return sketch
    horn = smooth(
        [
            (-0.34, 0.24), (-0.32, -0.22), (-0.06, -0.58), (0.36, -0.72),
            (0.62, -0.56), (0.34, -0.4), (0.3, -0.1), (0.38, 0.22),
        ]
    )  # fmt: skip
    gleam = smooth([(-0.2, 0.0), (-0.12, -0.32), (0.2, -0.56), (0.0, -0.26)])
    return [(horn, base), (gleam, light)]


def _on_wing(u: Points, v: Points) -> Points:
    """Return points of the wing: u runs from root 0 to tip 1, v across from -1 to 1."""
    width = 0.47 * np.sin(np.pi * (0.06 + 0.94 * u) ** 0.72) ** 0.75
    x = -1.78 * u
    return np.column_stack([x, 0.12 * np.sin(np.pi * u) + v * width + 0.22 * u])


def _wing(variant: str, coat: Coat) -> Sketch:
    u = np.linspace(0.0, 1.0, 15)
    ones = np.ones_like(u)
    outline = np.vstack([_on_wing(u, -ones), _on_wing(u[::-1], ones)])
    sketch: Sketch = [(outline * 1.035 - (-0.03, 0.0), shade(coat.wing, 0.58))]
    sketch += [(outline, coat.wing)]
    mark = coat.mark
    if variant == "bars":
        v = np.linspace(-0.93, 0.93, 7)
        for start in (0.2, 0.4, 0.6, 0.78):
            front = start - 0.07 * v**2
            edges = [_on_wing(front, v), _on_wing((front + 0.09)[::-1], v[::-1])]
            sketch += [(np.vstack(edges), mark)]
    elif variant == "spots":
        for a, b, r in (
            (0.15, -0.35, 0.1), (0.16, 0.42, 0.1), (0.33, -0.55, 0.11),
            (0.33, 0.05, 0.12), (0.34, 0.62, 0.11), (0.53, -0.4, 0.11),
            (0.53, 0.3, 0.11), (0.7, -0.1, 0.1), (0.71, 0.6, 0.08),
            (0.85, 0.15, 0.07),
        ):  # fmt: skip
            x, y = _on_wing(np.array([a]), np.array([b]))[0]
            sketch += [(ellipse(x, y, r, r, n=12), mark)]
    elif variant == "eyespot":
        x, y = _on_wing(np.array([0.38]), np.array([0.0]))[0]
        is_pale = sum(mark) > sum(coat.wing)
        ring = shade(coat.wing, 0.4) if is_pale else blend(coat.wing, (255,) * 3, 0.5)
        for r, colour in ((0.38, mark), (0.27, ring), (0.13, mark)):
            sketch += [(ellipse(x, y, r * 1.15, r), colour)]
    else:
        u = np.linspace(0.08, 0.94, 10)
        ones = np.ones_like(u)
        for low in (-0.82, -0.4, 0.02, 0.44):
            edges = [_on_wing(u, ones * low), _on_wing(u[::-1], ones * (low + 0.22))]
            sketch += [(np.vstack(edges), mark)]
    return sketch


def _tail(variant: str, coat: Coat) -> Sketch:
    base, dark = coat.tail, shade(coat.tail, 0.55)
    light = blend(coat.tail, (255, 255, 255), 0.3)
    if variant == "forked":
        sketch: Sketch = []
        for sign, colour in ((-1.0, dark), (1.0, base)):
            prong = [
                (0.3, -0.12), (-0.4, 0.26), (-1.5, 0.62), (-0.9, 0.12), (-0.3, -0.08),
            ]  # fmt: skip
            sketch += [(np.array(prong) * (1.0, sign), colour)]
        rib = ribbon(arc((0.1, 0.1), (-0.5, 0.16), (-1.2, 0.46)), np.full(9, 0.025))
        return [*sketch, (rib, light)]
    if variant == "fan":
        angles = np.linspace(-0.95, 0.95, 7)
        sketch = []
        for k, angle in enumerate(angles):
            c, s = -np.cos(angle), np.sin(angle)
            feather = ellipse(0.5 * c, 0.5 * s, 0.62, 0.17, angle=np.pi - angle)
            sketch += [(feather, (base, shade(base, 0.8))[k % 2])]
        band = arc((-0.52, -0.72), (-1.32, 0.0), (-0.52, 0.72))
        return [*sketch, (ribbon(band, np.full(9, 0.07)), dark)]
    if variant == "pointed":
        blade = smooth(
            [(0.3, -0.22), (-0.5, -0.28), (-1.6, 0.0), (-0.5, 0.28), (0.3, 0.22)]
        )
        sketch = [(blade, base)]
        for x in (-0.3, -0.62, -0.94):
            w = 0.25 * (1.62 + x) / 1.2
            arrow = [(x, -w), (x - 0.16, 0.0), (x, w), (x + 0.12, w * 0.9),
                     (x - 0.04, 0.0), (x + 0.12, -w * 0.9)]  # fmt: skip
            sketch += [(np.array(arrow), dark)]
        return sketch
    sketch = [(smooth([(0.3, -0.2), (-0.4, -0.16), (-0.4, 0.16), (0.3, 0.2)]), base)]
    for sign in (-1.0, 1.0):
        shaft = arc((-0.2, 0.06 * sign), (-0.7, 0.12 * sign), (-1.15, 0.36 * sign))
        sketch += [(ribbon(shaft, np.full(9, 0.05)), dark)]
        sketch += [(ellipse(-1.3, 0.4 * sign, 0.3, 0.24), base)]
        sketch += [(ellipse(-1.34, 0.4 * sign, 0.15, 0.12, n=14), dark)]
    return sketch


_VARIANT_SKETCHES: dict[str, Callable[[str, Coat], Sketch]] = {
    "beak": _beak,
    "crest": _crest,
    "wing": _wing,
    "tail": _tail,
}


def _legs(coat: Coat) -> Sketch:
    sketch: Sketch = []
    for x, colour in ((0.22, shade(coat.legs, 0.75)), (-0.06, coat.legs)):
        bone = ribbon(arc((x - 0.1, 0.5), (x - 0.14, 0.8), (x, 1.12)), np.full(9, 0.05))
        sketch += [(bone, colour)]
        for toe in (-0.16, 0.12, 0.24):
            claw = arc((x, 1.08), (x + toe * 0.6, 1.06), (x + toe, 1.2))
            sketch += [(ribbon(claw, np.linspace(0.05, 0.025, 9)), colour)]
    return sketch


def _trunk(coat: Coat, rng: np.random.Generator) -> Sketch:
    trunk = smooth(
        [
            (0.5, -0.86), (0.12, -0.58), (-0.55, -0.3), (-1.14, 0.02), (-1.04, 0.3),
            (-0.4, 0.64), (0.25, 0.72), (0.78, 0.42), (1.06, -0.1), (1.1, -0.6),
        ]
    )  # fmt: skip
    belly = smooth(
        [(-0.85, 0.3), (-0.4, 0.6), (0.25, 0.68), (0.74, 0.4), (1.0, -0.1),
         (0.7, 0.02), (0.2, 0.36)]
    )  # fmt: skip
    sketch: Sketch = [(trunk, coat.body), (belly, coat.belly)]
    # Small feathers, so that the trunk is not a flat patch of a single colour.
    for x, y, tone in zip(
        rng.uniform(-0.75, 0.9, 26),
        rng.uniform(-1.0, 1.0, 26),
        rng.uniform(0.8, 1.16, 26),
        strict=True,
    ):
        y = 0.1 - 0.28 * x + y * 0.4 * np.sqrt(1.0 - (x / 1.1) ** 2)
        feather = np.array([(-0.14, 0.02), (-0.02, -0.06), (0.06, 0.0), (-0.02, 0.07)])
        ground = coat.belly if y > 0.36 - 0.45 * x else coat.body
        sketch += [(feather + (x, y), shade(ground, tone))]
    return sketch


def _head(coat: Coat) -> Sketch:
    cheek = blend(coat.body, coat.belly, 0.5)
    return [
        (ellipse(0.8, -0.8, 0.48, 0.46, n=28), coat.body),
        (ellipse(0.94, -0.62, 0.24, 0.2), cheek),
    ]


def _eye(coat: Coat) -> Sketch:
    return [
        (ellipse(0.93, -0.9, 0.125, 0.125, n=14), coat.iris),
        (ellipse(0.945, -0.9, 0.08, 0.08, n=12), (18, 16, 16)),
        (ellipse(0.97, -0.93, 0.03, 0.03, n=8), (250, 250, 250)),
    ]


def sketch_variant(part: str, variant: str, coat: Coat) -> Sketch:
    """Sketch a variant of a part of `VARIANTS`."""
    return _VARIANT_SKETCHES[part](variant, coat)


def sketch_parts(
    variants: Mapping[str, str], coat: Coat, rng: np.random.Generator
) -> dict[str, Sketch]:
    """Sketch all parts of a bird.

    Parameters
    ----------
    variants : mapping of str to str
        Variant of each part of `VARIANTS`.
    coat : Coat
    rng : numpy.random.Generator
        Source of the plumage's small irregularities.

    Returns
    -------
    dict of str to list of (polygon, colour)
        For each of `PARTS`, its polygons in the order of painting, each of shape
        (k, 2) and in the part's own coordinates.
    """
    sketches = {part: sketch_variant(part, variants[part], coat) for part in VARIANTS}
    sketches["legs"], sketches["body"] = _legs(coat), _trunk(coat, rng)
    sketches["head"], sketches["eye"] = _head(coat), _eye(coat)
    return sketches
