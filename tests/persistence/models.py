"""Settings of the models that are saved here, comparison of arrays, forged files."""

from __future__ import annotations

import json

import numpy as np

from skdpnet.persistence.model_file import read, write

SETTINGS = {
    "backbone": "precomputed",
    "n_parts_per_class": 2,
    "region_scales": (0.25, 0.5),
    "random_state": 0,
}


def assert_identical(first: np.ndarray, second: np.ndarray) -> None:
    """Compare two arrays bit for bit: dtypes, shapes and bytes."""
    assert first.dtype == second.dtype
    assert first.shape == second.shape
    assert first.tolist() == second.tolist()
    if first.dtype.kind != "O":
        assert first.tobytes() == second.tobytes()


def forge(path, metadata=None, tensors=None, **fitted):
    """Change the contents of a file, and its checksum accordingly."""
    old, arrays = read(path)
    trees = json.loads(old["fitted"])
    trees.update(fitted)
    trees = {key: tree for key, tree in trees.items() if tree != "drop"}
    new = {**old, "fitted": json.dumps(trees), **(metadata or {})}
    arrays = {**arrays, **(tensors or {})}
    write(path, new, {key: array for key, array in arrays.items() if array is not None})
