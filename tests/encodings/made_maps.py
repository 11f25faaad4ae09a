"""Made maps for the tests of encodings, and what they do with descriptors by loops."""

from __future__ import annotations

import numpy as np

PYRAMID = ((1, 1), (2, 2), (3, 1))


def made_maps(n=12, height=6, width=5, depth=8, seed=0, dtype=np.float32):
    return (
        np.random.default_rng(seed).normal(size=(n, height, width, depth)).astype(dtype)
    )


def several(*maps: np.ndarray) -> np.ndarray:
    """Several maps as `FeatureMaps` gives them."""
    fields = [(f"map{i}", m.dtype, m.shape[1:]) for i, m in enumerate(maps)]
    out = np.empty(len(maps[0]), fields)
    for i, feature_map in enumerate(maps):
        out[f"map{i}"] = feature_map
    return out


def unit(x: np.ndarray) -> np.ndarray:
    return x / max(float(np.linalg.norm(x)), 1e-12)


def cells_of(maps, whitening, levels, renormalise=True):
    """Projected descriptors (m, K) of each cell of a pyramid, of an image's maps."""
    height, width = maps[0].shape[:2]
    for n_rows, n_columns in levels:
        for cell in np.ndindex(n_rows, n_columns):
            members = []
            for row, column in np.ndindex(height, width):
                place = (
                    (row + 0.5) / height * n_rows,
                    (column + 0.5) / width * n_columns,
                )
                if (int(place[0]), int(place[1])) != cell:
                    continue
                for feature_map in maps:
                    x = feature_map[row, column].astype(np.float64)
                    if x.any():
                        x = (unit(x) - whitening.mean) @ whitening.projection
                        members.append(unit(x) if renormalise else x)
            yield np.array(members).reshape(-1, whitening.projection.shape[1])
