"""The modes of each class on a feature map: seeds, elements, and the best of them."""

from __future__ import annotations

import numpy as np

from skdpnet.parts.map_parts import MapParts
from skdpnet.parts.mode_seeking.choice import choose_elements
from skdpnet.parts.mode_seeking.elements import (
    TINY,
    Detections,
    Search,
    biases_over_all,
    folds_of,
    seek_modes,
)
from skdpnet.parts.mode_seeking.seeds import draw_seeds
from skdpnet.utils.batching import slices_within

__all__ = ["learn_modes"]

# Bytes of the detections of some classes' elements in all images, and of each one.
_DETECTION_BYTES = 256 * 2**20
_BYTES_EACH = 8


def learn_modes(
    regions: np.ndarray,
    labels: np.ndarray,
    cells: np.ndarray,
    search: Search,
    *,
    n_seeds: int,
    n_parts: int,
    purity: float,
    random_state: np.random.RandomState,
) -> MapParts:
    """Learn the parts of each class on a map.

    Parameters
    ----------
    regions : float32 ndarray of shape (n, R, K)
        Whitened regions, of length 1, or 0; may be memory-mapped.
    labels : int ndarray of shape (n,)
        Class of each image, in 0 … C - 1; each class has an image.
    cells : int ndarray of shape (R, 4)
        The regions' boxes, as in `RegionGrid.cells`.
    search : Search
    n_seeds, n_parts : int
        Of each class.
    purity : float in (0, 1]
        As in `choose_elements`.
    random_state : RandomState

    Returns
    -------
    MapParts
        Class by class, in the order of selection. The facts are purities and coverages.
    """
    folds = folds_of(labels, search.n_rounds, random_state)
    n_classes = int(labels.max()) + 1
    bytes_per_class = _BYTES_EACH * n_seeds * len(labels)
    parts = []
    for classes in slices_within(n_classes, bytes_per_class, _DETECTION_BYTES):
        numbers = range(classes.start, classes.stop)
        seeds = np.concatenate(
            [
                draw_seeds(
                    regions, np.flatnonzero(labels == c), cells, n_seeds, random_state
                )
                for c in numbers
            ]
        )
        found = seek_modes(regions, labels, folds, seeds, search)
        for i, label in enumerate(numbers):
            of_class = slice(i * n_seeds, (i + 1) * n_seeds)
            of_label = Detections(*(array[of_class] for array in found))
            parts.append(_select(of_label, labels == label, cells, n_parts, purity))
    elements, purities, coverages = map(np.concatenate, zip(*parts, strict=True))
    of_parts = np.repeat(np.arange(n_classes), n_parts)
    biases = biases_over_all(regions, labels, elements, of_parts, search.beta)
    lengths = np.linalg.norm(elements, axis=1).clip(min=TINY)
    return MapParts(
        elements / lengths[:, None],
        of_parts,
        # A cap of all directions has no wider one.
        (biases / lengths).clip(min=-1),
        {"part_purities_": purities, "part_coverages_": coverages},
    )


def _select(
    found: Detections,
    in_class: np.ndarray,
    cells: np.ndarray,
    n_parts: int,
    purity: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a class's best elements with their purities and coverages."""
    boxes = cells[found.regions[:, in_class]]
    chosen = choose_elements(found.scores, boxes, in_class, n_parts, purity)
    return found.elements[chosen.elements], chosen.purities, chosen.coverages
