"""Synthetic images whose classes differ in the arrangement of their parts alone."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from sklearn.utils import Bunch, check_random_state

from skdpnet.datasets._bird_parts import sketch_variant
from skdpnet.datasets._scene import Box, draw_coat
from skdpnet.datasets._scenery import (
    LANDSCAPES,
    draw_background,
    paint,
    paint_distractor,
)
from skdpnet.datasets._shapes import rotation
from skdpnet.utils.validation import check_whole

__all__ = ["make_arrangement_images"]

# The parts of every image, each of a single variant.
_PARTS = {"beak": "spoon", "crest": "spikes", "tail": "fan", "wing": "eyespot"}
# The image has this many rows and columns of cells; the pattern takes two of each.
_CELLS = 3
_BLOCK = ((0, 0), (0, 1), (1, 0), (1, 1))
_MAX_CLASSES = 24
# Longer side of a part, in cells, and the largest shift of its centre from the cell's.
_PART_SIDE, _JITTER = 0.8, 0.08
_CLUTTER = 8
_OVERSAMPLING = 3


def make_arrangement_images(
    n_samples: int = 200,
    n_classes: int = 4,
    image_size: int = 224,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Make images whose classes differ in the arrangement of the same parts alone.

    Every image shows the same four parts, once each: beak, crest, tail and wing of the
    birds of `make_part_images`, but apart from one another. They fill a block of 2×2
    cells, and a class is an order of the parts in the block. The image is a window of
    3×3 cells on a pattern that repeats the block every three cells, moved by whole
    cells at random: what leaves on one side comes in on the other. So each part is in
    each of the nine cells with the same probability whatever the class, and neither
    which parts there are nor where one of them is tells anything of the class. Only
    where parts are to one another does. Colours, turns, small shifts, background and
    the objects in it are drawn from the same distribution for all classes.

    Class 0, 1, 2, ... are the same arrangements whatever the other parameters, so
    training and test images can be made by two calls with different random states.

    Parameters
    ----------
    n_samples : int, default=200
        Number of images, at least `n_classes`. All classes have the same number of
        images; if that is not possible, the first classes have one more.
    n_classes : int, default=4
        Number of classes, from 2 to 24. In any two of the first four all parts have
        other places in the block.
    image_size : int, default=224
        Height and width in pixels, at least 32.
    random_state : int, RandomState or None, default=None
        An int gives the same images in every call.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        With the attributes

        images : uint8 ndarray of shape (n_samples, image_size, image_size, 3)
            RGB images.
        target : int ndarray of shape (n_samples,)
            Class of each image, in random order.
        target_names : str ndarray of shape (n_classes,)
            Name of each class.
        boxes : list of dict
            For each image, the box (left, top, right, bottom) of each of the parts
            beak, crest, tail and wing, in pixels from the upper left corner. Nothing
            covers them.
        arrangements : list of dict
            For each class, the (row, column) of each part in the block.

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    See Also
    --------
    make_part_images : Images whose classes differ in the parts that they show.
    skdpnet.LayoutGraphClassifier : Tells arrangements apart.

    Examples
    --------
    >>> from skdpnet.datasets import make_arrangement_images
    >>> data = make_arrangement_images(4, n_classes=2, image_size=64, random_state=0)
    >>> data.images.shape
    (4, 64, 64, 3)
    >>> data.arrangements[0]
    {'beak': (0, 0), 'crest': (0, 1), 'tail': (1, 0), 'wing': (1, 1)}
    >>> sorted(data.boxes[0])
    ['beak', 'crest', 'tail', 'wing']
    """
    n_classes = check_whole("n_classes", n_classes, 2, _MAX_CLASSES)
    n_samples = check_whole("n_samples", n_samples, n_classes)
    image_size = check_whole("image_size", image_size, 32)
    random = check_random_state(random_state)
    root = int(random.randint(2**31 - 1))
    order = random.permutation(n_samples)
    target = order % n_classes
    arrangements = [
        dict(zip(_PARTS, (_BLOCK[place] for place in places), strict=True))
        for places in _class_table()[:n_classes]
    ]
    images = np.empty((n_samples, image_size, image_size, 3), dtype=np.uint8)
    boxes = []
    for k, (sample, label) in enumerate(zip(order, target, strict=True)):
        # An image does not depend on the others.
        rng = np.random.default_rng((root, int(sample)))
        images[k], of_image = _render(rng, arrangements[label], image_size)
        boxes.append(of_image)
    return Bunch(
        images=images,
        target=target,
        target_names=np.array([f"arrangement_{k:02d}" for k in range(n_classes)]),
        boxes=boxes,
        arrangements=arrangements,
    )


def _class_table() -> list[tuple[int, ...]]:
    """Return the place of each part in the block, for class 0, 1, 2, ...

    Each class is the one that shares places with the fewest of those before.
    """
    left = sorted(permutations(range(len(_BLOCK))))
    table = [left.pop(0)]
    while left:
        shared = [
            sum(a == b for row in table for a, b in zip(row, other, strict=True))
            for other in left
        ]
        table.append(left.pop(int(np.argmin(shared))))
    return table


def _render(
    rng: np.random.Generator, arrangement: dict[str, tuple[int, int]], size: int
) -> tuple[NDArray[np.uint8], dict[str, Box]]:
    """Draw an image, and find the boxes of its parts."""
    landscape = LANDSCAPES[rng.integers(len(LANDSCAPES))]
    coat = draw_coat(rng)
    image = draw_background(rng, size, 0.3, landscape)
    large = size * _OVERSAMPLING
    # The reduction at the end undoes this enlargement exactly.
    image = image.resize((large, large), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(image)
    cell = large / _CELLS
    for kind in rng.integers(0, 5, _CLUTTER):
        paint_distractor(draw, rng, large, 0.3 * cell, coat, landscape, int(kind))
    shift = rng.integers(_CELLS, size=2)
    boxes = {}
    for part, place in arrangement.items():
        row, column = (np.array(place) + shift) % _CELLS
        sketch = sketch_variant(part, _PARTS[part], coat)
        turn = rotation(rng.uniform(-0.25, 0.25))
        polygons = [points @ turn for points, _ in sketch]
        low, high = _extent(polygons)
        scale = _PART_SIDE * cell / (high - low).max()
        centre = np.array([column, row]) + 0.5 + rng.uniform(-_JITTER, _JITTER, 2)
        origin = centre * cell - scale * (low + high) / 2
        placed = [scale * points + origin for points in polygons]
        for points, (_, colour) in zip(placed, sketch, strict=True):
            paint(draw, points, colour)
        left, top, right, bottom = np.concatenate(_extent(placed)) / _OVERSAMPLING
        boxes[part] = float(left), float(top), float(right), float(bottom)
    return np.asarray(image.reduce(_OVERSAMPLING)), boxes


def _extent(polygons: list[NDArray[np.float64]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the upper left and the lower right corner of some polygons."""
    points = np.vstack(polygons)
    return points.min(axis=0), points.max(axis=0)
