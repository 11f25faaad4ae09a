"""Settings of the models that are saved here, and the comparison of arrays."""

from __future__ import annotations

import numpy as np

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
