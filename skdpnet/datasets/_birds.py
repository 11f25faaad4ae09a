"""The birds of `skdpnet.datasets.make_part_images`: their parts joined in a pose.

The coordinates of a bird are those of `skdpnet.datasets._bird_parts`: it faces right,
x grows forward, y grows downward, and a unit is about half the length of its trunk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np

from skdpnet.datasets._bird_parts import (
    PARTS,
    VARIANTS,
    Coat,
    sketch_parts,
    sketch_variant,
)
from skdpnet.datasets._shapes import Colour, Points, rotation

__all__ = ["Pose", "Shape", "draw_bird", "envelope"]

# These parts are drawn larger than a real bird's, so that coarse feature maps show
# them.
_ENLARGEMENT = {"beak": 1.15, "crest": 1.15, "wing": 1.06, "tail": 1.1}

_NECK = np.array([0.72, -0.5])
_CREST = np.array([0.72, -1.16])
_BEAK = np.array([1.16, -0.78])
_SHOULDER = np.array([0.62, -0.22])
_RUMP = np.array([-0.98, 0.14])
# For each part: the origin of its own coordinates, the point about which it turns, and
# the angle of the pose by which it turns.
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


@dataclass(frozen=True)
class Shape:
    """A polygon of a part; `points` of shape (k, 2), in units of the bird."""

    part: str
    points: Points
    colour: Colour


@dataclass(frozen=True)
class Pose:
    """The angles by which head, wing and tail are turned, in radians."""

    head: float = 0.0
    wing: float = 0.0
    tail: float = 0.0


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
    list of Shape
        Polygons in units of the bird.
    """
    sketches = sketch_parts(variants, coat, rng)
    return [
        Shape(part, _attach(part, points, pose), colour)
        for part in PARTS
        for points, colour in sketches[part]
    ]


def envelope(pose: Pose) -> Points:
    """Return points whose extent includes every bird of this pose.

    Parameters
    ----------
    pose : Pose
        Angles of head, wing and tail in radians.

    Returns
    -------
    ndarray of shape (n_points, 2)
        Points of all variants of all parts, in units of the bird.
    """
    attached = [_attach(part, points, pose) for part, points in _all_variants().items()]
    feet = [(0.0, 1.2)]
    return np.vstack([*attached, feet])


@lru_cache(maxsize=1)
def _all_variants() -> dict[str, Points]:
    """Return the points of all variants of each part, in its own coordinates."""
    grey = (128, 128, 128)
    coat = Coat(*(grey,) * len(fields(Coat)))
    return {
        part: np.vstack(
            [
                points
                for variant in variants
                for points, _ in sketch_variant(part, variant, coat)
            ]
        )
        for part, variants in VARIANTS.items()
    }


def _attach(part: str, points: Points, pose: Pose) -> Points:
    """Return a part's points in the coordinates of the bird, turned by the pose."""
    origin, pivot, joint = _JOINTS[part]
    angle = 0.0 if joint is None else getattr(pose, joint)
    from_pivot = points * _ENLARGEMENT.get(part, 1.0) + origin - pivot
    return from_pivot @ rotation(angle) + pivot
