"""Synthetic images whose classes differ in small parts."""

from __future__ import annotations

from functools import lru_cache, partial
from itertools import permutations, product
from numbers import Real

import numpy as np
from sklearn.utils import Bunch, check_random_state

from skdpnet.datasets._bird_parts import VARIANTS
from skdpnet.datasets._scene import render
from skdpnet.utils.validation import check_whole

__all__ = ["make_part_images"]

_MAX_CLASSES = 64


def make_part_images(
    n_samples: int = 200,
    n_classes: int = 8,
    image_size: int = 224,
    difficulty: float = 0.5,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Make images of birds whose classes differ in small parts only.

    A class is a combination of four parts, beak, crest, wing and tail, each of which
    has four variants of shape or pattern. Class 0, 1, 2, ... are the same birds
    whatever the other parameters, so training and test images can be made by two calls
    with different random states. Most variants belong to several classes, and
    successive classes differ in one or two parts. Everything else (colours, pose,
    size, position, background, objects around and in front, light) is drawn from the
    same distribution for all classes.

    Parameters
    ----------
    n_samples : int, default=200
        Number of images, at least `n_classes`. All classes have the same number of
        images; if that is not possible, the first classes have one more.
    n_classes : int, default=8
        Number of classes, from 2 to 64.
    image_size : int, default=224
        Height and width in pixels, at least 32.
    difficulty : float, default=0.5
        From 0 (a large bird in the centre, nothing around it) to 1 (a small bird in
        any pose, clutter, covered parts, strong light and grain).
    random_state : int, RandomState or None, default=None
        An int gives the same images in every call. With the same int, a larger
        `n_samples` adds images to each class, and changes the order.

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
            For each image, the box (left, top, right, bottom) of each part of which
            anything is visible, in pixels from the upper left corner. The parts are
            tail, legs, body, crest, head, beak, eye and wing. The box also includes
            what objects in front of the bird cover, but not what the bird itself
            hides.
        visible : list of dict
            For each image and each of the eight parts, the share of its pixels, from 0
            to 1, that nothing in front of the bird covers.
        variants : list of dict
            For each class, the variant of each of the parts beak, crest, wing and tail.
        discriminative_parts : dict
            For each ordered pair ``(a, b)`` of different classes, the frozenset of
            parts that distinguish class `a` from class `b`; for each class ``a``, the
            parts that distinguish it from at least one other class.
        discriminative_boxes : list of float64 ndarray of shape (k, 4)
            For each image, the boxes of its visible parts that distinguish its class
            from at least one other: the targets of `skdpnet.metrics.pointing_game`. k
            may be 0.

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    See Also
    --------
    load_image_folder : Images of your own, in a folder for each class.
    skdpnet.metrics.pointing_game : Whether boxes point at discriminative parts.

    Notes
    -----
    The idea of classes that are combinations of parts with known positions is that of
    R. Hesse et al., "FunnyBirds: A Synthetic Vision Dataset for a Part-Based Analysis
    of Explainable AI Methods", ICCV 2023; drawing and classes are this package's own.

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
    n_classes = check_whole("n_classes", n_classes, 2, _MAX_CLASSES)
    n_samples = check_whole("n_samples", n_samples, n_classes)
    image_size = check_whole("image_size", image_size, 32)
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
        # The seed is made of the class and the number within it, so that an image does
        # not depend on the others.
        seed = (root, int(label), int(sample) // n_classes)
        scene = render(seed, variants[label], image_size, float(difficulty))
        images[k] = scene.image
        boxes.append(scene.boxes)
        visible.append(scene.visible)
    parts = _discriminative_parts(variants)
    return Bunch(
        images=images,
        target=target,
        target_names=np.array([f"bird_{k:02d}" for k in range(n_classes)]),
        boxes=boxes,
        visible=visible,
        variants=variants,
        discriminative_parts=parts,
        discriminative_boxes=[
            _boxes_of(parts[int(label)], image_boxes)
            for label, image_boxes in zip(target, boxes, strict=True)
        ],
    )


def _boxes_of(
    parts: frozenset[str], boxes: dict[str, tuple[float, float, float, float]]
) -> np.ndarray:
    """Return the boxes (k, 4) of those parts that have a box."""
    rows = [box for part, box in boxes.items() if part in parts]
    return np.array(rows, dtype=float).reshape(-1, 4)


@lru_cache(maxsize=1)
def _class_table() -> tuple[tuple[int, ...], ...]:
    """Return the numbers of the variants of class 0, 1, 2, ...

    From class to class, one part and two parts change in turn, to the variants that
    were used least before, so that each variant soon belongs to several classes.
    """
    n_variants = [len(names) for names in VARIANTS.values()]
    unused = set(product(*map(range, n_variants)))
    counts = np.zeros((len(n_variants), max(n_variants)), dtype=int)
    row = (0,) * len(n_variants)
    table: list[tuple[int, ...]] = []
    while len(table) < _MAX_CLASSES:
        table.append(row)
        unused.discard(row)
        counts[np.arange(len(n_variants)), row] += 1
        n_changes = 1 + (len(table) + 1) % 2
        row = min(unused, key=partial(_step_cost, row, n_changes, counts))
    return tuple(table)


def _step_cost(
    row: tuple[int, ...], n_changes: int, counts: np.ndarray, candidate: tuple[int, ...]
) -> tuple[int, int, tuple[int, ...]]:
    """Return the cost of a candidate for the class after `row`; the least one wins."""
    n_different = sum(a != b for a, b in zip(row, candidate, strict=True))
    usage = sum(int(counts[part, v]) ** 2 for part, v in enumerate(candidate))
    return abs(n_different - n_changes), usage, candidate


def _discriminative_parts(
    variants: list[dict[str, str]],
) -> dict[int | tuple[int, int], frozenset[str]]:
    """Return the parts that distinguish each pair of classes, and each class."""
    table: dict[int | tuple[int, int], frozenset[str]] = {}
    for a, b in permutations(range(len(variants)), 2):
        parts = frozenset(p for p in VARIANTS if variants[a][p] != variants[b][p])
        table[a, b] = parts
        table[a] = table.get(a, frozenset()) | parts
    return table
