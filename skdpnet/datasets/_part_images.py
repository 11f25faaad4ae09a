"""Made images whose classes differ in small parts."""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations, product
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_random_state

from skdpnet.datasets._birds import VARIANTS
from skdpnet.datasets._scenery import render

__all__ = ["make_part_images"]

_MAX_CLASSES = 64


@lru_cache(maxsize=1)
def _class_table() -> tuple[tuple[int, ...], ...]:
    """Return the variant numbers of class 0, 1, 2...: a walk of small steps.

    Class after class the walk changes one part and two parts in turn, and goes to
    the variants used least so far, so that no variant marks one class for long.
    """
    sizes = [len(v) for v in VARIANTS.values()]
    left = set(product(*map(range, sizes)))
    used = np.zeros((len(sizes), max(sizes)), dtype=int)
    row = (0,) * len(sizes)
    table: list[tuple[int, ...]] = []
    while len(table) < _MAX_CLASSES:
        table.append(row)
        left.discard(row)
        used[np.arange(len(sizes)), row] += 1
        wanted = 1 + (len(table) + 1) % 2

        def cost(other: tuple[int, ...], row: Any = row, wanted: int = wanted) -> Any:
            step = sum(a != b for a, b in zip(row, other, strict=True))
            wear = sum(int(used[p, v]) ** 2 for p, v in enumerate(other))
            return abs(step - wanted), wear, other

        row = min(left, key=cost)
    return tuple(table)


def make_part_images(
    n_samples: int = 200,
    n_classes: int = 8,
    image_size: int = 224,
    difficulty: float = 0.5,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Make images of birds whose classes differ in small parts only.

    Every class is one combination of four parts: beak, crest, wing and tail, each
    of four shapes or patterns. Class 0, 1, 2... are the same birds whatever the
    other parameters, so that training and test images come from two calls with
    two random states. Most variants belong to several classes, and classes of
    neighbouring numbers differ in one or two parts. All else (colours,
    pose, size, place, background, things around and in front, light) is drawn
    alike for all classes.

    Parameters
    ----------
    n_samples : int, default=200
        Number of images, at least `n_classes`. Classes get the same number each,
        the first ones get one more where it does not divide.
    n_classes : int, default=8
        Number of classes, 2 to 64.
    image_size : int, default=224
        Height and width in pixels, at least 32.
    difficulty : float, default=0.5
        From 0 (bird large, in the middle, nothing around it) to 1 (small bird
        turned at will, clutter, parts covered, strong light and grain).
    random_state : int, RandomState instance or None, default=None
        Source of chance. An int gives the same images on every call. With the
        same int, a larger `n_samples` adds images of each class to the same ones,
        in another order.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the fields

        images : ndarray of shape (n_samples, image_size, image_size, 3), uint8
            Images in RGB.
        target : ndarray of shape (n_samples,), int
            Class of each image, in random order.
        target_names : ndarray of shape (n_classes,), str
            Name of each class.
        boxes : list of dict
            For each image, part name -> (left, top, right, bottom) in pixels from
            the upper left corner, for the parts tail, legs, body, crest, head, beak,
            eye and wing that can be seen at all. A box is the extent of what the
            bird itself shows of the part, also where things in front cover it.
        visible : list of dict
            For each image and each of the eight parts, the fraction, 0 to 1, of
            those pixels of the part that nothing in front covers.
        variants : list of dict
            For each class, part name -> variant of that part, for the four parts
            beak, crest, wing and tail.
        discriminative_parts : dict
            Under ``(a, b)``, for each ordered pair of different classes, the
            frozenset of parts that tell class `a` from class `b`; under ``a``, the
            parts that tell class `a` from at least one other class.
        discriminative_boxes : list of float64 ndarray of shape (k, 4)
            For each image, the boxes of those of its parts, if any can be seen,
            that tell its class from at least one other: the targets of
            `skdpnet.metrics.pointing_game`.

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    Examples
    --------
    >>> from skdpnet.datasets import make_part_images
    >>> data = make_part_images(n_samples=6, n_classes=3, random_state=0)
    >>> data.images.shape
    (6, 224, 224, 3)
    >>> data.variants[0]["beak"], data.variants[2]["crest"]
    ('hooked', 'spikes')
    >>> sorted(data.discriminative_parts[0, 1])
    ['tail']
    """
    _check_int("n_classes", n_classes, 2, _MAX_CLASSES)
    _check_int("n_samples", n_samples, n_classes, None)
    _check_int("image_size", image_size, 32, None)
    if (
        isinstance(difficulty, bool)
        or not isinstance(difficulty, Real)
        or not 0 <= difficulty <= 1
    ):
        raise ValueError(f"difficulty must be a number in [0, 1], got {difficulty!r}.")
    random = check_random_state(random_state)
    root = int(random.randint(2**31 - 1))
    order = random.permutation(n_samples)
    target = order % n_classes
    variants = [
        {part: VARIANTS[part][v] for part, v in zip(VARIANTS, row, strict=True)}
        for row in _class_table()[:n_classes]
    ]
    images = np.empty((n_samples, image_size, image_size, 3), dtype=np.uint8)
    boxes, visible = [], []
    for k, (sample, label) in enumerate(zip(order, target, strict=True)):
        # A seed of class and number within it: no image depends on the others.
        seed = (root, int(label), int(sample) // n_classes)
        scene = render(seed, variants[label], image_size, float(difficulty))
        images[k] = scene.image
        boxes.append(scene.boxes)
        visible.append(scene.visible)
    telling = _discriminative_parts(variants)
    return Bunch(
        images=images,
        target=target,
        target_names=np.array([f"bird_{k:02d}" for k in range(n_classes)]),
        boxes=boxes,
        visible=visible,
        variants=variants,
        discriminative_parts=telling,
        discriminative_boxes=[
            np.array(
                [box for part, box in own.items() if part in telling[int(label)]],
                dtype=float,
            ).reshape(-1, 4)
            for own, label in zip(boxes, target, strict=True)
        ],
    )


def _check_int(name: str, value: object, low: int, high: int | None) -> None:
    right = isinstance(value, Integral) and not isinstance(value, bool)
    if not right or value < low or (high is not None and value > high):  # type: ignore[operator]
        upper = "" if high is None else f" and at most {high}"
        raise ValueError(
            f"{name} must be an integer of at least {low}{upper}, got {value!r}."
        )


def _discriminative_parts(
    variants: list[dict[str, str]],
) -> dict[int | tuple[int, int], frozenset[str]]:
    apart: dict[int | tuple[int, int], frozenset[str]] = {}
    for a, b in permutations(range(len(variants)), 2):
        parts = frozenset(p for p in VARIANTS if variants[a][p] != variants[b][p])
        apart[a, b] = parts
        apart[a] = apart.get(a, frozenset()) | parts
    return apart
