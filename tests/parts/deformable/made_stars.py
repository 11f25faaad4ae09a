"""Made maps of objects: of two marks in some order, or of a body that has a mark."""

from __future__ import annotations

import numpy as np

from skdpnet import DeformableParts

DEPTH = 6


def arranged(n, seed=0, size=12, extents=None):
    """Fine maps of noise with two marks, and their averages over 2×2 cells.

    The marks are four columns apart, give or take one. In class "ab" the first is on
    the left, in class "ba" on the right; the place of the pair is random. So each class
    has the same marks at the same places, and only the arrangement tells them apart.

    Parameters
    ----------
    n : int
    seed : int, default=0
    size : int, default=12
        Side of the fine maps in cells.
    extents : sequence of n (int, int), default=None
        Rows and columns of the fine map that each image covers. None: all.

    Returns
    -------
    X : structured array
    y : str ndarray of shape (n,)
    marks : int ndarray of shape (n, 2, 2)
        Row and column of both marks of each image on the fine map.
    """
    random = np.random.default_rng(seed)
    fine = 0.5 * random.normal(size=(n, size, size, DEPTH)) + 1
    y = np.array(["ab", "ba"])[np.arange(n) % 2]
    marks = np.empty((n, 2, 2), int)
    for i in range(n):
        rows, columns = (size, size) if extents is None else extents[i]
        row = random.integers(2, rows - 2)
        left = random.integers(1, columns - 6)
        right = left + 4 + random.integers(-1, 2)
        marks[i] = [[row, left], [row, right]]
        if y[i] == "ba":
            marks[i] = marks[i, ::-1]
        for kind, (r, c) in enumerate(marks[i]):
            fine[i, r, c, kind] += 12
        fine[i, rows:], fine[i, :, columns:] = 0, 0
    coarse = fine.reshape(n, size // 2, 2, size // 2, 2, DEPTH).mean(axis=(2, 4))
    fields = [("map0", "f4", fine.shape[1:]), ("map1", "f4", coarse.shape[1:])]
    X = np.empty(n, np.dtype(fields))
    X["map0"], X["map1"] = fine, coarse
    return X, y, marks


def bodies(n, seed=0):
    """Coarse maps with a body, and fine maps with a mark inside it and others outside.

    A class has bodies and marks of its own. The mark is in one of the four fine cells
    of the body; an equal mark is at a random place away from it.

    Parameters
    ----------
    n : int
    seed : int, default=0

    Returns
    -------
    X : structured array
    y : int ndarray of shape (n,)
    marks : int ndarray of shape (n, 2)
        Row and column of the mark inside the body on the fine map.
    """
    random = np.random.default_rng(seed)
    X = np.empty(n, [("map0", "f4", (12, 12, DEPTH)), ("map1", "f4", (6, 6, DEPTH))])
    for name in X.dtype.names:
        X[name] = 1 + random.normal(size=X[name].shape) / 4
    y = np.arange(n) % 3
    body = random.integers(1, 5, size=(n, 2))
    marks = 2 * body + random.integers(2, size=(n, 2))
    elsewhere = (marks + random.integers(3, 10, size=(n, 2))) % 12
    for i in range(n):
        X["map1"][i, *body[i], y[i]] += 8
        for row, column in (marks[i], elsewhere[i]):
            X["map0"][i, row, column, 3 + y[i]] += 8
    return X, y, marks


def estimator(**parameters):
    """Stars for such maps: roots of 4×4 coarse cells, parts of 1×1 fine ones."""
    defaults = {"n_stars": 1, "n_parts": 2, "part_size": 1, "C": 0.1, "random_state": 0}
    return DeformableParts("precomputed", **(defaults | parameters))
