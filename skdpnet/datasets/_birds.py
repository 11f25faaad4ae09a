"""Drawing of the birds of :func:`skdpnet.datasets.make_part_images`.

A bird is a list of flat shapes in its own coordinates: it faces right, x grows
forward, y grows downward, and half the length of its trunk is about 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Color = tuple[int, int, int]

# The parts that carry the class, each with its variants.
VARIANTS: dict[str, tuple[str, ...]] = {
    "beak": ("hooked", "dagger", "broad", "spoon"),
    "crest": ("plume", "spikes", "crown", "casque"),
    "wing": ("bars", "spots", "eyespot", "streaks"),
    "tail": ("forked", "fan", "pointed", "racket"),
}
# Caricature: parts drawn larger than a bird's own, to be seen on coarse maps.
_BOLD = {"beak": 1.15, "crest": 1.15, "wing": 1.06, "tail": 1.1}
# Every part, in the order of painting: what comes later covers what came before.
PARTS = ("tail", "legs", "body", "crest", "head", "beak", "eye", "wing")

_NECK = np.array([0.72, -0.5])
_CREST = np.array([0.72, -1.16])
_BEAK = np.array([1.16, -0.78])
_SHOULDER = np.array([0.62, -0.22])
_RUMP = np.array([-0.98, 0.14])


@dataclass(frozen=True)
class Shape:
    """One polygon of one part; `points` of shape (k, 2), in units of the bird."""

    part: str
    points: Points
    color: Color


@dataclass(frozen=True)
class Pose:
    """How the bird's head, wing and tail are turned, in radians."""

    head: float = 0.0
    wing: float = 0.0
    tail: float = 0.0


@dataclass(frozen=True)
class Coat:
    """Colours of one bird; they say nothing about its class."""

    body: Color
    belly: Color
    wing: Color
    mark: Color
    tail: Color
    crest: Color
    beak: Color
    legs: Color
    iris: Color


def shade(color: Color, factor: float) -> Color:
    """Return a colour made lighter (factor > 1) or darker (factor < 1)."""
    r, g, b = (int(min(255.0, max(0.0, c * factor))) for c in color)
    return r, g, b


def blend(a: Color, b: Color, share: float) -> Color:
    """Return colour `a` with the given share of colour `b`."""
    r, g, b_ = (int(p + (q - p) * share) for p, q in zip(a, b, strict=True))
    return r, g, b_


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
    t = np.linspace(0.0, 1.0, n, endpoint=False)[:, None]
    powers = np.hstack([np.ones_like(t), t, t**2, t**3])
    catmull_rom = 0.5 * np.array(
        [[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]], dtype=float
    )
    return powers @ catmull_rom


def smooth(corners: list[tuple[float, float]], n: int = 5) -> Points:
    """Return a closed smooth curve through `corners`, `n` points a piece."""
    p = np.asarray(corners, dtype=float)
    pieces = np.stack(
        [np.roll(p, 1, 0), p, np.roll(p, -1, 0), np.roll(p, -2, 0)], axis=1
    )
    return (_spline_basis(n) @ pieces).reshape(-1, 2)


def ribbon(path: Points, width: Points) -> Points:
    """Return the outline of a strip along `path` with half-widths `width`."""
    along = np.gradient(path, axis=0)
    along /= np.hypot(along[:, :1], along[:, 1:])
    side = np.column_stack([-along[:, 1], along[:, 0]]) * width[:, None]
    return np.vstack([path + side, (path - side)[::-1]])


def _arc(
    start: tuple[float, float],
    middle: tuple[float, float],
    end: tuple[float, float],
    n: int = 9,
) -> Points:
    t = np.linspace(0.0, 1.0, n)[:, None]
    return (
        (1 - t) ** 2 * np.array(start)
        + 2 * t * (1 - t) * np.array(middle)
        + t**2 * np.array(end)
    )


Sketch = list[tuple[Points, Color]]


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
        out: Sketch = []
        width = 0.13 * np.sqrt(np.linspace(0.12, 1.0, 9))
        for end, color in (
            ((-1.12, -0.02), dark), ((-1.0, -0.42), base), ((-0.66, -0.72), light),
        ):  # fmt: skip
            path = _arc((0.16, 0.14), (end[0] * 0.35, end[1] - 0.32), end)
            out += [(ribbon(path, width), color)]
            out += [(ellipse(end[0], end[1], 0.15, 0.13, n=14), color)]
        return out
    if variant == "spikes":
        out = []
        for k, angle in enumerate(np.linspace(-2.75, -0.75, 5)):
            tip = 0.82 * np.array([np.cos(angle), np.sin(angle)])
            side = 0.15 * np.array([-np.sin(angle), np.cos(angle)])
            foot = 0.14 * np.array([np.cos(angle), np.sin(angle)]) + (0.0, 0.16)
            out += [(np.array([foot + side, tip, foot - side]), (base, dark)[k % 2])]
        return out
    if variant == "crown":
        angles = np.linspace(-2.9, -0.5, 7)
        out = []
        for k, angle in enumerate(angles):
            c, s = np.cos(angle), np.sin(angle)
            feather = ellipse(0.36 * c, 0.12 + 0.4 * s, 0.4, 0.13, angle=angle)
            out += [(feather, (base, shade(base, 0.86))[k % 2])]
        for angle in angles:
            c, s = np.cos(angle), np.sin(angle)
            out += [(ellipse(0.66 * c, 0.12 + 0.7 * s, 0.09, 0.09, n=10), dark)]
        return out
    horn = smooth(
        [
            (-0.34, 0.24), (-0.32, -0.22), (-0.06, -0.58), (0.36, -0.72),
            (0.62, -0.56), (0.34, -0.4), (0.3, -0.1), (0.38, 0.22),
        ]
    )  # fmt: skip
    gleam = smooth([(-0.2, 0.0), (-0.12, -0.32), (0.2, -0.56), (0.0, -0.26)])
    return [(horn, base), (gleam, light)]


def _on_wing(u: Points, v: Points) -> Points:
    """Return points of the wing: u from root 0 to tip 1, v across, -1 to 1."""
    width = 0.47 * np.sin(np.pi * (0.06 + 0.94 * u) ** 0.72) ** 0.75
    x = -1.78 * u
    return np.column_stack([x, 0.12 * np.sin(np.pi * u) + v * width + 0.22 * u])


def _wing(variant: str, coat: Coat) -> Sketch:
    u = np.linspace(0.0, 1.0, 15)
    one = np.ones_like(u)
    edge = np.vstack([_on_wing(u, -one), _on_wing(u[::-1], one)])
    out: Sketch = [(edge * 1.035 - (-0.03, 0.0), shade(coat.wing, 0.58))]
    out += [(edge, coat.wing)]
    mark = coat.mark
    if variant == "bars":
        v = np.linspace(-0.93, 0.93, 7)
        for start in (0.2, 0.4, 0.6, 0.78):
            bow = start - 0.07 * v**2
            band = [_on_wing(bow, v), _on_wing((bow + 0.09)[::-1], v[::-1])]
            out += [(np.vstack(band), mark)]
    elif variant == "spots":
        for a, b, r in (
            (0.15, -0.35, 0.1), (0.16, 0.42, 0.1), (0.33, -0.55, 0.11),
            (0.33, 0.05, 0.12), (0.34, 0.62, 0.11), (0.53, -0.4, 0.11),
            (0.53, 0.3, 0.11), (0.7, -0.1, 0.1), (0.71, 0.6, 0.08),
            (0.85, 0.15, 0.07),
        ):  # fmt: skip
            x, y = _on_wing(np.array([a]), np.array([b]))[0]
            out += [(ellipse(x, y, r, r, n=12), mark)]
    elif variant == "eyespot":
        x, y = _on_wing(np.array([0.38]), np.array([0.0]))[0]
        pale = sum(mark) > sum(coat.wing)
        ring = shade(coat.wing, 0.4) if pale else blend(coat.wing, (255,) * 3, 0.5)
        for r, color in ((0.38, mark), (0.27, ring), (0.13, mark)):
            out += [(ellipse(x, y, r * 1.15, r), color)]
    else:
        u = np.linspace(0.08, 0.94, 10)
        one = np.ones_like(u)
        for low in (-0.82, -0.4, 0.02, 0.44):
            pair = [_on_wing(u, one * low), _on_wing(u[::-1], one * (low + 0.22))]
            out += [(np.vstack(pair), mark)]
    return out


def _tail(variant: str, coat: Coat) -> Sketch:
    base, dark = coat.tail, shade(coat.tail, 0.55)
    light = blend(coat.tail, (255, 255, 255), 0.3)
    if variant == "forked":
        out: Sketch = []
        for sign, color in ((-1.0, dark), (1.0, base)):
            prong = [
                (0.3, -0.12), (-0.4, 0.26), (-1.5, 0.62), (-0.9, 0.12), (-0.3, -0.08),
            ]  # fmt: skip
            out += [(np.array(prong) * (1.0, sign), color)]
        rib = ribbon(_arc((0.1, 0.1), (-0.5, 0.16), (-1.2, 0.46)), np.full(9, 0.025))
        return [*out, (rib, light)]
    if variant == "fan":
        angles = np.linspace(-0.95, 0.95, 7)
        out = []
        for k, angle in enumerate(angles):
            c, s = -np.cos(angle), np.sin(angle)
            feather = ellipse(0.5 * c, 0.5 * s, 0.62, 0.17, angle=np.pi - angle)
            out += [(feather, (base, shade(base, 0.8))[k % 2])]
        band = _arc((-0.52, -0.72), (-1.32, 0.0), (-0.52, 0.72))
        return [*out, (ribbon(band, np.full(9, 0.07)), dark)]
    if variant == "pointed":
        blade = smooth(
            [(0.3, -0.22), (-0.5, -0.28), (-1.6, 0.0), (-0.5, 0.28), (0.3, 0.22)]
        )
        out = [(blade, base)]
        for x in (-0.3, -0.62, -0.94):
            w = 0.25 * (1.62 + x) / 1.2
            arrow = [(x, -w), (x - 0.16, 0.0), (x, w), (x + 0.12, w * 0.9),
                     (x - 0.04, 0.0), (x + 0.12, -w * 0.9)]  # fmt: skip
            out += [(np.array(arrow), dark)]
        return out
    out = [(smooth([(0.3, -0.2), (-0.4, -0.16), (-0.4, 0.16), (0.3, 0.2)]), base)]
    for sign in (-1.0, 1.0):
        shaft = _arc((-0.2, 0.06 * sign), (-0.7, 0.12 * sign), (-1.15, 0.36 * sign))
        out += [(ribbon(shaft, np.full(9, 0.05)), dark)]
        out += [(ellipse(-1.3, 0.4 * sign, 0.3, 0.24), base)]
        out += [(ellipse(-1.34, 0.4 * sign, 0.15, 0.12, n=14), dark)]
    return out


DRAW: dict[str, Callable[[str, Coat], Sketch]] = {
    "beak": _beak,
    "crest": _crest,
    "wing": _wing,
    "tail": _tail,
}
# Of each part: where its own coordinates begin, about which point it turns, and
# which angle of the pose turns it.
_JOINTS: dict[str, tuple[Points, Points, str | None]] = {
    "tail": (_RUMP, _RUMP, "tail"),
    "legs": (np.zeros(2), _RUMP, None),
    "body": (np.zeros(2), _RUMP, None),
    "crest": (_CREST, _NECK, "head"),
    "head": (np.zeros(2), _NECK, "head"),
    "beak": (_BEAK, _NECK, "head"),
    "eye": (np.zeros(2), _NECK, "head"),
    "wing": (_SHOULDER, _SHOULDER, "wing"),
}


def _legs(coat: Coat) -> Sketch:
    out: Sketch = []
    for x, color in ((0.22, shade(coat.legs, 0.75)), (-0.06, coat.legs)):
        bone = ribbon(
            _arc((x - 0.1, 0.5), (x - 0.14, 0.8), (x, 1.12)), np.full(9, 0.05)
        )
        out += [(bone, color)]
        for toe in (-0.16, 0.12, 0.24):
            claw = _arc((x, 1.08), (x + toe * 0.6, 1.06), (x + toe, 1.2))
            out += [(ribbon(claw, np.linspace(0.05, 0.025, 9)), color)]
    return out


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
    out: Sketch = [(trunk, coat.body), (belly, coat.belly)]
    # Small scales of plumage, so that the trunk is no flat patch of one colour.
    for x, y, tone in zip(
        rng.uniform(-0.75, 0.9, 26),
        rng.uniform(-1.0, 1.0, 26),
        rng.uniform(0.8, 1.16, 26),
        strict=True,
    ):
        y = 0.1 - 0.28 * x + y * 0.4 * np.sqrt(1.0 - (x / 1.1) ** 2)
        scale = np.array([(-0.14, 0.02), (-0.02, -0.06), (0.06, 0.0), (-0.02, 0.07)])
        ground = coat.belly if y > 0.36 - 0.45 * x else coat.body
        out += [(scale + (x, y), shade(ground, tone))]
    return out


def draw_bird(
    variants: Mapping[str, str], coat: Coat, pose: Pose, rng: np.random.Generator
) -> list[Shape]:
    """Return the shapes of a bird in the order of painting.

    Parameters
    ----------
    variants : mapping of str to str
        Variant of each part of `VARIANTS`.
    coat : Coat
        Colours.
    pose : Pose
        Angles of head, wing and tail in radians.
    rng : numpy.random.Generator
        Source of the plumage's small irregularities.

    Returns
    -------
    shapes : list of Shape
        Polygons in the units of the bird.
    """
    cheek = blend(coat.body, coat.belly, 0.5)
    sketches: dict[str, Sketch] = {
        "tail": _tail(variants["tail"], coat),
        "legs": _legs(coat),
        "body": _trunk(coat, rng),
        "crest": _crest(variants["crest"], coat),
        "head": [
            (ellipse(0.8, -0.8, 0.48, 0.46, n=28), coat.body),
            (ellipse(0.94, -0.62, 0.24, 0.2), cheek),
        ],
        "beak": _beak(variants["beak"], coat),
        "eye": [
            (ellipse(0.93, -0.9, 0.125, 0.125, n=14), coat.iris),
            (ellipse(0.945, -0.9, 0.08, 0.08, n=12), (18, 16, 16)),
            (ellipse(0.97, -0.93, 0.03, 0.03, n=8), (250, 250, 250)),
        ],
        "wing": _wing(variants["wing"], coat),
    }
    return [
        Shape(part, _attach(part, points, pose), color)
        for part in PARTS
        for points, color in sketches[part]
    ]


def envelope(pose: Pose) -> Points:
    """Return points that span the bird in this pose whatever its variants.

    Parameters
    ----------
    pose : Pose
        Angles of head, wing and tail in radians.

    Returns
    -------
    points : ndarray of shape (n_points, 2)
        Points of all variants of all parts, in the units of the bird.
    """
    spans = [_attach(part, points, pose) for part, points in _all_variants().items()]
    return np.vstack([*spans, [(0.0, 1.2)]])


@lru_cache(maxsize=1)
def _all_variants() -> dict[str, Points]:
    gray = (128, 128, 128)
    coat = Coat(*(gray,) * len(fields(Coat)))
    return {
        part: np.vstack([points for v in names for points, _ in DRAW[part](v, coat)])
        for part, names in VARIANTS.items()
    }


def _attach(part: str, points: Points, pose: Pose) -> Points:
    """Return a part's points in the coordinates of the bird, turned by the pose."""
    origin, pivot, joint = _JOINTS[part]
    angle = 0.0 if joint is None else getattr(pose, joint)
    own = points * _BOLD.get(part, 1.0) + origin - pivot
    return own @ rotation(angle) + pivot
