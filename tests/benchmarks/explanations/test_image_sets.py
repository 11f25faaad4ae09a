"""The images that explanations are measured on."""

from __future__ import annotations

import numpy as np

from benchmarks.explanations import image_sets
from skdpnet.images.framing import Framing
from skdpnet.images.geometry import Geometry


def test_points_in_the_square_that_the_network_sees(cub_with_parts):
    data = image_sets.photographs(cub_with_parts, Framing(32, "crop"))
    assert data.targets is None and data.names == ["001.Auk", "002.Wren"]
    # The square is x from 2 to 6: a point at x = 7 is outside of it.
    assert data.truths[0].tolist() == [[0.25, 0.25], [0.875, 1]]
    assert np.isnan(data.truths[1]).all()
    # The third image's box ends at x = 7, outside of the square; the last has none.
    assert data.objects[0].tolist() == [0.25, 0.25, 1.25, 0.75]
    assert np.isnan(data.objects[1]).all()


def test_points_on_the_canvas_of_each_framing():
    """The corners and the centre of an image of 300×200 pixels, stored turned."""
    geometry = Geometry((200, 300), 6)
    points = np.array([[0.0, 0.0], [150, 100], [300, 200]])
    for framing, expected in (
        (Framing(64, "crop"), [[-0.25, 0], [0.5, 0.5], [1.25, 1]]),
        (Framing(64, "squash"), [[0, 0], [0.5, 0.5], [1, 1]]),
        # 43 of 64 rows, from the tenth on.
        (Framing(64, "pad"), [[0, 10 / 64], [0.5, 31.5 / 64], [1, 53 / 64]]),
        (Framing(224, "aspect"), [[0, 0], [0.5, 0.35], [1, 0.7]]),
    ):
        got = image_sets.on_canvas(points, geometry, framing)
        np.testing.assert_allclose(got, expected, atol=1e-12)
