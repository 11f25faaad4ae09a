"""Measures of a model's explanations, each with its value by chance.

All measures are those of `skdpnet.metrics`. Chance means random regions of the same
size for measures of location, a random order of pixels or parts for measures of
decisions, and random parts for measures of similarity between parts.

Deletion and insertion: the blank is the blurred image for both, so that one curve ends
where the other starts. Models have scores of different scales. Hence a score is
rescaled such that the mean score of the blank images is 0 and that of the whole images
is 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.explanations.decision_measures import (
    evidence,
    numbers_of_parts,
    redundancy,
)
from benchmarks.explanations.image_sets import ImageSet
from benchmarks.explanations.measurement import Measurement
from benchmarks.explanations.models import (
    GlobalModel,
    ModelExplanations,
    PartModel,
    without_memory,
)
from skdpnet import best_regions, metrics
from skdpnet.explanations.localisation import region_boxes
from skdpnet.images.framing import Framing
from skdpnet.regions import RegionGrid

__all__ = [
    "Measurement", "agreement", "curve_areas", "measure", "on_object", "pointing",
    "response_drop", "stability",
]  # fmt: skip

# Sides of the boxes as in the papers, in fractions of the network's image size.
_PURITY_SIDE, _CONSISTENCY_SIDE = 32 / 224, 72 / 224


def measure(
    model: PartModel | GlobalModel,
    data: ImageSet,
    *,
    n_perturbed: int,
    n_steps: int,
    seed: int,
) -> dict[str, Measurement]:
    """Compute all measures that apply to a model and a data set.

    Parameters
    ----------
    model : PartModel or GlobalModel
    data : ImageSet
    n_perturbed : int
        Number of test images that are perturbed.
    n_steps : int
        Steps of deletion and insertion.
    seed : int
        Random state of chance.

    Returns
    -------
    dict of str to Measurement
    """
    random = np.random.RandomState(seed)
    rows, inputs = data.sample(n_perturbed)
    sampled = model.explain(inputs)
    measures = {}
    if isinstance(model, PartModel) or data.targets is not None:
        explained = model.explain(data.test)
        scores = explained.scores
    else:
        scores = model.scores(data.test)
    correct = scores.argmax(axis=1) == data.test_y
    measures["accuracy"] = Measurement(float(correct.mean()), 1 / len(data.names))
    if data.targets is not None:
        measures |= pointing(
            model, explained, data.targets, random, data.shares(data.test)
        )
    measures |= curve_areas(model, inputs, sampled, n_steps)
    if isinstance(model, PartModel):
        if data.objects is not None:
            measures["inside"] = on_object(model, explained, data, random)
        if data.truths is not None:
            measures |= agreement(model, data, random)
            measures["stability"] = stability(model, data, rows, inputs, random)
        measures["response drop"] = response_drop(model, inputs, sampled, random)
        measures |= numbers_of_parts(model, explained.descriptors, random)
        measures |= evidence(
            model, explained.descriptors[correct], scores[correct].argmax(axis=1)
        )
        measures |= redundancy(model, random)
    return measures


def pointing(
    model: PartModel | GlobalModel,
    explained: ModelExplanations,
    targets: Sequence[np.ndarray],
    random: np.random.RandomState,
    shares: NDArray[np.float64] | None = None,
) -> dict[str, Measurement]:
    """Compute in how many images top part and heat-map maximum hit a target.

    Chance draws uniformly from the regions of all maps with parts, and from the cells
    of the heat map, so it does not know that objects tend to be in the middle of
    images.

    Parameters
    ----------
    model : PartModel or GlobalModel
    explained : ModelExplanations
        The explanations of n images of one shape.
    targets : sequence of n ndarrays of shape (k, 4)
        `ImageSet.targets`.
    random : RandomState
        It draws what is there by chance.
    shares : ndarray of shape (n, 2), default=None
        The shares of the canvas that the images cover; None: all of it.

    Returns
    -------
    dict of str to Measurement
        ``peak`` and, for a model with parts, ``top part``: shares of the images.
    """

    def hit_share(boxes: np.ndarray) -> float:
        return float(metrics.pointing_game(boxes, targets).mean())

    def by_chance(grids, shares=None) -> np.ndarray:
        return metrics.random_regions(grids, n, 1, random, shares=shares)[:, 0]

    n, height, width = np.shape(explained.heat_maps)
    cells = RegionGrid(height, width, ((1, 1),))
    peaks = cells.boxes()[np.reshape(explained.heat_maps, (n, -1)).argmax(axis=1)]
    # Heat maps cover the image, and its parts are known on the canvas.
    on_canvas = 1.0 if shares is None else np.tile(shares, 2)
    values = (hit_share(boxes * on_canvas) for boxes in (peaks, by_chance([cells])))
    measures = {"peak": Measurement(*values)}
    if explained.top_boxes is not None:
        measures["top part"] = Measurement(
            hit_share(explained.top_boxes),
            hit_share(by_chance(model.placed_grids, shares)),
        )
    return measures


def on_object(
    model: PartModel, explained: ModelExplanations, data: ImageSet, random
) -> Measurement:
    """Compute in how many images the centre of the top part lies on the object.

    Parameters
    ----------
    model : PartModel
    explained : ModelExplanations
        The explanations of the test images.
    data : ImageSet
        With boxes of the objects.
    random : RandomState
        It draws regions by chance.

    Returns
    -------
    Measurement
        A share of the images. The top part is the present part with the largest
        contribution to the predicted class.
    """
    n, grids = len(data.objects), model.placed_grids
    by_chance = metrics.random_regions(
        grids, n, 1, random, shares=data.shares(data.test)
    )[:, 0]
    targets = data.objects[:, None]
    return Measurement(
        *(
            float(metrics.pointing_game(boxes, targets).mean())
            for boxes in (explained.top_boxes, by_chance)
        )
    )


def _random_like(model: PartModel, regions: np.ndarray, random, shares) -> np.ndarray:
    """Draw a region of the same size for each of the regions (n, P)."""
    maps = model.transformer.part_maps_[model.placed_parts]
    grids = model.transformer.grids_
    return metrics.random_regions(
        grids, *regions.shape, random, part_maps=maps, like=regions, shares=shares
    )


def _locate_parts(model: PartModel, X) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return best regions (n, P), their boxes and their responses of `placed_parts`."""
    best, placed = best_regions(model.transformer, X), model.placed_parts
    boxes = region_boxes(model.transformer, best.regions)
    return best.regions[:, placed], boxes[:, placed], best.responses[:, placed]


def _hits(
    boxes: np.ndarray, side: float, truths: np.ndarray, framing: Framing
) -> NDArray[np.bool_]:
    on_canvas = side * framing.image_size / framing.canvas_side
    return metrics.part_hits(metrics.resize_boxes(boxes, on_canvas), truths)


def _active_parts(model: PartModel, X, y: np.ndarray) -> NDArray[np.bool_]:
    """Return which images count for which part of `placed_parts`, (n, P).

    Those of the class that the part was learned for; for a part that classes share,
    those in which it responds more than on average (`skdpnet.metrics.consistency`).
    """
    parts = model.transformer
    shared = parts.part_classes_ < 0
    active = y[:, None] == parts.classes_[np.where(shared, 0, parts.part_classes_)]
    if shared.any():
        responses = parts.transform(X)[:, shared]
        active[:, shared] = responses > responses.mean(axis=0)
    return active[:, model.placed_parts]


def agreement(
    model: PartModel, data: ImageSet, random: np.random.RandomState
) -> dict[str, Measurement]:
    """Compute how well parts agree with the known parts of the test images.

    Parameters
    ----------
    model : PartModel
    data : ImageSet
        With `truths`.
    random : RandomState
        It draws the regions by chance.

    Returns
    -------
    dict of str to Measurement
        ``purity``: the mean over the parts; ``consistency``: the share of the parts
        that are consistent.
    """
    regions, boxes, responses = _locate_parts(model, data.test)
    visible = ~np.isnan(data.truths).any(axis=2)
    active = _active_parts(model, data.test, data.test_y)
    purity, consistency = [], []
    random_boxes = _random_like(model, regions, random, data.shares(data.test))
    for part_boxes in (boxes, random_boxes):
        hits = _hits(part_boxes, _PURITY_SIDE, data.truths, data.framing)
        purity.append(float(metrics.part_purity(hits, visible, responses).mean()))
        hits = _hits(part_boxes, _CONSISTENCY_SIDE, data.truths, data.framing)
        is_consistent = metrics.consistency(hits, visible, active=active)
        consistency.append(float(is_consistent.mean()))
    return {"purity": Measurement(*purity), "consistency": Measurement(*consistency)}


def stability(
    model: PartModel,
    data: ImageSet,
    rows: NDArray[np.intp],
    inputs: Sequence[NDArray[np.uint8]],
    random: np.random.RandomState,
) -> Measurement:
    """Compute the stability of the parts under noise, which all models share.

    Parameters
    ----------
    model : PartModel
    data : ImageSet
        With `truths`.
    rows : int ndarray of shape (n,)
    inputs : sequence of n uint8 ndarrays of shape (H, W, 3)
        Test images, as `ImageSet.sample` returns them.
    random : RandomState
        It draws the regions by chance.

    Returns
    -------
    Measurement
    """
    truths = data.truths[rows]
    active = _active_parts(model, inputs, data.test_y[rows])
    noise = np.random.RandomState(0)
    noisy = [metrics.add_noise(image, random_state=noise) for image in inputs]
    regions, boxes, _ = _locate_parts(model, inputs)
    _, noisy_boxes, _ = _locate_parts(model, noisy)
    shares = data.shares(inputs)
    random_boxes = [_random_like(model, regions, random, shares) for _ in range(2)]

    def share(pair) -> float:
        side, framing = _CONSISTENCY_SIDE, data.framing
        hits = [_hits(part_boxes, side, truths, framing) for part_boxes in pair]
        return metrics.stability(*hits, active=active)

    return Measurement(share((boxes, noisy_boxes)), share(random_boxes))


def curve_areas(
    model: PartModel | GlobalModel,
    inputs: Sequence[NDArray[np.uint8]],
    explained: ModelExplanations,
    n_steps: int,
) -> dict[str, Measurement]:
    """Compute areas under the mean deletion and insertion curves.

    Parameters
    ----------
    model : PartModel or GlobalModel
    inputs : sequence of n uint8 ndarrays of shape (H, W, 3)
    explained : ModelExplanations
        The explanations of `inputs`.
    n_steps : int

    Returns
    -------
    dict of str to Measurement
        ``deletion``, where less is better, and ``insertion``, where more is better:
        areas under the score of the predicted class. ``deletion, kept`` and
        ``insertion, kept``: areas under the share of images whose prediction is that of
        the whole image; this share needs no rescaling. By chance, pixels are in an
        order that is equal for all models with heat maps of the same number of cells.
    """
    # No other model sees images that were perturbed by the heat maps of this one.
    with without_memory(model.transformer):
        values = _areas(model, inputs, explained, explained.heat_maps, n_steps)
    # Cells of equal heat are in random order.
    no_heat = [np.zeros_like(heat) for heat in explained.heat_maps]
    chance = _areas(model, inputs, explained, no_heat, n_steps)
    return {name: Measurement(values[name], chance[name]) for name in values}


def _areas(
    model, inputs, explained: ModelExplanations, heat_maps, n_steps: int
) -> dict[str, float]:
    classes = explained.scores.argmax(axis=1)
    scores, kept = {}, {}
    for name, insertion in (("deletion", False), ("insertion", True)):
        # Of shape (images, steps, classes).
        curves = np.array(
            [
                model.scores(
                    metrics.mask_pixels(
                        image, heat, n_steps, blank="blur", insertion=insertion
                    )
                )
                for image, heat in zip(inputs, heat_maps, strict=True)
            ]
        )
        scores[name] = curves[np.arange(len(curves)), :, classes].mean(axis=0)
        kept[name] = (curves.argmax(axis=2) == classes[:, None]).mean(axis=0)
    blank, whole = scores["insertion"][0], scores["deletion"][0]
    return {
        **{
            k: metrics.area_under((v - blank) / (whole - blank))
            for k, v in scores.items()
        },
        **{f"{k}, kept": metrics.area_under(v) for k, v in kept.items()},
    }


def response_drop(
    model: PartModel,
    inputs: Sequence[NDArray[np.uint8]],
    explained: ModelExplanations,
    random: np.random.RandomState,
) -> Measurement:
    """Compute the share of the top part's response that its region gives.

    Parameters
    ----------
    model : PartModel
    inputs : sequence of n uint8 ndarrays of shape (H, W, 3)
    explained : ModelExplanations
        The explanations of `inputs`.
    random : RandomState
        It draws the regions by chance.

    Returns
    -------
    Measurement
        What is lost where the region is covered.
    """
    rows = np.flatnonzero(explained.top_parts >= 0)
    drop = metrics.response_drop(
        model.transformer,
        [inputs[row] for row in rows],
        explained.top_parts[rows, None],
        random_state=random,
    )
    before = float(drop.before.mean())
    return Measurement(drop.mean_best / before, drop.mean_random / before)
