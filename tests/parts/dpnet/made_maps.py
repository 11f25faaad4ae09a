"""Made feature maps with known parts, and estimators that learn them quickly."""

from __future__ import annotations

import numpy as np

# DP-Net's parts alone, as in the paper: nothing that the defaults add to them.
PLAIN = {
    "context": False,
    "foreground": None,
    "annealed_share": 0.0,
    "specificity_weight": 0.0,
}
SETTINGS = {
    "backbone": "precomputed",
    "n_parts_per_class": 5,
    "region_scales": (0.25, 0.5),
    "random_state": 0,
}


def two_maps(n, seed=0):
    """Two maps of noise; class 1 has a mark on the fine map, class 2 on the coarse one.

    Returns the maps, the labels, and the cell of each mark.
    """
    random = np.random.default_rng(seed)
    kind = np.dtype([("map0", "f4", (8, 8, 14)), ("map1", "f4", (4, 4, 18))])
    X = np.empty(n, kind)
    X["map0"] = random.normal(size=(n, 8, 8, 14))
    X["map1"] = random.normal(size=(n, 4, 4, 18))
    y = np.arange(n) % 3
    where = np.stack([random.integers(8, size=n), random.integers(8, size=n)], 1)
    where[y == 2] //= 2
    for i in range(n):
        row, column = where[i]
        if y[i] == 1:
            X["map0"][i, row, column, 2] += 16
        elif y[i] == 2:
            X["map1"][i, row, column, 7] += 16
    return X, y, where


def part_maps(n, seed=0, n_classes=3, labels=None, strength=4.0):
    """Maps of noise in which a random cell has the direction of the class.

    Returns the maps, the labels, and that cell of each map.
    """
    random = np.random.default_rng(seed)
    directions = np.linalg.qr(np.random.default_rng(99).normal(size=(12, 12)))[0]
    y = random.integers(0, n_classes, n)
    X = random.normal(size=(n, 5, 6, 12))
    where = np.stack([random.integers(0, 5, n), random.integers(0, 6, n)], 1)
    for i in range(n):
        X[i, where[i, 0], where[i, 1]] += strength * 4 * directions[y[i]]
    names = np.arange(n_classes) if labels is None else np.asarray(labels)
    return X.astype(np.float32), names[y], where


def quick(cls, **params):
    """Make an estimator that learns the parts of `part_maps` in a second."""
    settings = {
        "backbone": "precomputed",
        "region_scales": (0.2, 0.4),
        "n_parts_per_class": 4,
        "random_state": 0,
        "max_epochs": 15,
    }
    return cls(**{**settings, **params})
