"""The sizes that speed is measured at."""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmarks.speed import sizes
from skdpnet import DPNetClassifier


def test_the_three_sizes_have_the_regions_of_their_scales():
    assert [sizes.SIZES[name].regions for name in ("flowers", "birds", "imagenet")] == [
        196,  # 14²
        371,  # 13² + 11² + 9²
        371,
    ]
    assert sizes.SIZES["imagenet"].parts == 10_000


def test_flowers_are_the_finer_map_of_the_defaults(photographs):
    settings = {"annealed_share": 0.0, "max_epochs": 0, "random_state": 0}
    model = DPNetClassifier(framing="crop", **settings).fit(*photographs)
    flowers = sizes.SIZES["flowers"]
    assert model.map_shapes_[0] == (flowers.height, flowers.width, flowers.depth)
    assert model.grids_[0] == flowers.grid
    per_class = np.count_nonzero(model.part_maps_ == 0) // len(model.classes_)
    assert flowers.parts == flowers.classes * per_class


def test_inputs_are_region_descriptors(small):
    inputs = sizes.make_inputs(small)
    assert inputs.regions.shape == (small.images, small.regions, small.channels)
    lengths = np.linalg.norm(inputs.regions, axis=2)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)


def test_a_size_survives_the_file(small):
    assert sizes.Size.from_key({**dataclasses.asdict(small), "stage": "x"}) == small
