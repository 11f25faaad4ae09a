"""How good a model's explanations are, each measure beside what chance gives.

All measures are those of `skdpnet.metrics`. What chance is differs: another region of
the same size for places, another order of pixels or of parts for decisions, parts
drawn blindly for how alike parts are.

Deletion and insertion: so that models with scores of different scales compare, a score
is given as its place between that of the blank, 0, and that of the whole image, 1,
both means over the images.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.explanations.image_sets import ImageSet
from benchmarks.explanations.models import GlobalModel, PartModel, Seen, forgetting
from skdpnet import best_regions, metrics
from skdpnet.explanations.contributions import region_boxes
from skdpnet.regions import RegionGrid

__all__ = ["Against", "areas", "measure"]

# As in the papers: sides of the boxes in shares of the square.
_PURITY_SIDE, _CONSISTENCY_SIDE = 32 / 224, 72 / 224


class Against(NamedTuple):
    """A measure, and the same by chance."""

    value: float
    chance: float


def measure(
    model: PartModel | GlobalModel,
    data: ImageSet,
    *,
    n_perturbed: int,
    n_steps: int,
    seed: int,
) -> dict[str, Against]:
    """Measure all that can be measured of a model on a data set.

    Parameters
    ----------
    model : PartModel or GlobalModel
    data : ImageSet
    n_perturbed : int
        How many test images are changed and seen again.
    n_steps : int
        Of deletion and insertion.
    seed : int
        Of chance.

    Returns
    -------
    dict of str to Against
    """
    random = np.random.RandomState(seed)
    rows, squares = data.sample(n_perturbed)
    seen = model.see(squares)
    found = {}
    if isinstance(model, PartModel) or data.targets is not None:
        everywhere = model.see(data.test)
        scores = everywhere.scores
    else:
        scores = model.scores(data.test)
    correct = scores.argmax(axis=1) == data.test_y
    found["accuracy"] = Against(float(correct.mean()), 1 / len(data.names))
    if data.targets is not None:
        found |= _pointing(model, everywhere, data.targets, random)
    found |= areas(model, squares, seen, n_steps)
    if isinstance(model, PartModel):
        if data.truths is not None:
            found |= _agreement(model, data, random)
            found["stability"] = _stability(model, data, rows, squares, random)
        found["response drop"] = _response_drop(model, squares, seen, random)
        found |= _sizes(model, everywhere.descriptors, random)
        found |= _redundancy(model, random)
    return found


def _pointing(model, seen: Seen, targets, random) -> dict[str, Against]:
    """Whether the strongest part, and the heat map's maximum, point at telling parts.

    Chance draws from the regions of all maps, and from the cells of the heat map, so
    it knows nothing of where in images the things are.
    """

    def share(boxes: np.ndarray) -> float:
        return float(metrics.pointing_game(boxes, targets).mean())

    def blind(grids) -> float:
        return share(metrics.random_regions(grids, len(targets), 1, random)[:, 0])

    n, height, width = seen.heat_maps.shape
    cells = RegionGrid(height, width, ((1, 1),))
    peaks = seen.heat_maps.reshape(n, -1).argmax(axis=1)
    found = {"peak": Against(share(cells.boxes()[peaks]), blind([cells]))}
    if seen.top_boxes is not None:
        found["top part"] = Against(
            share(seen.top_boxes), blind(model.describer.grids_)
        )
    return found


def _blind(model: PartModel, regions: np.ndarray, random) -> np.ndarray:
    """Draw a region of the same size for each of the regions (n, P)."""
    maps = model.describer.part_maps_
    grids = model.describer.grids_
    return metrics.random_regions(
        grids, *regions.shape, random, part_maps=maps, like=regions
    )


def _places(model: PartModel, X) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Regions (n, P) of all parts, their boxes in shares, and the responses."""
    found = best_regions(model.describer, X)
    boxes = region_boxes(model.describer, found.regions)
    return found.regions, boxes, found.responses


def _hits(boxes: np.ndarray, side: float, truths: np.ndarray) -> NDArray[np.bool_]:
    return metrics.part_hits(metrics.resize_boxes(boxes, side), truths)


def _own_class(model: PartModel, y: np.ndarray) -> NDArray[np.bool_]:
    """Whether each part (n, P) is one of the image's class."""
    parts = model.describer
    return y[:, None] == parts.classes_[parts.part_classes_]


def _agreement(model: PartModel, data: ImageSet, random) -> dict[str, Against]:
    """Purity, and the share of consistent parts."""
    regions, boxes, responses = _places(model, data.test)
    visible = ~np.isnan(data.truths).any(axis=2)
    active = _own_class(model, data.test_y)
    purity, consistent = [], []
    for own in (boxes, _blind(model, regions, random)):
        hits = _hits(own, _PURITY_SIDE, data.truths)
        purity.append(float(metrics.part_purity(hits, visible, responses).mean()))
        hits = _hits(own, _CONSISTENCY_SIDE, data.truths)
        stays = metrics.consistency(hits, visible, active=active)
        consistent.append(float(stays.mean()))
    return {"purity": Against(*purity), "consistency": Against(*consistent)}


def _stability(model: PartModel, data: ImageSet, rows, squares, random) -> Against:
    """Stability under noise, which is the same for all models."""
    truths = data.truths[rows]
    active = _own_class(model, data.test_y[rows])
    noisy = metrics.add_noise(squares, random_state=0)
    regions, boxes, _ = _places(model, squares)
    _, again, _ = _places(model, noisy)
    blind = [_blind(model, regions, random) for _ in range(2)]
    pairs = ((boxes, again), blind)
    return Against(
        *(
            metrics.stability(
                *(_hits(own, _CONSISTENCY_SIDE, truths) for own in pair), active=active
            )
            for pair in pairs
        )
    )


def areas(
    model: PartModel | GlobalModel,
    squares: NDArray[np.uint8],
    seen: Seen,
    n_steps: int,
) -> dict[str, Against]:
    """Areas under the mean deletion and insertion curves of the predicted classes.

    Parameters
    ----------
    model : PartModel or GlobalModel
    squares : uint8 ndarray of shape (n, S, S, 3)
    seen : Seen
        In them.
    n_steps : int

    Returns
    -------
    dict of str to Against
        ``deletion``, the smaller the better, and ``insertion``, the larger the better:
        of the score. ``deletion, kept`` and ``insertion, kept``: of the share of
        images that still, or already, get the class that is predicted for the whole
        image; these need no scale. Chance takes the pixels in an order that is the
        same for all models whose heat maps have as many cells.
    """
    # Images changed by this model's heat maps are its own.
    with forgetting(model.describer):
        own = _areas(model, squares, seen, seen.heat_maps, n_steps)
    # Of equal heat the order is by chance.
    chance = _areas(model, squares, seen, np.zeros_like(seen.heat_maps), n_steps)
    return {name: Against(own[name], chance[name]) for name in own}


def _areas(model, squares, seen: Seen, heat_maps, n_steps: int) -> dict[str, float]:
    classes = seen.scores.argmax(axis=1)
    scores, kept = {}, {}
    for name, insertion in (("deletion", False), ("insertion", True)):
        found = [
            model.scores(
                metrics.mask_pixels(square, heat, n_steps, insertion=insertion)
            )
            for square, heat in zip(squares, heat_maps, strict=True)
        ]
        # Images, steps, classes.
        every = np.array(found)
        scores[name] = every[np.arange(len(every)), :, classes].mean(axis=0)
        kept[name] = (every.argmax(axis=2) == classes[:, None]).mean(axis=0)
    blank, whole = scores["insertion"][0], scores["deletion"][0]
    return {
        **{
            k: metrics.area_under((v - blank) / (whole - blank))
            for k, v in scores.items()
        },
        **{f"{k}, kept": metrics.area_under(v) for k, v in kept.items()},
    }


def _response_drop(model: PartModel, squares, seen: Seen, random) -> Against:
    """Share of the top part's response that is lost when its region is covered."""
    rows = np.flatnonzero(seen.top >= 0)
    drop = metrics.response_drop(
        model.describer, squares[rows], seen.top[rows, None], random_state=random
    )
    before = float(drop.before.mean())
    return Against(drop.mean_best / before, drop.mean_random / before)


def _sizes(model: PartModel, descriptors, random) -> dict[str, Against]:
    """Medians of the numbers of parts that keep, and that flip, a decision."""
    readout = model.readout
    blind = np.argsort(random.random_sample(descriptors.shape), axis=1)

    def median(count, order) -> float:
        counts = count(readout.coef, readout.intercept, descriptors, order=order)
        return float(np.median(counts))

    return {
        name: Against(median(count, None), median(count, blind))
        for name, count in (
            ("keep", metrics.parts_to_keep),
            ("flip", metrics.parts_to_flip),
        )
    }


def _redundancy(model: PartModel, random) -> dict[str, Against]:
    """How alike parts are, beside as many normal draws of as many numbers."""
    parts, maps = model.describer.parts_, model.describer.part_maps_
    # Zeros fill the rows of maps with fewer dimensions.
    blind = random.normal(size=parts.shape) * (parts != 0)
    own, chance = metrics.redundancy(parts, maps), metrics.redundancy(blind, maps)
    return {
        "redundancy": Against(own.mean, chance.mean),
        "closest pair": Against(own.maximum, chance.maximum),
    }
