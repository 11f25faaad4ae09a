"""The annotated parts of CUB-200-2011."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.data import cub_parts, readers


def test_the_points_of_parts(cub_with_parts):
    paths = readers.read_cub(cub_with_parts).test_paths
    points, names = cub_parts.read_part_points(cub_with_parts, paths[::-1])
    assert names == ["beak", "left eye"]
    assert np.isnan(points[0, 0]).all()
    assert points[0, 1].tolist() == [7, 2]
    assert points[1].tolist() == [[3, 1], [5.5, 4]]


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("parts/parts.txt", None, "no file .*parts.txt;.*data.caltech.edu"),
        ("parts/part_locs.txt", None, "no file .*part_locs.txt"),
        ("images.txt", "1 other.jpg\n", "does not list .*A_2.jpg"),
        ("parts/parts.txt", "beak\n", "'beak', not a number and a name"),
        ("parts/part_locs.txt", "3 1 x 1 1\n", "part_locs.txt cannot be read"),
        ("parts/part_locs.txt", "3 1 2.5 1\n", "4 numbers a line, not the 5"),
        ("parts/part_locs.txt", "3 7 2.5 1 1\n", "part 7 that parts.txt lacks"),
    ],
)
def test_wrong_lists_of_parts(cub_with_parts, name, text, message):
    paths = [str(cub_with_parts / "images/001.Auk/A_2.jpg")]
    if text is None:
        (cub_with_parts / name).unlink()
    else:
        (cub_with_parts / name).write_text(text)
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        cub_parts.read_part_points(cub_with_parts, paths)
