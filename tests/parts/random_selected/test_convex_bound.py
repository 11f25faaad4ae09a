"""The bound on the hinge loss: where it touches, that it bounds, that it is convex."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skdpnet.parts.random_selected import convex_bound
from skdpnet.parts.random_selected.convex_bound import bounded_loss, placements


class Problem:
    """Random regions on two maps, labels, and a classifier with weights of any sign."""

    n_parts = (4, 3)

    def __init__(self, n=12, n_classes=4, seed=0):
        self.random = np.random.default_rng(seed)
        self.regions = [self.normal(n, 6, 5), self.normal(n, 9, 3)]
        self.labels = torch.arange(n) % n_classes
        self.weights = self.normal(n_classes, sum(self.n_parts))
        self.intercepts = self.normal(n_classes)
        self.start = self.parts()
        self.fixed = [
            placements(w, x) for w, x in zip(self.start, self.regions, strict=True)
        ]

    def normal(self, *shape):
        return torch.from_numpy(self.random.standard_normal(shape))

    def parts(self, size=1.0):
        depths = (5, 3)
        return [
            size * self.normal(n, k) for n, k in zip(self.n_parts, depths, strict=True)
        ]

    def bound(self, parts):
        return bounded_loss(
            parts, self.regions, self.fixed, self.labels, self.weights, self.intercepts
        )

    def loss(self, parts):
        """The definition, image by image, in NumPy."""
        u, a = self.weights.numpy(), self.intercepts.numpy()
        total = 0.0
        for i, y in enumerate(self.labels.tolist()):
            maxima = np.concatenate(
                [
                    (x[i].numpy() @ w.numpy().T).max(axis=0)
                    for w, x in zip(parts, self.regions, strict=True)
                ]
            )
            scores = u @ maxima + a
            others = [1 + s - scores[y] for c, s in enumerate(scores) if c != y]
            total += max(0.0, *others)
        return total


def mixed(a, b, share):
    return [share * x + (1 - share) * y for x, y in zip(a, b, strict=True)]


@pytest.mark.parametrize("seed", range(5))
def test_the_bound_touches_the_loss_where_it_is_made(seed):
    problem = Problem(seed=seed)
    assert_allclose(problem.bound(problem.start)[0], problem.loss(problem.start))


def test_the_bound_is_at_least_the_loss_and_not_equal_everywhere():
    problem = Problem()
    gaps = []
    for _ in range(300):
        parts = problem.parts(problem.random.uniform(0.1, 3))
        gaps.append(problem.bound(parts)[0] - problem.loss(parts))
    assert min(gaps) > -1e-9
    assert max(gaps) > 1


def test_the_bound_is_convex_and_the_loss_is_not():
    problem = Problem()
    of_bound, of_loss = [], []
    for _ in range(300):
        a, b = problem.parts(), problem.parts(2.0)
        share = problem.random.uniform()
        between = mixed(a, b, share)
        for function, excess in (
            (lambda w: problem.bound(w)[0], of_bound),
            (problem.loss, of_loss),
        ):
            chord = share * function(a) + (1 - share) * function(b)
            excess.append(function(between) - chord)
    assert max(of_bound) < 1e-9
    assert max(of_loss) > 0.01


def test_the_subgradient_lies_below_the_bound_everywhere():
    problem = Problem()
    for _ in range(100):
        a, b = problem.parts(), problem.parts(2.0)
        value, slopes = problem.bound(a)
        plane = value + sum(
            float(((y - x) * slope).sum())
            for x, y, slope in zip(a, b, slopes, strict=True)
        )
        assert problem.bound(b)[0] >= plane - 1e-9


def test_the_subgradient_is_the_slope_by_differences():
    problem = Problem()
    parts = problem.parts()
    _, slopes = problem.bound(parts)
    for number, slope in enumerate(slopes):
        for place in np.ndindex(*slope.shape):
            ends = []
            for move in (-1e-6, 1e-6):
                moved = [w.clone() for w in parts]
                moved[number][place] += move
                ends.append(problem.bound(moved)[0])
            assert_allclose(slope[place], (ends[1] - ends[0]) / 2e-6, atol=1e-5)


def test_pieces_do_not_change_the_bound(monkeypatch):
    problem = Problem()
    parts = problem.parts()
    whole, slopes = problem.bound(parts)
    monkeypatch.setattr(convex_bound, "_PIECE_BYTES", 1)
    pieces, in_pieces = problem.bound(parts)
    assert_allclose(pieces, whole)
    for slope, of_pieces in zip(slopes, in_pieces, strict=True):
        assert_allclose(of_pieces, slope, atol=1e-12)


def test_placements_are_the_regions_of_the_maxima():
    problem = Problem()
    for parts, regions, fixed in zip(
        problem.start, problem.regions, problem.fixed, strict=True
    ):
        expected = np.einsum("nrk,pk->nrp", regions, parts).argmax(axis=1)
        assert (fixed.numpy() == expected).all()
