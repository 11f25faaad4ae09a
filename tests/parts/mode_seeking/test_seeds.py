"""Seeds: apart, of all images alike, and never beyond an image's edge."""

from __future__ import annotations

import numpy as np

from skdpnet.parts.mode_seeking.boxes import overlaps
from skdpnet.parts.mode_seeking.seeds import draw_seeds
from skdpnet.regions.grid import RegionGrid

GRID = RegionGrid(6, 6, ((2, 2), (3, 3)))


def draw(n_seeds, regions=None, images=(1, 3, 4), seed=0):
    if regions is None:
        regions = np.ones((5, GRID.n_regions, 2), np.float32)
    random = np.random.RandomState(seed)
    return draw_seeds(regions, np.array(images), GRID.cells, n_seeds, random)


def test_seeds_of_an_image_hardly_overlap_and_images_have_as_many():
    seeds = draw(20)
    assert len(np.unique(seeds, axis=0)) == 20
    images, counts = np.unique(seeds[:, 0], return_counts=True)
    assert images.tolist() == [1, 3, 4]
    assert counts.max() - counts.min() <= 1
    for image in images:
        boxes = GRID.cells[seeds[seeds[:, 0] == image, 1]]
        shares = overlaps(boxes[:, None], boxes)
        assert shares[~np.eye(len(boxes), dtype=bool)].max() < 0.6


def test_regions_without_a_descriptor_are_not_drawn():
    regions = np.zeros((5, GRID.n_regions, 2), np.float32)
    regions[:, 7] = 1
    assert draw(3, regions)[:, 1].tolist() == [7, 7, 7]


def test_seeds_are_repeated_where_there_are_too_few():
    regions = np.zeros((5, GRID.n_regions, 2), np.float32)
    regions[1, [0, 40]] = 1
    seeds = draw(7, regions)
    assert sorted({tuple(seed) for seed in seeds.tolist()}) == [(1, 0), (1, 40)]
    assert draw(2, np.zeros_like(regions)).shape == (2, 2)


def test_the_random_state_decides():
    assert (draw(20) == draw(20)).all()
    assert (draw(20) != draw(20, seed=1)).any()
