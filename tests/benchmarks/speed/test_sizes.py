"""The sizes that speed is measured at."""

from __future__ import annotations

import dataclasses

from benchmarks.speed import sizes


def test_the_three_sizes_have_the_regions_of_the_default_scales():
    assert [sizes.SIZES[name].regions for name in ("flowers", "birds", "imagenet")] == [
        110,  # 7² + 6² + 5²
        371,  # 13² + 11² + 9²
        371,
    ]
    assert sizes.SIZES["imagenet"].parts == 10_000


def test_a_size_survives_the_file(small):
    assert sizes.Size.from_key({**dataclasses.asdict(small), "stage": "x"}) == small
