"""The images that explanations are measured on."""

from __future__ import annotations

import numpy as np

from benchmarks.explanations import image_sets


def test_points_in_the_square_that_the_network_sees(cub_with_parts):
    data = image_sets.photographs(cub_with_parts, 32)
    assert data.targets is None and data.names == ["001.Auk", "002.Wren"]
    # The square is x from 2 to 6: a point at x = 7 is outside of it.
    assert data.truths[0].tolist() == [[0.25, 0.25], [0.875, 1]]
    assert np.isnan(data.truths[1]).all()
