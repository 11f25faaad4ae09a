"""Regions and heat maps come back to the image from every framing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skdpnet import best_regions, explain_each, metrics, part_galleries
from skdpnet.base.part_estimator import PartEstimator
from skdpnet.images.framing import CENTER, FRAMINGS
from tests.explanations.marked_images import GREEN, RED, TURNS, MeanColours

# Widths and heights, and the upper left corner and the side of a mark in each.
MARKS = [
    ((200, 128), (60, 20), 40),
    ((200, 128), (100, 70), 40),
    ((128, 190), (10, 70), 40),
    ((128, 200), (70, 40), 40),
    ((128, 128), (70, 80), 40),
    ((300, 150), (90, 60), 80),
]
# What the heat map covers of an image of 300×150 pixels. "pad": a pixel of the input
# is 300/128 of the image, and 32 rows above and below are empty.
COVERED = {
    "crop": (75, 0, 225, 150),
    "squash": (0, 0, 300, 150),
    "pad": (0, -75, 300, 225),
    "aspect": (0, 0, 300, 150),
}


def draw(colour, size, place, side):
    pixels = np.full((size[1], size[0], 3), 60, np.uint8)
    pixels[place[1] : place[1] + side, place[0] : place[0] + side] = colour
    return Image.fromarray(pixels)


class Colours(PartEstimator):
    """Two parts on each map, whose responses are how red and how green regions are."""

    def __init__(
        self, backbone=None, *, image_size=None, framing="crop", region_scales=()
    ):
        super().__init__(backbone, image_size=image_size, framing=framing)
        self.region_scales = region_scales

    def fit(self, X, y):
        self._begin_fit(X, y)
        self.part_classes_ = np.array([1, 0, 1, 0])
        self.part_maps_ = np.array([0, 0, 1, 1])
        return self

    def part_responses(self, maps):
        directions = torch.tensor([[1, -0.5, -0.5], [-0.5, 1, -0.5]]).T
        cells = (torch.from_numpy(m).float().flatten(1, 2) for m in maps)
        pooled = (
            torch.cat(list(grid.pool(features)), dim=1)
            for grid, features in zip(self.grids_, cells, strict=True)
        )
        return [descriptors @ directions for descriptors in pooled]

    def descriptor(self, responses):
        return np.hstack([tensor.amax(dim=1).numpy() for tensor in responses])


@pytest.fixture(scope="module", params=[name for name in FRAMINGS if name != CENTER])
def framed(request, tmp_path_factory):
    """A model whose parts are colours, its images as files, and their marks."""
    folder, paths, marks = tmp_path_factory.mktemp(request.param), [], []
    for colour in (RED, GREEN):
        for size, place, side in MARKS:
            orientation = [*TURNS][len(paths) % 4]
            turn = TURNS[orientation]
            image = draw(colour, size, place, side)
            exif = Image.Exif()
            exif[0x0112] = orientation
            paths.append(str(folder / f"{len(paths)}.png"))
            (image if turn is None else image.transpose(turn)).save(
                paths[-1], exif=exif
            )
            marks.append((*place, place[0] + side, place[1] + side))
    labels = ["red"] * len(MARKS) + ["green"] * len(MARKS)
    parts = Colours(
        MeanColours(16, 32),
        image_size=128,
        framing=request.param,
        region_scales=(0.25,),
    )
    model = make_pipeline(parts, LogisticRegression()).fit(paths, labels)
    return model, paths, np.array(marks, float)


def overlap(boxes, marks):
    """The share of each box that is on its mark."""
    low, high = np.maximum(boxes[:, :2], marks[:, :2]), np.minimum(boxes, marks)[:, 2:]
    sides = np.clip(high - low, 0, None)
    return sides.prod(axis=1) / (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)


def stored(path):
    return np.asarray(Image.open(path))


def test_windows_have_the_cells_that_they_have_on_the_square(framed):
    model, *_ = framed
    assert [grid.windows for grid in model[0].grids_] == [((2, 2),), ((1, 1),)]


def test_best_regions_lie_on_the_marks(framed):
    model, paths, marks = framed
    regions = best_regions(model, paths)
    upright = best_regions(model, paths, apply_exif=True)
    n = len(MARKS)
    parts = np.repeat([0, 1], n)
    rows = np.arange(2 * n)
    assert overlap(upright.boxes[rows, parts], marks).min() > 0.5
    for i, path in enumerate(paths):
        pixels, colour = stored(path), (RED, GREEN)[i // n]
        boxes = regions.boxes[i].round().astype(int)
        assert (boxes >= 0).all()
        assert (boxes[:, 2:] <= (pixels.shape[1], pixels.shape[0])).all()
        left, top, right, bottom = boxes[parts[i]]
        assert (pixels[top:bottom, left:right] == colour).all(-1).mean() > 0.5


def test_galleries_have_the_same_boxes(framed):
    model, paths, _ = framed
    best = best_regions(model, paths, apply_exif=True)
    for part in part_galleries(model, None, paths, n=3, apply_exif=True):
        np.testing.assert_array_equal(part.boxes, best.boxes[part.images, part.part])


def test_heat_maps_lie_on_the_marks_and_lose_nothing(framed):
    model, paths, marks = framed
    explained = explain_each(model, paths, apply_exif=True)
    for i, why in enumerate(explained):
        assert why.heat_map().sum() == pytest.approx(why.contributions.sum())
        heat = np.abs(why.heat_map(i // len(MARKS)))
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        left, top, right, bottom = why.heat_map_box
        x = left + (column + 0.5) * (right - left) / heat.shape[1]
        y = top + (row + 0.5) * (bottom - top) / heat.shape[0]
        # The cells of the region have equal heat, and one may lie at the mark's edge.
        cell = max((right - left) / heat.shape[1], (bottom - top) / heat.shape[0])
        assert (marks[i, :2] - cell < (x, y)).all() and (
            (x, y) < marks[i, 2:] + cell
        ).all()


def test_the_box_and_the_cells_of_heat_maps(framed):
    model, paths, _ = framed
    number = next(i for i, mark in enumerate(MARKS) if mark[0] == (300, 150))
    (why,) = explain_each(model, [paths[number]], apply_exif=True)
    framing = model[0].framing
    np.testing.assert_allclose(why.heat_map_box, COVERED[framing])
    cells = (8, 12) if framing == "aspect" else (8, 8)
    assert why.heat_map().shape == why.extents[0] == cells
    assert why.extents[1] == (cells[0] // 2, cells[1] // 2)
    (as_stored,) = explain_each(model, [paths[number]])
    assert as_stored.heat_map().shape == cells
    with Image.open(paths[number]) as image:
        width, height = image.size
    left, top, right, bottom = as_stored.heat_map_box
    # The middle is seen, so that turning the image turns the box about its centre.
    assert (left + right, top + bottom) == pytest.approx((width, height), abs=1)


def test_a_part_does_not_respond_to_a_mark_that_is_covered(framed):
    model, paths, _ = framed
    # Of the large mark, other windows show as much as the one that is covered.
    n = len(MARKS)
    small = [i for i in range(2 * n) if MARKS[i % n][2] == 40]
    own = np.array([[i // n] for i in small])
    X = [paths[i] for i in small]
    drop = metrics.response_drop(model, X, own, random_state=0)
    assert drop.before.min() > 0.4
    # Windows beside the one that is covered still show a part of the mark.
    assert (drop.best > 0.1).all()
    assert drop.mean_best > 3 * drop.mean_random
